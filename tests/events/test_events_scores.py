"""Scores of events: cases worked by hand, and a slow form that shares nothing with the fast one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.events.scores import (
    Span,
    Tube,
    average_precision,
    f1,
    frame_f1,
    mean_average_precision,
    temporal_iou,
    tube_average_precision,
    tube_iou,
)

TRUTH = [Span("a", 0, 10), Span("a", 20, 30), Span("b", 0, 10)]


def test_iou_of_spans():
    assert temporal_iou(Span(0, 0, 10), Span(0, 5, 15)) == pytest.approx(5 / 15)
    assert temporal_iou(Span(0, 0, 10), Span(0, 10, 20)) == 0
    assert temporal_iou(Span(0, 0, 10), Span(1, 0, 10)) == 0


def test_average_precision_worked_by_hand():
    found = [
        Span("a", 1, 10, 0.9),  # right: IoU 0.9
        Span("a", 0, 9, 0.8),  # wrong: taken already
        Span("a", 20, 27, 0.7),  # right at 0.7, wrong at 0.71
        Span("b", 40, 50, 0.6),  # wrong
        Span("b", 0, 10, 0.5),  # right
    ]
    # Right, wrong, right, wrong, right: precisions 1, 2/3, 3/5 at recalls 1/3, 2/3, 1.
    assert average_precision(TRUTH, found, 0.7) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    # Right, wrong, wrong, wrong, right.
    assert average_precision(TRUTH, found, 0.71) == pytest.approx((1 + 2 / 5) / 3)
    assert f1(TRUTH, found, 0.7) == pytest.approx(2 * 3 / 8)
    assert average_precision(TRUTH, [], 0.5) == 0
    assert math.isnan(average_precision([], found, 0.5))
    assert math.isnan(f1([], []))


def test_precision_does_not_rise_with_recall():
    found = [Span("c", 0, 1, 0.9), *(t._replace(score=0.5) for t in TRUTH)]
    # Wrong first: the precisions 1/2, 2/3, 3/4 are all lifted to 3/4.
    assert average_precision(TRUTH, found) == pytest.approx(3 / 4)


def test_one_that_is_taken_gives_way_to_the_next_best():
    truth = [Span(0, 0, 10), Span(0, 2, 12)]
    found = [Span(0, 0, 10, 0.9), Span(0, 1, 11, 0.8)]
    assert average_precision(truth, found, 0.8) == 1


def test_frames_and_the_mean_over_kinds():
    found = [Span("a", 5, 15), Span("b", 0, 10)]
    assert frame_f1(TRUTH, found) == pytest.approx(2 * 15 / (30 + 20))
    truth = {"go": TRUTH, "stop": [Span("a", 0, 4)], "turn": []}
    mean, kinds = mean_average_precision(truth, {"go": TRUTH, "jump": TRUTH})
    assert kinds == {"go": 1.0, "stop": 0.0}
    assert mean == 0.5
    assert math.isnan(mean_average_precision({}, {})[0])


def test_tubes_worked_by_hand():
    box = np.array([[0, 0, 4, 2]])
    one = Tube("v", 0, box.repeat(4, axis=0))
    half = Tube("v", 2, (box + np.array([2, 0, 2, 0])).repeat(4, axis=0))
    # Two frames in common, half of each box: 2 · 4 of 32 + 32 − 8.
    assert tube_iou(one, half) == pytest.approx(8 / 56)
    assert tube_iou(one, Tube("w", 0, one.boxes)) == 0
    assert tube_iou(one, Tube("v", 9, one.boxes)) == 0
    found = [half, one._replace(score=0.4)]
    assert tube_average_precision([one], found) == pytest.approx(1 / 2)
    assert tube_average_precision([one], found[1:]) == 1


def slow_average_precision(truth, found, least):
    """Sets of frames for IoU, and the area under the precision that is reached from each recall."""
    frames = [{(s.key, t) for t in range(s.start, s.stop)} for s in truth]
    taken, hits = set(), []
    for span in sorted(found, key=lambda s: s.score, reverse=True):
        mine = {(span.key, t) for t in range(span.start, span.stop)}
        shares = {i: len(mine & f) / len(mine | f) for i, f in enumerate(frames) if i not in taken}
        best = max(shares, key=shares.get, default=None)
        hit = best is not None and shares[best] >= least
        hits.append(hit)
        if hit:
            taken.add(best)
    area = 0.0
    for wanted in range(1, len(truth) + 1):
        reached = [sum(hits[:n]) / n for n in range(1, len(hits) + 1) if sum(hits[:n]) >= wanted]
        area += max(reached, default=0.0) / len(truth)
    return area


spans = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 12), st.integers(1, 6)), min_size=1, max_size=7
)


@settings(deadline=None, max_examples=200)
@given(truth=spans, found=spans, least=st.sampled_from((0.3, 0.5, 0.7)), seed=st.integers(0, 99))
def test_average_precision_is_that_of_the_slow_form(truth, found, least, seed):
    scores = np.random.default_rng(seed).permutation(len(found)) / len(found)
    truth = [Span(key, start, start + length) for key, start, length in truth]
    found = [Span(k, s, s + n, float(sure)) for (k, s, n), sure in zip(found, scores, strict=True)]
    expected = slow_average_precision(truth, found, least)
    assert average_precision(truth, found, least) == pytest.approx(expected)
