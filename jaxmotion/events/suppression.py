"""`soft_nms`: of several proposals of one event the surest keeps its score, the others lose."""

from __future__ import annotations

import numpy as np


def soft_nms(
    spans: np.ndarray, scores: np.ndarray, *, sigma: float = 0.5, least: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Lowers the scores of spans that share much with a surer one.

    The surest span is taken, and the score of each other one is multiplied by
    exp(-IoU² / sigma); then the surest of those that are left, and so on.

    Args:
        spans: `[n, 2]`, start and stop of spans of one kind and one track.
        scores: `[n]`.
        sigma: how much two spans may share.
        least: score below which a span is left out.

    Returns:
        Numbers of the spans in the order in which they were taken, `[m]`, and their scores then.

    References:
        Bodla et al., Soft-NMS, ICCV 2017.
    """
    left, scores = np.arange(len(scores)), np.array(scores, float)
    order, taken = [], []
    while len(left):
        place = int(scores[left].argmax())
        best = left[place]
        if scores[best] < least:
            break
        order.append(best)
        taken.append(scores[best])
        left = np.delete(left, place)
        scores[left] *= np.exp(-(_overlaps(spans[best], spans[left]) ** 2) / sigma)
    return np.array(order, int), np.array(taken)


def _overlaps(span: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of a span with others `[n, 2]`."""
    shared = np.minimum(span[1], others[:, 1]) - np.maximum(span[0], others[:, 0])
    shared = np.maximum(shared, 0)
    either = span[1] - span[0] + others[:, 1] - others[:, 0] - shared
    return shared / np.maximum(either, 1e-9)
