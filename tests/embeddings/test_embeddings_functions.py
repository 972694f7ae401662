"""Mixing functions and Gaussians of instances, against values made by other code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.embeddings import (
    MODES,
    coordinate_grid,
    instance_gaussians,
    mix,
    num_dimensions,
    num_free,
    probabilities,
)


@pytest.fixture(scope="module")
def oracle(shared):
    return np.load(shared / "oracles" / "embeddings" / "mixing.npz")


@pytest.mark.parametrize("mode", MODES)
def test_mixing_is_that_of_the_oracle(oracle, mode):
    for size in ("5x9", "6x4"):
        raw, mixed = (oracle[f"{kind}_{mode}_{size}"] for kind in ("raw", "mixed"))
        assert raw.shape[-1] == num_dimensions(mode)
        np.testing.assert_allclose(mix(raw[None], mode)[0], mixed, rtol=1e-5, atol=1e-6)
        with jax.enable_x64(True):
            np.testing.assert_allclose(mix(raw[None], mode)[0], mixed, rtol=0, atol=1e-6)


def test_coordinates_reach_the_border_and_free_channels_have_none():
    grid = coordinate_grid((3, 5, 9), "xytff", time_scale=0.5)
    t, y, x, *free = np.moveaxis(grid, -1, 0)
    assert (t.min(), t.max()) == (-0.5, 0.5)
    assert (y.min(), y.max()) == (-1, 1)
    assert (x.min(), x.max()) == (-1.8, 1.8)
    assert not np.any(free)
    assert num_free("xytff") == 2
    # Frames that fill a clip up do not change the time of the others.
    np.testing.assert_array_equal(coordinate_grid((4, 5, 9), "xytff", 0.5, 3)[:3], grid)
    with pytest.raises(ValueError, match="mode 'yx': expected one of xy, ff"):
        coordinate_grid((1, 2, 3), "yx")
    with pytest.raises(ValueError, match=r"raw must have shape \[B, T, H, W, 4\]"):
        mix(jnp.zeros((1, 1, 2, 3, 5)), "xyff")


def example(seed=0, instances=3):
    rng = np.random.default_rng(seed)
    shape = (2, 3, 6, 8)
    labels = rng.integers(0, instances + 1, shape)
    return rng.normal(size=(*shape, 4)), rng.normal(size=(*shape, 2)), labels


def test_gaussians_are_means_over_the_known_pixels_of_the_clip():
    embedding, log_bandwidth, labels = example()
    labels[1][labels[1] == 2] = 0
    valid = (np.random.default_rng(1).random(labels.shape) < 0.8).astype(np.float32)
    embedding[valid == 0] = np.nan
    found = instance_gaussians(
        embedding, log_bandwidth, labels, 4, free_std=(0.3, 0.5), valid=jnp.asarray(valid)
    )
    for b in range(2):
        for n in range(4):
            inside = (labels[b] == n + 1) & (valid[b] > 0)
            assert found.size[b, n] == inside.sum()
            mean, width = np.zeros(4), np.ones(4)
            if inside.any():
                mean = embedding[b][inside].mean(axis=0)
                width[:2] = 10 * np.exp(log_bandwidth[b][inside]).mean(axis=0)
                width[2:] = 1 / 0.3**2, 1 / 0.5**2
            np.testing.assert_allclose(found.mean[b, n], mean, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(found.bandwidth[b, n], width, rtol=1e-5)
    with pytest.raises(ValueError, match=r"free_std \(0.3,\): expected 2 numbers"):
        instance_gaussians(embedding, log_bandwidth, labels, 3, free_std=(0.3,))


def test_probability_falls_with_the_distance_in_bandwidths():
    embedding, _, _ = example()
    mean, width = np.zeros((2, 3, 4)), np.random.default_rng(3).uniform(0.1, 2, (2, 3, 4))
    mean[:, 1] = embedding[:, 1, 2, 3]
    found = np.asarray(probabilities(embedding, mean, width))
    squared = (embedding[:, None] - mean[:, :, None, None, None]) ** 2
    expected = np.exp(-0.5 * (squared * width[:, :, None, None, None]).sum(-1))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    assert (found[:, 1, 1, 2, 3] == 1).all()
