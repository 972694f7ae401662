import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.motion import MotionModel, global_residual, parametric_flow
from jaxmotion.networks import (
    PUBLISHED_EM,
    NetworkConfig,
    UNet,
    build_backbone,
    build_segmenter,
    network_features,
    parts,
)
from jaxmotion.networks.norm import normalize
from jaxmotion.tasks.observation import observe

SMALL = NetworkConfig(num_masks=3, widths=(4, 8, 8))


def random_flow(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(*shape, 2)), jnp.float32)


def test_published_em_network_has_the_published_number_of_parameters():
    flow = jax.ShapeDtypeStruct((1, 1, 128, 224, 2), jnp.float32)
    variables = jax.eval_shape(build_segmenter(PUBLISHED_EM).init, jax.random.key(0), flow)
    count = sum(leaf.size for leaf in jax.tree.leaves(variables))
    assert round(count / 1e6, 1) == 497.7


@pytest.mark.parametrize("shape", [(2, 1, 16, 24), (1, 3, 13, 21), (1, 2, 1, 1), (1, 1, 3, 40)])
def test_any_size_gives_masks_of_that_size(shape):
    masks, _ = _init_apply(SMALL, random_flow(shape))
    assert masks.shape == (*shape, 3)
    np.testing.assert_allclose(np.sum(masks, axis=-1), 1, atol=1e-5)


def _init_apply(config, flow):
    """What a fresh network makes of flow."""

    @jax.jit
    def run(flow):
        module, features = build_segmenter(config), observe(flow, None, config).features
        output = module.apply(module.init(jax.random.key(0), features), features)
        return output.masks, output.bottleneck

    return run(flow)


@pytest.mark.parametrize("field", ["down", "up", "padding", "norm", "activation", "stem"])
def test_every_named_choice_builds_another_network(field):
    choices = {
        "down": "strided_conv",
        "up": "patch",
        "padding": "reflect",
        "norm": "none",
        "activation": "gelu",
        "stem": 1,
    }
    features = jnp.asarray(np.random.default_rng(0).normal(size=(1, 1, 16, 16, 3)), jnp.float32)
    other = NetworkConfig(num_masks=3, widths=(4, 8, 8), **{field: choices[field]})
    kernel = lambda key, shape: jax.random.normal(key, shape) * 0.3  # noqa: E731
    logits = []
    for config in (SMALL, other):
        module = build_segmenter(config)
        variables = module.init(jax.random.key(0), features)
        head = variables["params"]["head"]
        head["kernel"] = kernel(jax.random.key(1), head["kernel"].shape)
        logits.append(module.apply(variables, features).logits)
    assert logits[0].shape == logits[1].shape
    assert not np.allclose(logits[0], logits[1], atol=1e-3)


def test_frames_of_a_spatial_network_do_not_see_each_other():
    module = build_segmenter(NetworkConfig(num_masks=2, widths=(4, 8), input="raw"))
    flow = random_flow((1, 3, 16, 16))
    variables = module.init(jax.random.key(0), flow)
    together = module.apply(variables, flow).logits
    alone = module.apply(variables, flow[:, 1:2]).logits
    np.testing.assert_allclose(together[:, 1:2], alone, atol=1e-5)


def test_space_time_kernels_do():
    config = NetworkConfig(num_masks=2, widths=(4, 8), input="raw", kernel=(3, 3, 3))
    module = build_segmenter(config)
    flow = random_flow((1, 3, 16, 16))
    variables = module.init(jax.random.key(0), flow)
    changed = flow.at[:, 0].add(1.0)
    difference = module.apply(variables, flow).logits - module.apply(variables, changed).logits
    assert np.abs(difference[:, 2]).max() > 1e-6


