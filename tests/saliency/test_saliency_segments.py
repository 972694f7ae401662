"""Choosing the segments that move, against float64 least squares and planted motions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxmotion as jm
from jaxmotion.saliency import SegmentResiduals, salient, segment_residuals

T, H, W = 5, 24, 32


def scene(motions: dict[int, tuple[float, float]], noise: float = 0.0, seed: int = 0):
    """Labels `[T, H, W]` of a background and two squares, and flow that moves each as it is told.

    The background also turns and grows, so that only a motion model of it explains it.
    """
    labels = np.zeros((T, H, W), np.uint8)
    for t in range(T):
        labels[t, 3:10, 3 + t : 11 + t] = 1
        labels[t, 14:21, 18 - t : 27 - t] = 2
    y, x = np.mgrid[-1 : 1 : H * 1j, -1 : 1 : W * 1j]
    flow = np.repeat(np.stack([1.5 + x - y, 0.5 + x + y + x * y], -1)[None], T, axis=0)
    for label, motion in motions.items():
        flow[labels == label] += motion
    flow += noise * np.random.default_rng(seed).normal(size=flow.shape)
    return labels, flow.astype(np.float32)


def one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[labels]


def test_residuals_are_those_of_a_least_squares_fit_of_each_segment():
    labels, flow = scene({1: (3, 0), 2: (0, -2)})
    y, x = np.mgrid[-1 : 1 : H * 1j, -1 : 1 : W * 1j]
    design = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)
    expected = np.zeros((3, 3))
    for frame, field in zip(labels, flow.astype(np.float64), strict=True):
        for b in range(3):  # each segment has an exact quadratic motion: any penalty finds it
            theta = np.linalg.lstsq(design[frame == b], field[frame == b], rcond=None)[0]
            residual = np.linalg.norm(field - design @ theta, axis=-1)
            expected[b] += [residual[frame == k].sum() for k in range(3)]
    found = segment_residuals(labels, flow, 3)
    np.testing.assert_allclose(found.total[0], expected[0], rtol=1e-3, atol=0.5)
    np.testing.assert_array_equal(found.pixels, np.bincount(labels.ravel(), minlength=3))


def test_residuals_of_two_parts_add_up_to_those_of_both():
    labels, flow = scene({1: (3, 0)}, noise=0.2)
    whole = segment_residuals(labels, flow, 3)
    parts = segment_residuals(labels[:2], flow[:2], 3) + segment_residuals(labels[2:], flow[2:], 3)
    np.testing.assert_allclose(parts.total, whole.total, rtol=1e-4, atol=1e-2)
    np.testing.assert_array_equal(parts.pixels, whole.pixels)


def test_what_moves_is_chosen_and_what_moves_as_the_background_is_not():
    labels, flow = scene({1: (3, 0), 2: (0.2, 0.1)}, noise=0.05)
    np.testing.assert_array_equal(
        jm.saliency.salient_segments(one_hot(labels), flow), [False, True, False]
    )
    np.testing.assert_array_equal(
        jm.saliency.salient_foreground(one_hot(labels), flow), labels == 1
    )


def test_nothing_moves_where_all_is_noise():
    labels, flow = scene({}, noise=0.1)
    assert not jm.saliency.salient_foreground(one_hot(labels), flow).any()


@settings(deadline=None, max_examples=15)
@given(st.permutations(range(3)), st.integers(0, 1000), st.floats(-20, 20), st.floats(-20, 20))
def test_the_choice_follows_the_segments_and_not_a_motion_of_the_camera(names, seed, u, v):
    labels, flow = scene({1: (3, 0), 2: (0.2, 0)}, noise=0.05, seed=seed)
    moved = flow + np.float32([u, v])
    chosen = jm.saliency.salient_segments(one_hot(np.array(names)[labels]), moved)
    assert np.flatnonzero(chosen).tolist() == [names[1]]


@pytest.mark.parametrize("held", [np.nan, np.inf, 1e30])
def test_unknown_pixels_count_nowhere(held):
    labels, flow = scene({1: (3, 0), 2: (0.2, 0)}, noise=0.05)
    valid = np.ones(labels.shape, np.uint8)
    valid[:, 12:16], valid[3] = 0, 0
    known = segment_residuals(labels, np.where(valid[..., None], flow, 0), 3, valid)
    with_rubbish = segment_residuals(labels, np.where(valid[..., None], flow, held), 3, valid)
    np.testing.assert_array_equal(with_rubbish.total, known.total)
    np.testing.assert_array_equal(known.pixels, np.bincount(labels[valid > 0].ravel(), minlength=3))


def test_a_handful_of_outliers_does_not_set_the_scale():
    residuals = SegmentResiduals(
        total=np.array([[10.0, 200.0, 90.0], [0, 0, 0], [0, 0, 0]]),
        pixels=np.array([1000.0, 100.0, 2.0]),
    )
    np.testing.assert_array_equal(salient(residuals), [False, True, True])


@pytest.mark.parametrize("pixels", [[0.0, 0.0], [5.0, 0.0]])
def test_a_video_of_which_nothing_is_known_or_all_is_background_has_no_foreground(pixels):
    residuals = SegmentResiduals(np.zeros((2, 2)), np.array(pixels))
    assert not salient(residuals).any()


def test_soft_masks_stay_soft():
    labels, flow = scene({1: (3, 0), 2: (0, 3)})
    masks = 0.8 * one_hot(labels) + 0.2 / 3
    found = jm.saliency.salient_foreground(masks, flow)
    np.testing.assert_allclose(found, masks[..., 1] + masks[..., 2], rtol=1e-6)


def test_shapes_that_do_not_belong_together_are_refused():
    labels, flow = scene({})
    for arguments in (
        (one_hot(labels)[:2], flow),
        (one_hot(labels), flow[..., 0]),
        (labels, flow),
    ):
        with pytest.raises(ValueError, match="expected"):
            jm.saliency.salient_segments(*arguments)
    with pytest.raises(ValueError, match="valid"):
        segment_residuals(labels, flow, 3, np.ones((T, H)))
    with pytest.raises(ValueError, match="expected 0 to 1"):
        segment_residuals(labels, flow, 2)
