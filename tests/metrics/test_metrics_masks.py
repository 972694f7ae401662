"""Masks as bits against the same on arrays of bool, and distances by scipy."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from jaxmotion.metrics import masks as bitmasks

few = settings(deadline=None, max_examples=40)
sizes = st.tuples(st.integers(1, 40), st.sampled_from([1, 5, 63, 64, 65, 100, 127, 128, 129, 200]))


def blobs(seed, shape):
    rng = np.random.default_rng(seed)
    return ndimage.gaussian_filter(rng.normal(size=shape), 1.5) > rng.uniform(-0.1, 0.3)


@few
@given(st.integers(0, 10**6), sizes)
def test_packing_keeps_every_pixel(seed, shape):
    mask = blobs(seed, shape)
    words = bitmasks.pack(mask)
    np.testing.assert_array_equal(bitmasks.unpack(words, shape[1]), mask)
    assert bitmasks.count(words) == mask.sum()
    other = blobs(seed + 1, shape)
    np.testing.assert_array_equal(
        bitmasks.unpack(words & ~bitmasks.pack(other), shape[1]), mask & ~other
    )


@few
@given(st.integers(0, 10**6), sizes)
def test_outline_differs_from_a_neighbor(seed, shape):
    mask = blobs(seed, shape)
    expected = np.zeros(shape, bool)
    for y in range(shape[0]):
        for x in range(shape[1]):
            for down, right in ((0, 1), (1, 0), (1, 1)):
                if y + down < shape[0] and x + right < shape[1]:
                    expected[y, x] |= mask[y, x] != mask[y + down, x + right]
    found = bitmasks.outline(bitmasks.pack(mask), shape[1])
    np.testing.assert_array_equal(bitmasks.unpack(found, shape[1]), expected)


@few
@given(st.integers(0, 10**6), sizes, st.sampled_from([0, 1, 2, 3, 8, 17, 63, 64, 65, 130]))
@example(0, (30, 854), 8)
def test_dilation_is_a_distance(seed, shape, radius):
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    for _ in range(rng.integers(1, 4)):
        mask[rng.integers(shape[0]), rng.integers(shape[1])] = True
    expected = ndimage.distance_transform_edt(~mask) <= radius
    found = bitmasks.dilate(bitmasks.pack(mask), shape[1], radius)
    np.testing.assert_array_equal(bitmasks.unpack(found, shape[1]), expected)
    assert bitmasks.count(found) == expected.sum()  # no stray bits past the last column


def test_nothing_grows_out_of_nothing():
    words = bitmasks.pack(np.zeros((7, 70), bool))
    assert not bitmasks.dilate(words, 70, 5).any()
    assert not bitmasks.outline(words, 70).any()


@pytest.mark.parametrize("width", [10, 64, 90])
def test_labels_are_packed_one_by_one(width):
    labels = np.random.default_rng(0).integers(0, 5, (6, width)).astype(np.uint8)
    packed = bitmasks.pack_labels(labels, [4, 0, 9])
    for words, value in zip(packed, [4, 0, 9], strict=True):
        np.testing.assert_array_equal(bitmasks.unpack(words, width), labels == value)
