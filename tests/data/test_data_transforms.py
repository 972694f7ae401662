import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.data import (
    Mirror,
    Resize,
    Turn,
    resize_flow,
    resize_flow_and_valid,
    resize_labels,
    resize_masks,
)

sizes = st.tuples(st.integers(1, 13), st.integers(1, 13))


def reference_resize(array, size):
    """JAX's half-pixel bilinear resize without antialiasing, on `[..., H, W, C]`."""
    shape = (*array.shape[:-3], *size, array.shape[-1])
    return np.asarray(jax.image.resize(array, shape, "linear", antialias=False))


@settings(max_examples=15, deadline=None)
@given(sizes, sizes, st.sampled_from([1, 2, 3, 5, 9]))
def test_bilinear_equals_jax(size, new_size, channels):
    array = np.random.default_rng(0).normal(size=(2, *size, channels)).astype(np.float32)
    expected = reference_resize(array, new_size)
    np.testing.assert_allclose(resize_masks(array, new_size), expected, atol=2e-5)
    if channels == 2:
        np.testing.assert_allclose(resize_flow(array, new_size), expected, atol=2e-5)


def test_vectors_keep_their_length_unless_asked():
    flow = np.broadcast_to(np.float32([3, 5]), (2, 7, 9, 2))
    np.testing.assert_allclose(resize_flow(flow, (14, 27)), np.full((2, 14, 27, 2), [3, 5]))
    rescaled = resize_flow(flow, (14, 27), rescale_vectors=True)
    np.testing.assert_allclose(rescaled, np.full((2, 14, 27, 2), [9, 10]))


def test_rescaled_flow_of_a_zoom_is_the_zoom_at_the_new_size():
    """A pixel at p moves to 1.1 p: true at any resolution when vectors are rescaled."""

    def zoom(height, width):
        y, x = np.mgrid[:height, :width] + 0.5
        return 0.1 * np.stack([x, y], -1).astype(np.float32)

    resized = resize_flow(zoom(20, 30), (40, 90), rescale_vectors=True)
    np.testing.assert_allclose(resized[2:-2, 3:-3], zoom(40, 90)[2:-2, 3:-3], atol=1e-4)


