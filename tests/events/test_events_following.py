"""Tracks that stay: scenes made by hand, in which it is known what is where."""

import numpy as np
import pytest

from jaxmotion.events import OBJECTS, Following, follow

HEIGHT, WIDTH = 40, 60


def square(left, top, side=10):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = True
    return mask


def made_up(*objects, camera=(0, 0)):
    """Truth, what is seen to move, and flow, of squares `(lefts, tops, moving)` over the frames."""
    frames = len(objects[0][0])
    truth = np.zeros((frames, HEIGHT, WIDTH), int)
    seen = np.zeros((frames, HEIGHT, WIDTH), int)
    flow = np.zeros((frames, HEIGHT, WIDTH, 2), np.float32) + camera
    for number, (lefts, tops, moving) in enumerate(objects, 1):
        steps = np.diff(np.stack([lefts, tops], axis=1), axis=0, append=[[np.nan] * 2])
        steps[-1] = camera
        for t in range(frames):
            mask = square(lefts[t], tops[t])
            truth[t][mask], flow[t][mask] = number, steps[t]
            if moving[t]:
                seen[t][mask] = 1
    return truth, seen, flow


def test_what_stops_stays_before_and_after():
    moves = np.zeros(80, bool)
    moves[20:45] = True
    lefts = 5 + np.cumsum(np.r_[0, moves[:-1]])
    truth, seen, flow = made_up((lefts, np.full(80, 12), moves))
    np.testing.assert_array_equal(follow(seen, flow), truth)


def test_it_stays_where_the_camera_carries_it():
    moves = np.zeros(60, bool)
    moves[20:40] = True
    time = np.arange(60)
    # The camera moves by a quarter of a pixel: whole pixels are carried now and then.
    lefts = 5 + np.cumsum(np.r_[0, moves[:-1]])
    truth, seen, flow = made_up((lefts, np.full(60, 5), moves))
    shift = np.rint(0.25 * time).astype(int)
    truth, seen, flow = (
        np.stack([np.roll(x, s, 0) for x, s in zip(array, shift, strict=True)])
        for array in (truth, seen, flow)
    )
    found = follow(seen, flow + np.array([0, 0.25]))
    shared, either = (found > 0) & (truth > 0), (found > 0) | (truth > 0)
    iou = shared.sum(axis=(1, 2)) / either.sum(axis=(1, 2))
    assert iou.min() > 0.8
    assert found.max() == 1


def test_a_change_of_segment_does_not_matter():
    lefts = np.arange(30)
    truth, seen, flow = made_up((lefts, np.full(30, 5), np.ones(30, bool)))
    np.testing.assert_array_equal(
        follow(seen * (1 + np.arange(30) % 3)[:, None, None], flow), truth
    )


def test_two_that_touch_are_two():
    near = np.minimum(np.arange(50), 25)
    one = (np.r_[near] + 2, np.full(50, 10), np.ones(50, bool))
    two = (48 - near // 2, np.full(50, 10), np.ones(50, bool))
    truth, seen, flow = made_up(one, two)
    assert (np.abs(one[0] - two[0]) <= 11).any()
    found = follow(seen, flow)
    assert found.max() == 2
    assert (found == truth).mean() > 0.99


def test_objects_are_followed_one_by_one():
    """Two that touch from the first frame on, one of which a bar cuts into two pieces."""
    lefts, frames = 5 + np.arange(30), 30
    tops, moves = np.full(frames, 12), np.ones(frames, bool)
    truth, _, flow = made_up((lefts, tops, moves), (lefts + 10, tops, moves))
    truth[:, 16:18][truth[:, 16:18] == 1] = 0
    names = np.where(truth > 0, 7 - truth, 0)  # of a network, in another order
    np.testing.assert_array_equal(follow(names, flow, settings=OBJECTS), 3 * (truth > 0) - truth)
    assert follow(names, flow).max() == 1  # as segments they are one thing


def test_flicker_begins_no_track_and_patience_ends_one():
    moves = np.zeros(60, bool)
    moves[:20] = True
    lefts = 5 + np.cumsum(np.r_[0, moves[:-1]])
    truth, seen, flow = made_up((lefts, np.full(60, 12), moves))
    seen[30:35, 30:38, 40:50] = 1  # too short
    seen[:, 2, 2] = 1  # too small
    np.testing.assert_array_equal(follow(seen, flow), truth)
    found = follow(seen, flow, settings=Following(patience=10))
    assert (found.max(axis=(1, 2)) > 0).sum() == 20 + 10


def test_what_leaves_is_gone():
    lefts = 40 + np.arange(40)
    truth, seen, flow = made_up((lefts, np.full(40, 12), np.ones(40, bool)))
    found = follow(seen, flow)
    np.testing.assert_array_equal(found[:18], truth[:18])
    assert not found[22:].any()


def test_unknown_flow_carries_nothing_and_out_is_written_to():
    moves = np.zeros(40, bool)
    moves[:20] = True
    lefts = 5 + np.cumsum(np.r_[0, moves[:-1]])
    truth, seen, flow = made_up((lefts, np.full(40, 12), moves))
    valid = np.ones(seen.shape)
    valid[25:], flow[25:] = 0, np.nan
    out = np.full(seen.shape, -1, np.int16)
    assert follow(seen, flow, valid, out=out) is out
    np.testing.assert_array_equal(out, truth)


@pytest.mark.parametrize("frames", [0, 1, 3])
def test_few_frames_have_no_track(frames):
    seen = np.ones((frames, 8, 9), int)
    assert not follow(seen, np.zeros((frames, 8, 9, 2))).any()
