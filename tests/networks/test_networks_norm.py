import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.networks.norm import block_mean, normalize, present, shrink


def blocks_of(num_frames, frames):
    """The frames whose statistics each frame takes, as plain as can be."""
    for t in range(num_frames):
        start = t // frames * frames
        if start + frames > num_frames:  # the last block is short
            yield range(max(num_frames - frames, 0), num_frames)
        else:
            yield range(start, start + frames)


@pytest.mark.parametrize(
    ("num_frames", "frames"), [(1, 9), (7, 9), (9, 9), (10, 9), (20, 9), (5, 1)]
)
def test_normalize_against_float64(num_frames, frames):
    rng = np.random.default_rng(num_frames)
    x = rng.normal(3, 2, size=(2, num_frames, 5, 7, 4)).astype(np.float32)
    weight = rng.uniform(size=(2, num_frames, 5, 7, 1)).astype(np.float32)
    y = x.astype(np.float64)
    expected = np.empty_like(y)
    for t, block in enumerate(blocks_of(num_frames, frames)):
        w = weight[:, list(block)].astype(np.float64)
        total = w.sum((1, 2, 3), keepdims=True)
        mean = (y[:, list(block)] * w).sum((1, 2, 3), keepdims=True) / total
        variance = (np.square(y[:, list(block)] - mean) * w).sum((1, 2, 3), keepdims=True) / total
        expected[:, t] = ((y[:, t : t + 1] - mean) / np.sqrt(variance + 1e-5))[:, 0]
    np.testing.assert_allclose(
        normalize(jnp.asarray(x), jnp.asarray(weight), frames), expected, atol=2e-5
    )


@pytest.mark.parametrize("num_frames", [1, 8, 9, 10, 18, 20])
def test_padding_behind_a_clip_changes_no_statistic(num_frames):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, num_frames, 3)).astype(np.float32)
    count = np.ones((2, num_frames, 1), np.float32)
    padded = np.concatenate([values, 100 * np.ones((2, 6, 3), np.float32)], axis=1)
    nothing = np.concatenate([count, np.zeros((2, 6, 1), np.float32)], axis=1)
    np.testing.assert_allclose(
        block_mean(jnp.asarray(padded), jnp.asarray(nothing), 9)[:, :num_frames],
        block_mean(jnp.asarray(values), jnp.asarray(count), 9),
        atol=1e-6,
    )


def test_nothing_known_is_finite():
    x = jnp.ones((1, 4, 3, 3, 2))
    assert np.isfinite(normalize(x, jnp.zeros((1, 4, 3, 3, 1)), 3)).all()


def test_known_share_of_patches():
    weight = np.zeros((1, 2, 4, 4, 1), np.float32)
    weight[0, 0, 0, 0] = 1
    np.testing.assert_array_equal(shrink(jnp.asarray(weight), 2)[0, 0, ..., 0], [[0.25, 0], [0, 0]])
    np.testing.assert_array_equal(present(jnp.asarray(weight)).ravel(), [1, 0])