def test_patch_up_is_the_transposed_convolution_it_replaces():
    x = jax.random.normal(jax.random.key(0), (2, 1, 3, 5, 4))
    module = parts.PatchUp(6)
    variables = module.init(jax.random.key(1), x)
    ours = module.apply(variables, x)

    kernel, bias = (
        np.asarray(variables["params"][name], np.float64) for name in ("kernel", "bias")
    )
    expected = np.zeros((2, 1, 6, 10, 6))
    for i in range(2):
        for j in range(2):
            expected[:, :, i::2, j::2] = np.asarray(x, np.float64) @ kernel[:, i, j] + bias
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@settings(max_examples=6, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, most) for most in (2, 2, 7, 7, 3)]),
    factor=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_enlargement_is_bilinear_in_value_and_gradient(shape, factor, seed):
    b, t, h, w, c = shape
    larger = b, t, h * factor, w * factor, c
    rng = np.random.default_rng(seed)
    x, weights = (jnp.asarray(rng.uniform(-1, 1, s), jnp.float32) for s in (shape, larger))
    weights /= factor**2  # so many terms has a gradient

    @jax.jit
    def both(x, weights):
        found = jax.vjp(lambda x: parts.enlarge(x, factor), x)
        expected = jax.vjp(lambda x: jax.image.resize(x, larger, "linear"), x)
        return [(value, back(weights)[0]) for value, back in (found, expected)]

    for found, expected in zip(*both(x, weights), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_instance_norm_against_float64():
    x = np.random.default_rng(0).normal(3, 2, size=(2, 3, 5, 7, 4)).astype(np.float32)
    y = x.astype(np.float64)
    mean, deviation = y.mean((2, 3), keepdims=True), y.std((2, 3), keepdims=True)
    np.testing.assert_allclose(
        normalize(jnp.asarray(x), None, 1), (y - mean) / np.sqrt(deviation**2 + 1e-5), atol=1e-5
    )


def test_the_favored_mask_is_largest_at_the_start():
    config = NetworkConfig(num_masks=2, widths=(4, 8), favoured_bias=2.0, threshold_start=0.0)
    masks, _ = _init_apply(config, random_flow((2, 1, 32, 32)))
    share = masks.mean((0, 1, 2, 3))
    np.testing.assert_allclose(share[0], 1 / (1 + np.exp(-2)), atol=0.05)


def test_a_residual_network_starts_as_a_threshold_on_the_residual():
    flow = _two_motions(0)
    masks, _ = _init_apply(NetworkConfig(num_masks=2, widths=(4, 8)), flow)
    moving = np.abs(flow).sum(-1) > 0.8
    assert (masks[..., 1] > 0.5)[moving].mean() > 0.9
    assert (masks[..., 1] > 0.5)[~moving].mean() < 0.02


@pytest.mark.parametrize("frames", [1, 3])
def test_masks_after_the_first_start_with_a_direction_each(frames):
    config = NetworkConfig(num_masks=5, widths=(4, 8), kernel=(frames, 3, 3))
    flow = np.zeros((1, 3, 32, 32, 2), np.float32)
    right, down, left, up = (np.s_[..., y : y + 6, x : x + 6] for y in (4, 20) for x in (4, 20))
    for square, vector in ((right, (2, 0)), (down, (0, 2)), (left, (-2, 0)), (up, (0, -2))):
        flow[*square, :] = vector
    masks, _ = _init_apply(config, flow)
    labels = np.asarray(masks.argmax(-1))[0, 1]
    for mask, square in enumerate((right, down, left, up), start=1):
        assert (labels[square] == mask).mean() > 0.8
    assert (labels[~np.any(flow[0, 1], axis=-1)] == 0).mean() > 0.95


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 1000),
    scale=st.floats(0.1, 10),
    motion=st.lists(st.floats(-3, 3), min_size=12, max_size=12),
)
def test_residual_input_is_invariant_to_global_motion_and_speed(seed, scale, motion):
    flow = _two_motions(seed)
    model = MotionModel(spatial="quadratic", temporal="constant")
    added = parametric_flow(model, jnp.asarray(motion, jnp.float32)[None, None], (1, 24, 32))[:, 0]
    before, after = (
        network_features(seen, "residual", residual=global_residual(seen))
        for seen in (flow, scale * (flow + added))
    )
    # The robust fit is iterative: what differs is how far it got, not what it converges to.
    assert np.abs(before - after).mean() < 0.05 * np.abs(before).mean()


def _two_motions(seed):
    rng = np.random.default_rng(seed)
    flow = rng.normal(0, 0.05, size=(1, 1, 24, 32, 2))
    row, column = rng.integers(2, 12), rng.integers(2, 18)
    flow[:, :, row : row + 9, column : column + 10] += rng.uniform(1, 3, size=2)
    return jnp.asarray(flow, jnp.float32)


