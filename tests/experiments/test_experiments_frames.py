"""Fixed frames of scenes, and what a threshold on the residual makes of frames."""

import numpy as np
import pytest

from jaxmotion.experiments.frames import (
    Frames,
    balancing_shift,
    best_threshold_mask,
    in_parts,
    salient_frames,
    scene_frames,
    threshold_accuracy,
)

H, W = 16, 28


def test_frames_of_scenes_that_may_be_empty_are_pairs_and_always_the_same():
    first, again = (scene_frames("parallax", 6, (H, W)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not first.moving[1::2].any()
    assert first.moving[::2].any(axis=(1, 2)).all()
    # A pair is one scene: off its objects the flow differs by noise at most.
    apart = np.linalg.norm(first.flow[::2] - first.flow[1::2], axis=-1)
    still = apart[~first.moving[::2]]
    assert np.median(still) < 0.2 * np.median(apart[first.moving[::2]])
    assert len({frame.tobytes() for frame in first.flow}) == 6


def test_frames_of_a_crowd_are_of_scenes_of_their_own():
    frames = scene_frames("crowd", 4, (H, W))
    assert frames.flow.shape == (4, H, W, 2)
    assert frames.moving.shape == (4, H, W)


def test_a_frame_is_salient_by_area():
    moving = np.zeros((3, H, W), bool)
    moving[1, 0, 0] = moving[2, :4, :4] = True
    np.testing.assert_array_equal(salient_frames(moving, 0.01), [0, 0, 1])
    np.testing.assert_array_equal(salient_frames(moving, 0.0), [0, 1, 1])


def test_parts_are_put_together_again():
    flow = np.random.default_rng(0).normal(size=(31, 4, 5, 2)).astype(np.float32)
    np.testing.assert_array_equal(in_parts(lambda f: 2 * f, flow), 2 * flow)
    sums = in_parts(lambda f: f.sum(axis=(2, 3, 4)), flow)
    np.testing.assert_allclose(sums, flow.sum(axis=(1, 2, 3)), rtol=1e-4, atol=1e-4)


def frames(seed, count=40, strength=5.0):
    """Half of the frames have a square that moves otherwise, and all have noise."""
    rng = np.random.default_rng(seed)
    flow = 1 + 0.1 * rng.normal(size=(count, H, W, 2))
    moving = np.zeros((count, H, W), bool)
    moving[::2, 4:9, 6:14] = True
    flow[moving] += strength
    return Frames(flow.astype(np.float32), moving)


@pytest.mark.parametrize(("strength", "least", "most"), [(5.0, 1.0, 1.0), (0.0, 0.2, 0.8)])
def test_a_threshold_is_right_where_residuals_tell_and_only_there(strength, least, most):
    right = threshold_accuracy(frames(0, strength=strength), frames(1, strength=strength), 0.01)
    assert least <= right <= most


def test_a_shift_makes_both_errors_equally_frequent():
    rng = np.random.default_rng(0)
    truth = np.arange(1000) % 4 == 0
    logits = rng.normal(np.where(truth, 2.0, -1.0), 1.5)
    called = logits + balancing_shift(logits, truth) > 0
    assert abs((~called[truth]).mean() - called[~truth].mean()) < 0.01
    assert (called == truth).mean() > 0.8


def test_the_best_mask_is_that_of_what_moves():
    test = frames(2)
    assert best_threshold_mask(test.flow[::2], [0.1, 3.0, 50.0], test.moving[::2]) > 0.95
