"""The frame classifier: both orders of its layers, any size, unknown pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.errors import InputError
from jaxmotion.networks.classifier import (
    CHANNELS,
    build_classifier,
    classifier_features,
)
from jaxmotion.networks.classifier_config import ClassifierConfig

CONFIG = ClassifierConfig(widths=(4, 6, 8))


def network(seed=0, shape=(2, 3, 16, 24)):
    rng = np.random.default_rng(seed)
    module = build_classifier(CONFIG)
    x = jnp.asarray(rng.normal(size=(*shape, CHANNELS[CONFIG.input])), jnp.float32)
    params = module.init(jax.random.key(seed), x)["params"]
    noise = lambda leaf: leaf + jnp.asarray(rng.normal(0, 0.3, leaf.shape), jnp.float32)  # noqa: E731
    return module, jax.tree.map(noise, params), x


def interpreted(params, frame):
    """Convolution and norm merged, ReLU, then pooling (eq. 5.2), in float64.

    The statistics are those of the order of training, of the pooled features, and are constants.
    """
    x = np.asarray(frame, np.float64)
    for number, extent in enumerate(CONFIG.kernels):
        kernel, bias = (
            np.asarray(params[f"Conv_{number}"]["Conv_0"][name], np.float64)
            for name in ("kernel", "bias")
        )
        height, width = x.shape[:2]
        reach = extent // 2
        padded = np.pad(x, [(reach, reach), (reach, reach), (0, 0)])
        at = lambda i, j: padded[i : i + height, j : j + width]  # noqa: B023, E731
        window = [(i, j) for i in range(extent) for j in range(extent)]
        plain = sum(at(i, j) @ kernel[i, j] for i, j in window) + bias
        cells = lambda y: y.reshape(height // 2, 2, width // 2, 2, -1).max(axis=(1, 3))  # noqa: B023, E731
        pooled = cells(plain)
        scale = 1 / np.sqrt(pooled.var(axis=(0, 1)) + 1e-5)
        merged = sum(at(i, j) @ (kernel[i, j] * scale) for i, j in window)
        merged += scale * (bias - pooled.mean(axis=(0, 1)))
        x = cells(np.maximum(merged, 0))
    dense = params["Dense_0"]
    pooled = np.concatenate([x.mean(axis=(0, 1)), x.max(axis=(0, 1))])
    return pooled @ np.asarray(dense["kernel"])[:, 0] + float(dense["bias"][0])


def test_the_order_of_training_and_that_of_interpretation_are_one_function():
    module, params, x = network()
    found = module.apply({"params": params}, x)
    expected = [[interpreted(params, frame) for frame in clip] for clip in x]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def fields(seed=0, shape=(1, 2, 12, 16)):
    rng = np.random.default_rng(seed)
    motion, residual = rng.normal(size=(2, *shape, 2)).astype(np.float32)
    return 3 * motion + residual, residual, np.ones(shape, np.float32)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), angle=st.floats(0, 6.3), unit=st.floats(0.1, 10))
def test_directions_know_neither_the_axes_nor_the_unit_of_vectors(seed, angle, unit):
    flow, residual, valid = fields(seed)
    turn = unit * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = classifier_features(
        (flow @ turn.T).astype(np.float32),
        (residual @ turn.T).astype(np.float32),
        "directions",
        valid,
    )
    plain = classifier_features(flow, residual, "directions", valid)
    # The scale is a mean of components, which depends on the axes by up to a factor of sqrt(2).
    assert plain.shape[-1] == CHANNELS["directions"]
    for part in (slice(0, 2), slice(2, 4)):
        angles = [np.arctan2(f[..., part][..., 1], f[..., part][..., 0]) for f in (turned, plain)]
        apart = np.angle(np.exp(1j * (angles[0] - angles[1])))
        assert np.abs(apart).max() < 1e-2


def test_nothing_moves_across_where_a_camera_moves_through_a_still_scene():
    """Near things move as the scene behind them, only faster."""
    _, _, valid = fields()
    motion = np.broadcast_to(np.array([2.0, -1.0], np.float32), (*valid.shape, 2))
    near = np.where(np.arange(16) < 5, 1.5, 0.1)[None, None, None, :, None].astype(np.float32)
    still = np.asarray(classifier_features(motion * (1 + near), motion * near, "directions", valid))
    assert np.abs(still[..., [1, 3]]).max() < 1e-5
    assert (still[..., [0, 2]] > 0).all()
    np.testing.assert_allclose(still[..., 0], still[..., 4], rtol=1e-5)


def test_features_of_what_is_unknown_are_zero_and_count_in_no_scale():
    flow, residual, valid = fields()
    valid[:, :, 3:6, 2:9] = 0
    broken = [np.where(valid[..., None] > 0, field, np.nan) for field in (flow, residual)]
    zeroed = [np.where(valid[..., None] > 0, field, 0) for field in (flow, residual)]
    found, expected = (
        classifier_features(pair[0], pair[1], "directions", valid) for pair in (broken, zeroed)
    )
    np.testing.assert_array_equal(found, expected)
    assert not np.asarray(found)[valid == 0].any()
    assert not np.asarray(classifier_features(0 * flow, 0 * residual, "directions", valid)).any()


def test_frames_are_judged_each_by_itself():
    module, params, x = network()
    found = module.apply({"params": params}, x)
    alone = module.apply({"params": params}, x[1:, 2:])
    assert found.shape == (2, 3)
    np.testing.assert_allclose(alone[0, 0], found[1, 2], rtol=1e-5)


def test_any_size_is_taken_and_all_known_is_as_without_a_word():
    module, params, x = network(shape=(1, 1, 21, 35))
    everywhere = jnp.ones(x.shape[:-1])
    np.testing.assert_allclose(
        module.apply({"params": params}, x),
        module.apply({"params": params}, x, everywhere),
        rtol=1e-5,
    )
    nothing = module.apply({"params": params}, 0 * x, 0 * everywhere)
    assert np.isfinite(np.asarray(nothing)).all()


def test_kernels_that_fit_no_block_are_refused():
    with pytest.raises(InputError, match=r"network.kernels \(3, 3\): expected an odd number for"):
        ClassifierConfig(kernels=(3, 3))
    with pytest.raises(InputError, match=r"network.kernels \(3, 4, 3\)"):
        ClassifierConfig(kernels=(3, 4, 3))
