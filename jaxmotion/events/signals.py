"""Numbers over time: bouts, running medians, and what a signal usually is."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def bouts(
    signal: np.ndarray, high: float, low: float, least: int = 1, bridge: int = 0
) -> list[tuple[int, int]]:
    """Stretches in which a signal is above `low` and somewhere above `high`.

    Args:
        signal: `[T]`; NaN is below everything.
        high: what begins a bout.
        low: what ends it.
        least: frames of the shortest bout.
        bridge: frames of the longest gap that is closed.

    Returns:
        `(start, stop)` of each, `stop` being one past the last frame.
    """
    signal = np.where(np.isnan(signal), -np.inf, signal)
    joined: list[tuple[int, int]] = []
    for start, stop in runs(signal > low):
        if not (signal[start:stop] > high).any():
            continue
        if joined and start - joined[-1][1] <= bridge:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return [(start, stop) for start, stop in joined if stop - start >= least]


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Stretches of true values of bool `[T]`: `(start, stop)` of each."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def running_median(signal: np.ndarray, width: int) -> np.ndarray:
    """Median of the frames about each one, through what is missing; NaN where the signal is.

    Args:
        signal: `[T]`.
        width: number of frames, odd.
    """
    known = np.flatnonzero(~np.isnan(signal))
    if not len(known):
        return signal
    filled = np.interp(np.arange(len(signal)), known, signal[known])
    padded = np.pad(filled, width // 2, mode="edge")
    smooth = np.median(sliding_window_view(padded, width), axis=-1)
    return np.where(np.isnan(signal), np.nan, smooth)


def upper_fifth(signal: np.ndarray, reach: int) -> np.ndarray:
    """What a fifth of the known values near each frame is above, `[T]`; NaN where none is known.

    Args:
        signal: `[T]`.
        reach: number of frames before and after.
    """
    padded = np.pad(np.where(np.isnan(signal), -np.inf, signal), reach, constant_values=-np.inf)
    ordered = np.sort(sliding_window_view(padded, 2 * reach + 1), axis=-1)
    known = (ordered > -np.inf).sum(axis=-1)
    place = 2 * reach - np.minimum(known // 5, 2 * reach)
    upper = np.take_along_axis(ordered, place[:, None], axis=-1)[:, 0]
    return np.where(np.isfinite(upper), upper, np.nan)