@pytest.mark.parametrize("kind", ["raw", "scaled", "residual", "raw_and_residual"])
def test_still_and_unknown_flow_give_finite_input(kind):
    config = NetworkConfig(input=kind)
    still = jnp.zeros((1, 2, 8, 9, 2))
    assert np.isfinite(observe(still, None, config).features).all()
    unknown = random_flow((1, 2, 8, 9)).at[0, 0, 0, 0].set(1e6)
    valid = jnp.ones((1, 2, 8, 9)).at[0, 0, 0, 0].set(0)
    seen = observe(unknown, valid, config).features
    assert (seen[0, 0, 0, 0] == 0).all()
    assert np.abs(seen).max() < 100


def test_a_part_of_the_wrong_size_is_named():
    wide = lambda features, name: parts.Conv(features, name=name)  # noqa: E731
    unet = UNet((4, 8), down=wide, left=wide, transit=wide, right=wide, up=wide)
    with pytest.raises(ValueError, match="down must give features of size"):
        unet.init(jax.random.key(0), jnp.zeros((1, 1, 8, 8, 2)))


@pytest.mark.parametrize(
    "wrong", [{"num_masks": 0}, {"widths": ()}, {"kernel": (1, 2, 3)}, {"input": "color"}]
)
def test_impossible_configurations_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NetworkConfig(**wrong)


def test_parts_are_linen_modules():
    variables = _shapes(build_segmenter(SMALL))
    names = {name.rsplit("_", 1)[0] for name in variables["params"]["unet"]}
    assert names == {"left", "right", "up"}  # down (pooling) and transit (skip) have no parameters


def _shapes(module):
    features = jax.ShapeDtypeStruct((1, 1, 16, 16, 3), np.float32)
    return jax.eval_shape(module.init, jax.random.key(0), features)


class Middle(nn.Module):
    """Puts the mean over what is known in the place of every cell."""

    features: int

    @nn.compact
    def __call__(self, x, weight):
        assert x.shape[-1] == self.features
        mean = jnp.sum(x * weight, (1, 2, 3), keepdims=True) / jnp.sum(weight)
        return x * self.param("share", nn.initializers.zeros, ()) + mean


def test_what_is_put_in_the_middle_makes_the_bottleneck():
    features = jnp.asarray(np.random.default_rng(0).normal(size=(1, 2, 16, 24, 3)), jnp.float32)
    valid = jnp.ones((1, 2, 16, 24)).at[0, 1].set(0)
    plain, other = build_backbone(SMALL), build_backbone(SMALL, middle=Middle)
    variables = other.init(jax.random.key(0), features, valid)
    assert set(variables["params"]["unet"]) - set(_shapes(plain)["params"]["unet"]) == {"middle"}
    found = other.apply(variables, features, valid)
    before = plain.apply(variables, features, valid)
    expected = np.asarray(before.bottleneck, np.float64)[0, 0].mean((0, 1))
    np.testing.assert_allclose(
        found.bottleneck, np.broadcast_to(expected, before.bottleneck.shape), atol=1e-5
    )
    assert np.abs(found.pixels - before.pixels).max() > 1e-2  # what is above it sees it too


class Sum(nn.Module):
    """Another head, for one number of each pixel."""

    backbone: nn.Module

    def setup(self):
        nn.share_scope(self, self.backbone)
        self.number = nn.Dense(1)

    def __call__(self, features):
        return self.number(self.backbone(features).pixels)


def test_heads_share_one_backbone_by_the_names_of_its_parameters():
    segmenter, other = _shapes(build_segmenter(SMALL)), _shapes(Sum(build_backbone(SMALL)))
    backbone = _shapes(build_backbone(SMALL))["params"]
    assert set(backbone) == {"stem", "unet"}
    for params, head in (
        (segmenter["params"], {"head", "shortcut"}),
        (other["params"], {"number"}),
    ):
        assert set(params) - set(backbone) == head
        for name in backbone:
            assert jax.tree.map(jnp.shape, params[name]) == jax.tree.map(jnp.shape, backbone[name])


def test_features_of_another_kind_are_refused():
    with pytest.raises(ValueError, match=r"features must have shape \[B, T, H, W, 3\]"):
        jax.eval_shape(build_segmenter(SMALL).init, jax.random.key(0), np.zeros((1, 1, 8, 8, 2)))
    with pytest.raises(ValueError, match="expected the residual"):
        network_features(jnp.zeros((1, 1, 8, 8, 2)), "residual")
    with pytest.raises(ValueError, match="'color': expected one of raw, "):
        network_features(jnp.zeros((1, 1, 8, 8, 2)), "color")
