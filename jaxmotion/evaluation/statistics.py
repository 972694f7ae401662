"""Means of scores of which some do not exist."""

import math
from collections.abc import Iterable

import numpy as np

from jaxmotion.metrics.davis import sequence_statistics

STATISTICS = ("mean", "recall", "decay")


def mean_of(values: Iterable[float]) -> float:
    """Mean of the numbers that exist; NaN where none does."""
    return float(mean_over(np.array(list(values), np.float64)))


def statistics_of(objects: Iterable[tuple[float, ...]]) -> Iterable[tuple[str, tuple[float, ...]]]:
    """Mean, recall and decay of the scores per frame of several objects, by their names."""
    rows = []
    for scores in objects:
        known = [score for score in scores if not math.isnan(score)]
        rows.append(sequence_statistics(known) if known else (math.nan,) * 3)
    return zip(STATISTICS, zip(*rows, strict=True), strict=True)


def mean_over(table: np.ndarray) -> np.ndarray:
    """Mean over the first axis of the numbers that exist; NaN, without a warning, where none does.

    Args:
        table: `[N, ...]`.
    """
    known = ~np.isnan(table)
    count = known.sum(axis=0)
    total = np.where(known, table, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
