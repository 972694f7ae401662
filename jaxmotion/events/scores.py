"""Scores of events against the truth: average precision, F1, and both for tubes in space and time.

Everything is for one kind of event; `mean_average_precision` is the mean over kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Temporal IoU that THUMOS14 averages over."""


class Span(NamedTuple):
    """Frames in which something happens.

    Attributes:
        key: what it belongs to, as a video, or a video and an object; only spans of one key match.
        start: first frame.
        stop: one past the last frame.
        score: how sure it is; of no meaning for the truth.
    """

    key: Hashable
    start: float
    stop: float
    score: float = 1.0


class Tube(NamedTuple):
    """A box that moves.

    Attributes:
        key: what it belongs to, as a video; only tubes of one key match.
        start: first frame.
        boxes: `[n, 4]`, left, top, right and bottom border in each frame from there on.
        score: how sure it is; of no meaning for the truth.
    """

    key: Hashable
    start: int
    boxes: np.ndarray
    score: float = 1.0


T = TypeVar("T", Span, Tube)


def temporal_iou(one: Span, other: Span) -> float:
    """Frames that two spans share, of those that either has; 0 for two keys."""
    shared = max(0.0, min(one.stop, other.stop) - max(one.start, other.start))
    either = (one.stop - one.start) + (other.stop - other.start) - shared
    return shared / either if one.key == other.key and either > 0 else 0.0


def tube_iou(one: Tube, other: Tube) -> float:
    """Volume that two tubes share, of what either has; 0 for two keys."""
    if one.key != other.key:
        return 0.0
    volumes = [_areas(np.asarray(tube.boxes, float)).sum() for tube in (one, other)]
    first = max(one.start, other.start)
    last = min(one.start + len(one.boxes), other.start + len(other.boxes))
    shared = 0.0
    if last > first:
        a, b = (np.asarray(t.boxes, float)[first - t.start : last - t.start] for t in (one, other))
        corners = np.concatenate(
            [np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])], 1
        )
        shared = float(_areas(corners).sum())
    either = float(sum(volumes)) - shared
    return shared / either if either > 0 else 0.0


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)


def average_precision(truth: Sequence[Span], found: Sequence[Span], least: float = 0.5) -> float:
    """Average precision at a temporal IoU.

    In the order of their scores the spans that were found take the true one that they share most
    with, of those not taken yet; one without any of IoU `least` is wrong. Precision is made not to
    rise with recall, and its area is taken over all recalls.

    Args:
        truth: true spans.
        found: spans that were found, in any order.
        least: IoU from which on a span is found.

    Returns:
        A number from 0 to 1; NaN where there is no truth.

    References:
        Caba Heilbron et al., ActivityNet, CVPR 2015: the evaluation of its detection task.
    """
    return _precision(truth, found, least, temporal_iou)


def tube_average_precision(
    truth: Sequence[Tube], found: Sequence[Tube], least: float = 0.5
) -> float:
    """Average precision of tubes at a 3-D IoU; otherwise as `average_precision`."""
    return _precision(truth, found, least, tube_iou)


def mean_average_precision(
    truth: Mapping[str, Sequence[Span]], found: Mapping[str, Sequence[Span]], least: float = 0.5
) -> tuple[float, dict[str, float]]:
    """Mean over the kinds that the truth has.

    Args:
        truth: true spans by kind.
        found: spans that were found, by kind.
        least: IoU from which on a span is found.

    Returns:
        The mean (NaN without truth), and the average precision of each kind.
    """
    by_kind = {
        kind: average_precision(spans, found.get(kind, ()), least)
        for kind, spans in truth.items()
        if spans
    }
    return float(np.mean(list(by_kind.values()))) if by_kind else float("nan"), by_kind


def f1(truth: Sequence[Span], found: Sequence[Span], least: float = 0.5) -> float:
    """F1 of spans, matched as in `average_precision`; NaN where there is nothing at all."""
    right = int(_matched(truth, found, least, temporal_iou).sum())
    number = len(truth) + len(found)
    return 2 * right / number if number else float("nan")


def frame_f1(truth: Sequence[Span], found: Sequence[Span]) -> float:
    """F1 of frames: those of any true span, and those of any that was found; NaN for none."""
    sets = [
        {(span.key, t) for span in spans for t in range(round(span.start), round(span.stop))}
        for spans in (truth, found)
    ]
    number = sum(map(len, sets))
    return 2 * len(sets[0] & sets[1]) / number if number else float("nan")


def _precision(
    truth: Sequence[T], found: Sequence[T], least: float, overlap: Callable[[T, T], float]
) -> float:
    if not truth:
        return float("nan")
    right = np.cumsum(_matched(truth, found, least, overlap))
    precision = right / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    gained = np.diff(right, prepend=0) / len(truth)
    return float((precision * gained).sum())


def _matched(
    truth: Sequence[T], found: Sequence[T], least: float, overlap: Callable[[T, T], float]
) -> np.ndarray:
    """Which of the found, in the order of their scores, are right: bool `[n]`."""
    by_key: dict[Hashable, list[T]] = {}
    for item in truth:
        by_key.setdefault(item.key, []).append(item)
    free = {key: [True] * len(items) for key, items in by_key.items()}
    right = np.zeros(len(found), bool)
    for place, item in enumerate(sorted(found, key=lambda item: -item.score)):
        shares = [overlap(item, other) for other in by_key.get(item.key, ())]
        for index in sorted(range(len(shares)), key=lambda i: -shares[i]):
            if shares[index] < least:
                break
            if free[item.key][index]:
                free[item.key][index], right[place] = False, True
                break
    return right