def test_area_is_the_mean_of_what_goes_in():
    flow = np.random.default_rng(0).normal(size=(3, 8, 12, 2)).astype(np.float32)
    expected = flow.reshape(3, 4, 2, 4, 3, 2).mean((2, 4))
    np.testing.assert_allclose(resize_flow(flow, (4, 4), method="area"), expected, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(sizes, sizes, st.integers(1, 6))
def test_resized_masks_are_probabilities(size, new_size, count):
    masks = np.random.default_rng(0).dirichlet(np.ones(count), (2, *size)).astype(np.float32)
    resized = resize_masks(masks, new_size)
    assert resized.shape == (2, *new_size, count)
    assert resized.min() >= -1e-6
    np.testing.assert_allclose(resized.sum(-1), 1, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(sizes, sizes)
def test_labels_come_from_the_nearest_center(size, new_size):
    labels = np.random.default_rng(0).integers(0, 5, (2, *size))
    resized = resize_labels(labels, new_size)
    assert resized.dtype == labels.dtype
    for i in range(new_size[0]):
        for j in range(new_size[1]):
            # the new pixel's center, and the distance to the chosen and to the best old center
            y, x = (i + 0.5) * size[0] / new_size[0], (j + 0.5) * size[1] / new_size[1]
            rows = np.abs(np.arange(size[0]) + 0.5 - y)
            columns = np.abs(np.arange(size[1]) + 0.5 - x)
            near = labels[
                :, np.isclose(rows, rows.min())[:, None] & np.isclose(columns, columns.min())
            ]
            assert (near == resized[:, i, j][:, None]).any(axis=1).all()


def test_resizing_to_the_same_size_changes_nothing():
    array = np.random.default_rng(0).normal(size=(2, 5, 7, 2)).astype(np.float32)
    np.testing.assert_array_equal(resize_flow(array, (5, 7)), array)
    np.testing.assert_array_equal(resize_labels(array[..., 0], (5, 7)), array[..., 0])


@pytest.mark.parametrize("new_size", [(4, 4), (16, 24), (9, 5)])
def test_unknown_vectors_leak_into_nothing(new_size):
    valid = np.ones((2, 8, 12))
    valid[:, 2:5, 3:9] = 0
    flow = np.where(valid[..., None] > 0, np.float32([3, -4]), np.float32(1e9))
    resized, known = resize_flow_and_valid(flow, valid, new_size)
    np.testing.assert_allclose(
        resized[known > 0], np.full((int(known.sum()), 2), [3, -4]), rtol=1e-5
    )
    np.testing.assert_array_equal(resized[known == 0], 0)
    assert 0 < known.mean() < 1
    expected = reference_resize(valid[..., None].astype(np.float32), new_size)[..., 0]
    clear = np.abs(expected - 0.5) > 1e-3
    np.testing.assert_array_equal(known[clear], (expected > 0.5)[clear])


def test_all_known_and_none_known():
    flow = np.ones((1, 4, 6, 2), np.float32)
    resized, known = resize_flow_and_valid(flow, np.ones((1, 4, 6)), (8, 9))
    assert known.all()
    np.testing.assert_allclose(resized, 1)
    resized, known = resize_flow_and_valid(flow, np.zeros((1, 4, 6)), (8, 9))
    assert not known.any()
    np.testing.assert_array_equal(resized, 0)


def whole_clip(size=(6, 8), frames=2):
    """All fields of one thing, a rectangle that moves; a corner is unknown."""
    inside = np.zeros((frames, *size), bool)
    inside[:, 1:3, 2:6] = True
    valid = np.ones(inside.shape, np.float32)
    valid[:, -1, -1] = 0
    return {
        "flow": np.where(inside[..., None], np.float32([3, -2]), np.float32([0.5, 0.25])),
        "valid": valid,
        "labels": inside * np.int32(7),
        "instances": inside * np.int32(1),
        "void": valid == 0,
        "frames": np.repeat(inside[..., None] * np.uint8(200), 3, -1),
        "boxes": np.tile(np.float32([2 / 8, 1 / 6, 4 / 8, 2 / 6]), (frames, 1)),
        "name": "a/00000",
    }


def box_of(labels):
    """Around what is not 0, as shares, by brute force."""
    rows, columns = np.nonzero(labels)
    height, width = labels.shape
    low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
    size = (high[0] - low[0]) / width, (high[1] - low[1]) / height
    return [low[0] / width, low[1] / height, *size]


@pytest.mark.parametrize("change", [Mirror(), Turn(), Resize((12, 24))])
def test_all_fields_of_a_clip_are_changed_alike(change):
    clip = change(whole_clip())
    assert clip["name"] == "a/00000"
    for t in range(2):
        inside = clip["labels"][t] == 7
        np.testing.assert_array_equal(clip["instances"][t] == 1, inside)
        np.testing.assert_allclose(clip["boxes"][t], box_of(inside), atol=1e-6)
        assert ((clip["frames"][t, ..., 0] > 100) == inside).all()
        assert clip["flow"].shape[1:3] == clip["valid"].shape[1:] == inside.shape
        if not isinstance(change, Resize):  # which takes the nearest of one, and half of the other
            np.testing.assert_array_equal(clip["void"][t], clip["valid"][t] == 0)
    for name, array in whole_clip().items():
        if name != "name":
            assert clip[name].dtype == array.dtype


def test_vectors_turn_and_mirror_with_the_picture():
    """A point and where it goes to stay together: by the place of one pixel and of its target."""
    size = (9, 11)
    for change in (Mirror(), Turn()):
        for y, x, u, v in ((4, 5, 3, -2), (1, 2, -1, 4), (7, 8, 0, 1)):
            flow = np.zeros((1, *size, 2), np.float32)
            flow[0, y, x] = (u, v)
            start, end = np.zeros((2, 1, *size), np.int32)
            start[0, y, x] = end[0, y + v, x + u] = 1
            found = change({"flow": flow, "labels": start, "instances": end})
            (_, y1, x1), (_, y2, x2) = (np.argwhere(found[k])[0] for k in ("labels", "instances"))
            np.testing.assert_array_equal(found["flow"][0, y1, x1], [x2 - x1, y2 - y1])


def test_resizing_a_clip_is_resizing_its_fields():
    clip, size = whole_clip(), (3, 5)
    found = Resize(size)(clip)
    flow, valid = resize_flow_and_valid(clip["flow"], clip["valid"], size)
    np.testing.assert_array_equal(found["flow"], flow)
    np.testing.assert_array_equal(found["valid"], valid)
    np.testing.assert_array_equal(found["labels"], resize_labels(clip["labels"], size))
    # Half the size: the mean over each block of four pixels.
    blocks = clip["frames"].reshape(2, 3, 2, 4, 2, 3).mean((2, 4))
    assert np.abs(Resize((3, 4))(clip)["frames"] - blocks).max() <= 0.5
