"""Local correlation and its lookup: against plain float64 forms, in memory, and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.networks.soflow.correlation import (
    expected_shift,
    local_correlation,
    lookup,
    smoothed,
)


def plain_correlation(features0, features1, radius, spacing=1):
    """Eq. 7.44 by a loop over the shifts."""
    _, height, width, channels = features0.shape
    volume = []
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            shifted = np.zeros_like(features1)
            y, x = dy * spacing, dx * spacing
            rows = slice(max(0, -y), min(height, height - y))
            columns = slice(max(0, -x), min(width, width - x))
            if rows.start < rows.stop and columns.start < columns.stop:
                shifted[:, rows, columns] = features1[
                    :, rows.start + y : rows.stop + y, columns.start + x : columns.stop + x
                ]
            volume.append((features0 * shifted).sum(axis=-1))
    return np.stack(volume, axis=-1) / np.sqrt(channels)


def plain_gradients(features0, features1, given, radius):
    """Eq. 7.51 and 7.53, with the factor that they leave out."""
    _, height, width, channels = features0.shape
    first, second = np.zeros_like(features0), np.zeros_like(features1)
    side = 2 * radius + 1
    for y in range(height):
        for x in range(width):
            for number in range(side * side):
                v, u = y + number // side - radius, x + number % side - radius
                if 0 <= v < height and 0 <= u < width:
                    weight = given[:, y, x, number, None] / np.sqrt(channels)
                    first[:, y, x] += weight * features1[:, v, u]
                    second[:, v, u] += weight * features0[:, y, x]
    return first, second


def drawn(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize(
    ("size", "radius", "spacing"),
    [((11, 21), 2, 1), ((3, 40), 9, 1), ((7, 16), 3, 2), ((5, 6), 4, 3)],
)
def test_it_is_the_plain_form(size, radius, spacing):
    first, second = drawn(0, 2, *size, 6), drawn(1, 2, *size, 6)
    expected = plain_correlation(first, second, radius, spacing)
    with jax.enable_x64():
        found = local_correlation(jnp.asarray(first), jnp.asarray(second), radius, spacing)
        np.testing.assert_allclose(found, expected, atol=1e-12)
    found = local_correlation(jnp.float32(first), jnp.float32(second), radius, spacing)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_its_gradients_are_those_of_the_thesis_and_finite_differences():
    first, second, given_ = drawn(0, 2, 5, 18, 3), drawn(1, 2, 5, 18, 3), drawn(2, 2, 5, 18, 25)
    with jax.enable_x64():

        def total(a, b):
            return jnp.sum(local_correlation(a, b, 2) * given_)

        gradients = jax.jit(jax.grad(total, (0, 1)))(first, second)
        for found, expected in zip(
            gradients, plain_gradients(first, second, given_, 2), strict=True
        ):
            np.testing.assert_allclose(found, expected, atol=1e-12)
        way = drawn(3, *first.shape)
        ahead, back = (total(first + step * way, second) for step in (1e-4, -1e-4))
        np.testing.assert_allclose((ahead - back) / 2e-4, np.sum(gradients[0] * way), rtol=1e-8)


def test_it_never_holds_the_shifted_copies():
    """The plain form takes 1,200 MB here, and its gradient as much."""
    shape = jax.ShapeDtypeStruct((1, 128, 224, 128), jnp.float32)

    def both(a, b):
        return local_correlation(a, b, 4)

    def gradient(a, b, given):
        volume, back = jax.vjp(both, a, b)
        return volume, back(given)

    volume = jax.ShapeDtypeStruct((1, 128, 224, 81), jnp.float32)
    for function, arguments, most in (
        (both, (shape, shape), 60),
        (gradient, (shape, shape, volume), 160),
    ):
        memory = jax.jit(function).lower(*arguments).compile().memory_analysis()
        assert memory.temp_size_in_bytes < most * 1e6, memory.temp_size_in_bytes / 1e6


def plain_lookup(volume, flow, radius):
    """Bilinear interpolation with four neighbors, pixel by pixel."""
    side = int(np.sqrt(volume.shape[-1]))
    reach = side // 2
    found = np.zeros((*volume.shape[:-1], (2 * radius + 1) ** 2))
    for b, y, x in np.ndindex(*volume.shape[:-1]):
        square = volume[b, y, x].reshape(side, side)
        for number in range((2 * radius + 1) ** 2):
            place_y = flow[b, y, x, 1] + number // (2 * radius + 1) - radius + reach
            place_x = flow[b, y, x, 0] + number % (2 * radius + 1) - radius + reach
            top, left = int(np.floor(place_y)), int(np.floor(place_x))
            for row in (top, top + 1):
                for column in (left, left + 1):
                    if 0 <= row < side and 0 <= column < side:
                        weight = (1 - abs(place_y - row)) * (1 - abs(place_x - column))
                        found[b, y, x, number] += weight * square[row, column]
    return found


def test_lookup_is_bilinear_and_zero_outside():
    volume, flow = drawn(0, 1, 4, 5, 49), 3 * drawn(1, 1, 4, 5, 2)
    flow[0, 0, 0], flow[0, 0, 1], flow[0, 0, 2] = (-3, 3), (50, 0), (0, 0)
    expected = plain_lookup(volume, flow, 2)
    with jax.enable_x64():
        np.testing.assert_allclose(lookup(jnp.asarray(volume), flow, 2), expected, atol=1e-12)
    assert not expected[0, 0, 1].any()
    np.testing.assert_array_equal(
        expected[0, 0, 2], volume[0, 0, 2].reshape(7, 7)[1:6, 1:6].ravel()
    )


def test_lookup_has_no_gather_and_a_gradient():
    volume, flow = drawn(0, 1, 3, 4, 25), drawn(1, 1, 3, 4, 2)

    def total(v):
        return jnp.sum(jnp.sin(lookup(v, flow, 1)))

    assert "gather" not in str(jax.make_jaxpr(jax.grad(total))(jnp.float32(volume)))
    with jax.enable_x64():
        gradient = jax.grad(total)(jnp.asarray(volume))
        way = drawn(2, *volume.shape)
        ahead, back = (total(jnp.asarray(volume + step * way)) for step in (1e-5, -1e-5))
        np.testing.assert_allclose((ahead - back) / 2e-5, np.sum(gradient * way), rtol=1e-7)


@settings(max_examples=10, deadline=None)
@given(dx=st.integers(-3, 3), dy=st.integers(-3, 3), seed=st.integers(0, 99))
def test_a_shifted_picture_is_found_at_its_shift(dx, dy, seed):
    features = drawn(seed, 1, 14, 20, 16)
    features /= np.linalg.norm(features, axis=-1, keepdims=True)
    moved = np.roll(features, (dy, dx), axis=(1, 2))
    volume = local_correlation(jnp.float32(features), jnp.float32(moved), 3)
    inner = volume[0, 3:-3, 3:-3]
    assert np.all(np.argmax(inner, axis=-1) == (dy + 3) * 7 + dx + 3)
    shift = expected_shift(volume, 1e3)[0, 3:-3, 3:-3]
    np.testing.assert_allclose(shift, np.broadcast_to([dx, dy], shift.shape), atol=1e-3)


def test_smoothing_is_centered():
    point = np.zeros((1, 9, 9, 1), np.float32)
    point[0, 4, 4] = 1
    for spacing in (1, 2):
        found = np.asarray(smoothed(jnp.asarray(point), spacing))[0, ..., 0]
        assert found.sum() == 1
        np.testing.assert_array_equal(found, found[::-1, ::-1])
        assert found[4, 4 + spacing] == 0.125


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: local_correlation(jnp.ones((1, 4, 4, 2)), jnp.ones((1, 4, 5, 2)), 1), "twice"),
        (lambda: lookup(jnp.ones((1, 4, 4, 16)), jnp.ones((1, 4, 4, 2)), 1), r"\(2R \+ 1\)²"),
    ],
)
def test_wrong_shapes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
