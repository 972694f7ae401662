import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.data.transforms import likeliest_labels
from jaxmotion.inference.outlines import sharpen


def disk(height, width, row, column, radius):
    rows, columns = np.mgrid[:height, :width]
    return (rows - row) ** 2 + (columns - column) ** 2 < radius**2


def soft(inside, size):
    """Two masks at another size, as a network gives them."""
    share = cv2.resize(inside.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    return np.stack([1 - share, share], axis=-1)


def jaccard(a, b):
    return (a & b).sum() / (a | b).sum()


def picture(inside, seed=0):
    """A disk before a ground of another color, both with noise of three gray levels."""
    rng = np.random.default_rng(seed)
    colors = np.where(inside[..., None], (180, 120, 60), (70, 110, 90))
    return np.clip(colors + rng.normal(0, 3, colors.shape), 0, 255).astype(np.uint8)


def case(seed, height, width, count):
    rng = np.random.default_rng(seed)
    masks = rng.dirichlet(np.full(count, 0.3), (height, width)).astype(np.float32)
    size = rng.integers(1, 60, 2)
    frame = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    return masks, frame


cases = st.builds(
    case, st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4)
)


def test_an_outline_that_is_off_comes_back_to_the_edge_of_the_object():
    truth = disk(160, 280, 80, 140, 40)
    frame = picture(truth)
    # 2 cells of 4 pixels to the side, and too large: where flow is blurred.
    masks = soft(disk(160, 280, 82, 145, 43), (40, 70))
    before = likeliest_labels(masks, truth.shape) == 1
    after = sharpen(masks, frame).argmax(axis=-1) == 1
    assert jaccard(before, truth) < 0.83
    assert jaccard(after, truth) > 0.97


def test_far_from_the_outlines_nothing_changes():
    """Neither something of the object's color elsewhere, nor another color inside of it."""
    truth = disk(200, 420, 100, 130, 60)
    frame = picture(truth | disk(200, 420, 100, 370, 20))
    frame[95:105, 125:135] = frame[0, 0]
    found = sharpen(soft(truth, (50, 105)), frame).argmax(axis=-1) == 1
    assert jaccard(found, truth) > 0.98
    assert not found[:, 300:].any()
    assert found[90:110, 120:140].all()


def test_a_straight_outline_stays_where_the_frame_shows_nothing():
    labels = np.zeros((30, 40), bool)
    labels[:, 17:] = True
    masks = np.stack([~labels, labels], axis=-1).astype(np.float32)
    found = sharpen(masks, np.full((120, 160, 3), 128, np.uint8)).argmax(axis=-1)
    np.testing.assert_array_equal(found, likeliest_labels(masks, (120, 160)))


def test_the_size_of_the_frame_hardly_matters():
    """Distances count in cells of the masks, so a frame of half the size has the same outlines."""
    truth = disk(320, 560, 160, 280, 80)
    masks = soft(disk(320, 560, 164, 290, 84), (40, 70))
    large = sharpen(masks, picture(truth)).argmax(axis=-1)
    small = sharpen(masks, picture(truth)[::2, ::2]).argmax(axis=-1)
    assert jaccard(large[::2, ::2] == 1, small == 1) > 0.98


def test_large_frames_are_reduced():
    frame = np.zeros((960, 1708, 3), np.uint8)
    frame[:, 900:] = 200
    masks = np.zeros((10, 20, 2), np.float32)
    masks[:, :10, 0] = masks[:, 10:, 1] = 1
    found = sharpen(masks, frame)
    assert found.shape == (480, 854, 2)
    assert (found.argmax(axis=-1)[:, 452:] == 1).all()
    assert (found.argmax(axis=-1)[:, :448] == 0).all()


@settings(max_examples=60, deadline=None)
@given(cases)
def test_probabilities_sum_to_one(given):
    masks, frame = given
    found = sharpen(masks, frame)
    assert found.shape == (*frame.shape[:2], masks.shape[-1])
    assert found.dtype == np.float32
    assert found.min() >= -1e-5
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(cases, st.integers(0, 10**6))
def test_the_names_of_segments_do_not_matter(given, seed):
    masks, frame = given
    order = np.random.default_rng(seed).permutation(masks.shape[-1])
    np.testing.assert_allclose(
        sharpen(masks[..., order], frame), sharpen(masks, frame)[..., order], atol=1e-4
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_video_has_mirrored_outlines(axis):
    truth = disk(80, 120, 37, 52, 21)
    masks, frame = soft(disk(80, 120, 39, 55, 22), (20, 30)), picture(truth)
    flipped = sharpen(np.flip(masks, axis), np.ascontiguousarray(np.flip(frame, axis)))
    np.testing.assert_allclose(np.flip(flipped, axis), sharpen(masks, frame), atol=1e-4)


def test_one_segment_alone_is_left_as_it_is():
    masks = np.zeros((4, 6, 3), np.float32)
    masks[..., 2] = 1
    found = sharpen(masks, np.zeros((24, 36, 3), np.uint8))
    assert (found[..., 2] == 1).all()
    assert (found[..., :2] == 0).all()
