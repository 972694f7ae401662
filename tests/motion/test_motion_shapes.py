"""Arrays that do not belong together are refused, whichever of them is wrong and however."""

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion import losses
from jaxmotion.motion import MotionModel, fit, global_residual, parametric_flow, residual_penalty
from jaxmotion.networks import NetworkConfig, build_segmenter, network_features

SIZES = {"B": 3, "T": 4, "H": 6, "W": 8, "K": 5, "P": 12}
AXES = {
    "flow": "B T H W 2",
    "masks": "B T H W K",
    "parametric": "B K T H W 2",
    "valid": "B T H W",
    "weights": "B T",
    "frame_weights": "B T",
    "init": "B K P",
    "residual": "B T H W 2",
    "features": "B T H W 2",
    "huber_delta": "",
    "occlusion_quantile": "",
}


def shape_of(name):
    return tuple(SIZES.get(axis, 2) for axis in AXES[name].split())


def segment(features, valid):
    module = build_segmenter(NetworkConfig(widths=(4, 8), input="scaled"))
    params = jax.eval_shape(module.init, jax.random.key(0), zeros("features"))
    return jax.eval_shape(module.apply, params, features, valid)


FUNCTIONS = {
    "fit": (
        lambda **arrays: fit(model=MotionModel(), penalty="huber", **arrays),
        ("flow", "masks", "valid", "frame_weights", "init", "huber_delta"),
    ),
    "frame_weights": (losses.frame_weights, ("flow", "valid")),
    "reconstruction": (
        losses.reconstruction,
        ("flow", "masks", "parametric", "valid", "weights", "huber_delta"),
    ),
    "em": (losses.em, ("flow", "masks", "parametric", "valid", "huber_delta")),
    "temporal_consistency": (
        losses.temporal_consistency,
        ("masks", "flow", "valid", "occlusion_quantile"),
    ),
    "entropy": (losses.entropy, ("masks", "valid")),
    "network_features": (
        lambda **arrays: network_features(kind="raw_and_residual", frames=2, **arrays),
        ("flow", "residual", "valid"),
    ),
    "global_residual": (global_residual, ("flow", "valid")),
    "segmenter": (segment, ("features", "valid")),
}


def zeros(name, shape=None):
    return jax.ShapeDtypeStruct(shape_of(name) if shape is None else shape, jnp.float32)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_belongs_together_is_taken(name):
    function, arguments = FUNCTIONS[name]
    jax.eval_shape(function, **{argument: zeros(argument) for argument in arguments})


@settings(deadline=None, max_examples=200)
@given(data=st.data(), name=st.sampled_from(sorted(FUNCTIONS)))
def test_what_does_not_belong_together_is_refused(data, name):
    function, names = FUNCTIONS[name]
    wrong = data.draw(st.sampled_from(names))
    axes, shape = AXES[wrong].split(), shape_of(wrong)
    kinds = ["more axes"]
    if axes:
        kinds += ["fewer axes", "another order"]
    # A size can be wrong only where something else says what it should be.
    others = " ".join(AXES[other] for other in names if other != wrong) + " 2 P"
    pinned = [index for index, axis in enumerate(axes) if axis in others.split()]
    if pinned:
        kinds += ["another size"]
    kind = data.draw(st.sampled_from(kinds))
    if kind == "more axes":
        at = data.draw(st.integers(0, len(shape)))
        shape = (*shape[:at], 1, *shape[at:])
    elif kind == "fewer axes":
        at = data.draw(st.integers(0, len(shape) - 1))
        shape = (*shape[:at], *shape[at + 1 :])
    elif kind == "another order":
        orders = st.permutations(shape).map(tuple).filter(lambda order: order != shape_of(wrong))
        shape = data.draw(orders)
    else:
        at = data.draw(st.sampled_from(pinned))
        size = data.draw(st.sampled_from([1, shape[at] - 1, shape[at] + 1, 2 * shape[at]]))
        shape = (*shape[:at], size, *shape[at + 1 :])
    arrays = {n: zeros(n, shape if n == wrong else None) for n in names}
    with pytest.raises(ValueError, match=r"must have shape \[.*; got \("):
        jax.eval_shape(function, **arrays)


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (
            {"parametric": (2, 1, 3, 6, 7, 2)},
            r"parametric must have shape \[B, K, T, H, W, 2\] = \[2, 3, 1, 6, 7, 2\]; got \(2, 1,",
        ),
        ({"parametric": (2, 1, 1, 6, 7, 2)}, "parametric must have shape"),
        (
            {"masks": (1, 1, 6, 7, 3)},
            r"masks must have shape .* = \[2, 1, 6, 7, K\]",
        ),
        ({"weights": (2,)}, r"weights must have shape \[B, T\] = \[2, 1\]; got \(2,\)"),
        ({"flow": (2, 1, 6, 7, 3)}, r"flow must have shape \[B, T, H, W, 2\]; got"),
    ],
    ids=["K where T is", "one segment", "a batch of one", "weights of clips", "no flow"],
)
def test_the_message_says_which_and_what(shapes, said):
    right = {"flow": (2, 1, 6, 7, 2), "masks": (2, 1, 6, 7, 3), "parametric": (2, 3, 1, 6, 7, 2)}
    arrays = {name: jnp.ones(shape) for name, shape in (right | shapes).items()}
    with pytest.raises(ValueError, match=said):
        losses.reconstruction(**arrays)


def test_what_is_no_array_is_refused():
    with pytest.raises(ValueError, match="masks must be an array; got list"):
        losses.entropy([[0.5, 0.5]])
    with pytest.raises(ValueError, match="flow must be an array; got list"):
        fit([[0.5, 0.5]], jnp.ones((1, 1, 4, 4, 2)), MotionModel())


def test_swapped_arguments_are_refused():
    flow, masks = jnp.zeros((1, 2, 6, 7, 2)), jnp.ones((1, 2, 6, 7, 3))
    with pytest.raises(ValueError, match=r"flow must have shape .*, 2\]"):
        losses.temporal_consistency(flow, masks)
    with pytest.raises(ValueError, match=r"flow must have shape .*, 2\]"):
        fit(masks, flow, MotionModel())
    with pytest.raises(ValueError, match="rv must have the shape of ru"):
        residual_penalty(flow[..., 0], flow[..., :1], "l1")
    with pytest.raises(ValueError, match=r"shape must be \(T, H, W\)"):
        parametric_flow(MotionModel(), jnp.zeros(12), (1, 2, 6, 7))
