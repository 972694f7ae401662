"""Losses of flow by the frames, against float64 forms written pixel by pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion import motion
from jaxmotion.losses import photometric

B, H, W = 2, 9, 11


def drawn(seed, *shape):
    return np.random.default_rng(seed).random(shape)


def holes(seed, share=0.3):
    return (drawn(seed, B, H, W) > share).astype(float)


def at(image, y, x):
    """Bilinear value of `[H, W, C]` at a place inside, by its four neighbors."""
    top, left = int(np.floor(y)), int(np.floor(x))
    value = 0.0
    for row in (top, top + 1):
        for column in (left, left + 1):
            weight = (1 - abs(y - row)) * (1 - abs(x - column))
            if weight > 0:
                value = value + weight * image[row, column]
    return value


def test_warp_is_bilinear_inside_and_zero_outside():
    image, flow = drawn(0, B, H, W, 3), 6 * drawn(1, B, 4, 5, 2) - 3
    origin = np.array([[2.0, 3.0], [6.0, 5.0]])
    flow[0, 0, 0] = -2, -3  # the first pixel of all
    flow[0, 0, 1] = W - 1 - 3, H - 1 - 3  # the last one
    with jax.enable_x64():
        found, inside = photometric.warp(jnp.asarray(image), flow, origin)
    for b, y, x in np.ndindex(B, 4, 5):
        column, row = np.array([x, y]) + origin[b] + flow[b, y, x]
        there = 0 <= column <= W - 1 and 0 <= row <= H - 1
        assert inside[b, y, x] == there
        expected = at(image[b], row, column) if there else 0
        np.testing.assert_allclose(found[b, y, x], np.broadcast_to(expected, 3), atol=1e-12)
    assert inside[0, 0, 0] == inside[0, 0, 1] == 1


def test_warp_has_the_gradient_of_finite_differences():
    image, flow = drawn(0, 1, H, W, 2), 2 * drawn(1, 1, H, W, 2)
    with jax.enable_x64():

        def total(f):
            return jnp.sum(jnp.sin(5 * photometric.warp(jnp.asarray(image), f)[0]))

        gradient, way = jax.grad(total)(jnp.asarray(flow)), drawn(2, *flow.shape)
        ahead, back = (total(jnp.asarray(flow + step * way)) for step in (1e-7, -1e-7))
        np.testing.assert_allclose((ahead - back) / 2e-7, np.sum(gradient * way), rtol=1e-5)


def plain_census(image0, image1, window, noise, valid):
    gray0, gray1 = 255 * image0.mean(-1), 255 * image1.mean(-1)
    result = []
    for b in range(B):
        total = 0.0
        for y, x in np.ndindex(H, W):
            found, count = 0.0, 0.0
            for v in range(y - window // 2, y + window // 2 + 1):
                for u in range(x - window // 2, x + window // 2 + 1):
                    inside = 0 <= v < H and 0 <= u < W and (v, u) != (y, x)
                    if inside and valid[b, v, u]:
                        apart = [g[b, v, u] - g[b, y, x] for g in (gray0, gray1)]
                        told = [d / np.sqrt(noise**2 + d**2) for d in apart]
                        square = (told[0] - told[1]) ** 2
                        found += square / (0.1 + square)
                        count += 1
            total += valid[b, y, x] * found / max(count, 1)
        result.append(total / max(valid[b].sum(), 1))
    return result


def plain_ssim(image0, image1, window, valid):
    result = []
    for b in range(B):
        values = []
        for y in range(H - window + 1):
            for x in range(W - window + 1):
                part = np.s_[b, y : y + window, x : x + window]
                if not valid[part].all():
                    continue
                p, q = (i[part].reshape(-1, i.shape[-1]) for i in (image0, image1))
                covariance = (p * q).mean(0) - p.mean(0) * q.mean(0)
                likeness = (2 * p.mean(0) * q.mean(0) + 1e-4) * (2 * covariance + 9e-4)
                likeness /= (p.mean(0) ** 2 + q.mean(0) ** 2 + 1e-4) * (p.var(0) + q.var(0) + 9e-4)
                values.append((1 - likeness.mean()) / 2)
        result.append(np.mean(values) if values else 0.0)
    return result


@pytest.mark.parametrize("share", [0.0, 0.1, 1.1])
def test_census_and_ssim_are_their_plain_forms(share):
    image0, image1, valid = drawn(0, B, H, W, 3), drawn(1, B, H, W, 3), holes(2, share)
    image1 = 0.5 * image0 + 0.5 * image1
    given_ = tuple(jnp.float32(x) for x in (image0, image1))
    found = photometric.census(*given_, window=5, noise=3.0, valid=jnp.float32(valid))
    np.testing.assert_allclose(found, plain_census(image0, image1, 5, 3.0, valid), rtol=1e-4)
    found = photometric.ssim(*given_, window=3, valid=jnp.float32(valid))
    np.testing.assert_allclose(found, plain_ssim(image0, image1, 3, valid), rtol=1e-4, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(gain=st.floats(0.8, 1.2), offset=st.floats(-0.05, 0.05), seed=st.integers(0, 9))
def test_gain_and_offset_hardly_change_the_census(gain, offset, seed):
    image = jnp.float32(0.1 + 0.8 * drawn(seed, B, H, W, 1))
    other = jnp.float32(drawn(seed + 10, B, H, W, 1))
    assert (photometric.census(image, gain * image + offset) < 0.02).all()
    assert (photometric.census(image, other) > 0.3).all()


def test_what_is_not_valid_counts_nowhere():
    image0, image1, valid = drawn(0, B, H, W, 1), drawn(1, B, H, W, 1), holes(2)
    changed = np.where(valid[..., None] > 0, image1, 7.0)
    for loss in (photometric.census, photometric.ssim):
        one, other = (
            loss(jnp.float32(image0), jnp.float32(x), valid=jnp.float32(valid), window=3)
            for x in (image1, changed)
        )
        np.testing.assert_array_equal(one, other)


def test_smoothness_is_equation_7_39():
    flow, image = drawn(0, B, H, W, 2), drawn(1, B, H, W, 3)
    expected = np.zeros(B)
    for b in range(B):
        for dy, dx in ((1, 0), (0, 1)):
            terms = []
            for y, x in np.ndindex(H - dy, W - dx):
                step = np.abs(flow[b, y + dy, x + dx] - flow[b, y, x]).sum()
                edge = np.abs(image[b, y + dy, x + dx] - image[b, y, x]).mean()
                terms.append(step * np.exp(-20 * edge))
            expected[b] += np.mean(terms)
    found = photometric.smoothness(jnp.float32(flow), jnp.float32(image), edge=20.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_sparsity_is_of_what_moves_otherwise():
    model = motion.MotionModel(spatial="quadratic")
    size = (12, 16)
    theta = jnp.array([1.0, 0.5, -0.3, 0.2, 0.1, 0.0, -0.5, 0.1, 0.4, 0.0, 0.2, 0.1])
    camera = np.asarray(motion.parametric_flow(model, theta[None, None], (1, *size)))[0, 0]
    image = np.zeros((1, *size, 1))
    own = np.zeros((1, *size, 2))
    own[0, 4:6, 5:8] = 3, 4

    def loss(f, image1=image):
        return float(
            photometric.sparsity(
                jnp.float32(f), jnp.float32(image), jnp.float32(image1), change=10
            )[0]
        )

    assert loss(camera) < 1e-3
    assert loss(camera + own) == pytest.approx(5 * 6 / (12 * 16), rel=0.02)
    # Where the frame changes, something may move: e^-1 for a change of 0.1 all around.
    assert loss(own, image + 0.1) == pytest.approx(5 * 6 / (12 * 16) / np.e, rel=0.02)
    gradient = jax.grad(
        lambda f: photometric.sparsity(f, jnp.float32(image), jnp.float32(image), change=10)[0]
    )
    direction = gradient(jnp.float32(own))[0, 4, 5] * 12 * 16
    np.testing.assert_allclose(direction, [0.6, 0.8], atol=0.02)
    assert np.isfinite(gradient(jnp.zeros((1, *size, 2)))).all()


def test_what_becomes_hidden_is_not_visible():
    """A square moves by 4 px over a still ground: it hides the 4 columns ahead of it."""
    flow, back = np.zeros((1, 10, 20, 2)), np.zeros((1, 10, 20, 2))
    flow[0, 3:7, 5:9, 0], back[0, 3:7, 9:13, 0] = 4, -4
    hidden = np.zeros((10, 20), bool)
    hidden[3:7, 9:13] = True
    found = photometric.visible(jnp.float32(flow), jnp.float32(back))
    np.testing.assert_array_equal(found[0] == 0, hidden)
    away = jnp.full((1, 10, 20, 2), 50.0)
    assert photometric.visible(away, away).all()  # outside: nothing is known


def test_sequence_weighs_later_ones_more():
    losses = drawn(0, 3, B)
    found = photometric.sequence(jnp.float32(losses), 0.8)
    np.testing.assert_allclose(found, 0.64 * losses[0] + 0.8 * losses[1] + losses[2], rtol=1e-6)


def test_wrong_shapes_are_named():
    image = jnp.zeros((1, 4, 4, 3))
    with pytest.raises(ValueError, match="image1 must have shape"):
        photometric.census(image, image[..., :1])
    with pytest.raises(ValueError, match="flow must have shape"):
        photometric.smoothness(image, image, edge=1.0)
