"""Regions, tracks and rules on frames made by hand."""

import numpy as np
import pytest

from jaxmotion.saliency.regions import Regions, chosen, components, tracks

T, H, W = 5, 20, 30


def video(*boxes):
    """Labels `[T, H, W]` of boxes (label, t, top, left, height, width), and no motion."""
    labels = np.zeros((T, H, W), np.uint8)
    for label, t, top, left, height, width in boxes:
        labels[t, top : top + height, left : left + width] = label
    return labels, np.zeros((T, H, W, 2), np.float32)


def track_of(regions, t, y, x):
    return int(regions.index[t, y, x])


def test_components_are_parts_of_one_label_in_one_frame():
    labels, _ = video(
        (1, 0, 1, 1, 4, 4), (1, 0, 10, 10, 3, 3), (2, 0, 1, 5, 4, 4), (1, 1, 1, 1, 4, 4)
    )
    regions = components(labels, without=0)
    assert regions.count == 4
    assert sorted(regions.pixels) == [9, 16, 16, 16]
    assert (regions.index[labels == 0] == -1).all()
    assert sorted(regions.frames) == [0, 0, 0, 1]
    values = np.where(labels == 2, 3.0, 1.0)
    assert sorted(regions.means(values)) == [1, 1, 1, 3]


def test_diagonal_neighbors_are_one_region():
    labels = np.eye(6, dtype=np.uint8)[None]
    assert components(labels, without=0).count == 1


def test_a_region_that_moves_with_its_flow_is_one_track_whatever_its_label():
    boxes = [(1 + t % 2, t, 4, 2 + 5 * t, 5, 5) for t in range(T)]  # the label changes
    labels, flow = video(*boxes)
    still = tracks(components(labels, without=0), flow)
    assert still.count == T  # steps of its own width: nothing overlaps
    flow[..., 0] = 5
    assert tracks(components(labels, without=0), flow).count == 1
    flow[..., 0] = 50
    assert tracks(components(labels, without=0), flow, vector_size=(10 * H, 10 * W)).count == 1


def test_parts_of_what_splits_and_meets_are_one_track():
    labels, flow = video(
        (1, 0, 5, 5, 6, 12),
        (1, 1, 5, 5, 6, 5),
        (1, 1, 5, 12, 6, 5),
        (1, 2, 5, 5, 6, 12),
        (1, 0, 15, 20, 3, 3),
        (1, 2, 15, 20, 3, 3),
    )
    found = tracks(components(labels, without=0), flow)
    assert len({track_of(found, *p) for p in ((0, 6, 6), (1, 6, 6), (1, 6, 13), (2, 6, 6))}) == 1
    # Away for a frame: another track when it comes back.
    assert track_of(found, 0, 16, 21) != track_of(found, 2, 16, 21)
    assert found.count == 3


def test_what_leaves_the_frame_ends():
    labels, flow = video((1, 0, 5, 25, 5, 5), (1, 1, 5, 0, 5, 5))
    flow[0, ..., 0] = 8
    assert tracks(components(labels, without=0), flow).count == 2


def test_small_overlaps_do_not_join():
    labels, flow = video((1, 0, 5, 5, 5, 5), (1, 1, 5, 9, 5, 5))
    assert tracks(components(labels, without=0), flow).count == 2
    labels, flow = video((1, 0, 5, 5, 5, 5), (1, 1, 5, 8, 5, 5))
    assert tracks(components(labels, without=0), flow).count == 1


def test_no_region_is_no_track():
    labels, flow = video()
    found = tracks(components(labels, without=0), flow)
    assert found.count == 0
    assert (found.index == -1).all()
    assert isinstance(found, Regions)


def test_the_published_rule_takes_what_is_above_the_largest_region():
    scores, pixels = [1.0, 0.5, 2.0, 1.0], [50, 500, 20, 10]
    np.testing.assert_array_equal(chosen(scores, pixels, "above_largest"), [1, 0, 1, 1])
    # It never takes the largest, and no equal.
    np.testing.assert_array_equal(chosen([1.0, 1.0], [10, 9], "above_largest"), [0, 0])
    assert not len(chosen([], [], "above_largest"))


def test_the_share_is_of_a_mean_that_counts_relevance():
    scores, pixels = [4.0, 1.0, 0.5, 40.0], [100, 200, 4000, 0]
    mean = (16 * 100 + 1 * 200 + 0.25 * 4000) / (400 + 200 + 2000)
    np.testing.assert_array_equal(
        chosen(scores, pixels, "share", share=0.6), np.array(scores) >= 0.6 * mean
    )
    assert not chosen([0.0, 0.0], [3, 4], "share").any()
    with pytest.raises(ValueError, match="rule 'best'"):
        chosen(scores, pixels, "best")  # pyright: ignore[reportArgumentType]
