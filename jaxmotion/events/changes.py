"""Where a track begins to do something else: change points of its numbers, without training.

The frames are cut into segments so that the squared distances from the mean of each segment, plus a
penalty for each segment, are least. The best cut is found exactly, by dynamic programming with
pruning, in a time that mostly grows like the number of frames.
"""

from __future__ import annotations

import numpy as np


def change_points(
    signal: np.ndarray, penalty: float | None = None, least: int = 2
) -> tuple[int, ...]:
    """Finds the frames at which segments begin, without the first one.

    Args:
        signal: `[T]` or `[T, D]`; NaN counts nowhere. Each column is divided by its noise first.
        penalty: cost of a segment, in units of the squared noise; by default that of the Bayesian
            information criterion, `(D + 1) log T`.
        least: frames of the shortest segment.

    Returns:
        The frames, in order.

    Raises:
        ValueError: on another shape, a penalty below 0, or a `least` below 1.

    References:
        Killick, Fearnhead and Eckley, Optimal detection of changepoints with a linear computational
        cost, JASA 2012 (PELT).
    """
    signal = np.asarray(signal, float)
    signal = signal[:, None] if signal.ndim == 1 else signal
    if signal.ndim != 2 or least < 1 or (penalty is not None and penalty < 0):
        raise ValueError(
            f"signal {signal.shape}, penalty {penalty}, least {least}: expected [T] or [T, D], a "
            "penalty of 0 or more, and 1 or more frames"
        )
    frames = len(signal)
    if frames < 2 * least:
        return ()
    each = (signal.shape[1] + 1) * float(np.log(frames)) if penalty is None else penalty
    cost = _Cost(signal / noise(signal))
    best = np.full(frames + 1, np.inf)
    best[0] = -each
    before = np.zeros(frames + 1, int)
    starts = np.zeros(1, int)  # of the last segment; those that can still be best
    until = np.array([frames + 1])  # the end from which on each of them cannot
    for end in range(least, frames + 1):
        alive = until > end
        starts, until = starts[alive], until[alive]
        totals = best[starts] + cost(starts, end)
        place = int(totals.argmin())
        best[end], before[end] = totals[place] + each, starts[place]
        # A start that is worse than a new one here stays worse, once the new one may be used.
        until = np.where(totals > best[end], np.minimum(until, end + least), until)
        # The next end can have a last segment that starts here or before.
        if end + 1 - least >= least:
            starts = np.append(starts, end + 1 - least)
            until = np.append(until, frames + 1)
    found, end = [], frames
    while before[end] > 0:
        end = int(before[end])
        found.append(end)
    return tuple(reversed(found))


def noise(signal: np.ndarray) -> np.ndarray:
    """Standard deviation of the noise of each column, from the median of its differences.

    Args:
        signal: `[T, D]`; NaN counts nowhere.

    Returns:
        `[D]`; 1 where a column does not change.
    """
    steps = np.abs(np.diff(signal, axis=0))
    found = np.ones(signal.shape[1])
    for column in range(signal.shape[1]):
        known = steps[:, column][~np.isnan(steps[:, column])]
        # 0.6745: the median of the length of a normal variable; the difference of two has √2 of it.
        middle = np.median(known) / (0.6745 * np.sqrt(2)) if len(known) else 0.0
        found[column] = middle if middle > 0 else 1.0
    return found


class _Cost:
    """Squared distances from the mean of a segment, from running sums."""

    def __init__(self, signal: np.ndarray) -> None:
        known = ~np.isnan(signal)
        # About the mean, so that differences of sums stay sharp.
        middle = np.where(known, signal, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        values = np.where(known, signal - middle, 0)
        self._sums = [
            np.concatenate([np.zeros((1, signal.shape[1])), np.cumsum(part, axis=0)])
            for part in (known, values, values**2)
        ]

    def __call__(self, starts: np.ndarray, end: int) -> np.ndarray:
        """Cost of the segments from each of the starts to an end."""
        number, total, square = (part[end] - part[starts] for part in self._sums)
        return np.maximum(square - total**2 / np.maximum(number, 1), 0).sum(axis=1)
