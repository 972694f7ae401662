"""Smoothing that stops at the edges of a picture."""

import numpy as np
from scipy.linalg import solveh_banded

# Colors that differ by as many gray levels are likely on two surfaces; passes of the smoother, each
# of them weaker by a factor, so that the streaks of one are gone after the next.
_EDGE, _PASSES, _WEAKER = 3.0, 3, 4.0


def spread(signal: np.ndarray, guide: np.ndarray, strength: float) -> np.ndarray:
    """Smooths a signal along the surfaces of a picture, by rows and by columns.

    Along a line it finds the u of least Σ (u - s)² + λ Σ g (u_i - u_j)² over neighbors i and j,
    where g is exp(-|c_i - c_j| / 3) of their colors and λ the strength. Rows and columns are solved
    in turn, with λ a quarter after each turn.

    Args:
        signal: signal to smooth, float32 or float64 `[H, W, C]`.
        guide: picture whose edges stop the smoothing, uint8 `[H, W, 3]`.
        strength: λ of the first turn; it reaches about its square root in pixels.

    Returns:
        The smoothed signal, of the same type and shape. Each channel keeps its sum, and stays
        between its least and its largest value.

    References:
        Min et al., Fast global image smoothing based on weighted least squares, TIP 2014.
    """
    colors = guide.astype(np.float32)
    across, down = (
        np.exp(-np.linalg.norm(np.diff(colors, axis=axis), axis=-1) / _EDGE) for axis in (1, 0)
    )
    for turn in range(_PASSES):
        of_turn = strength / _WEAKER**turn
        signal = _smooth_rows(signal, of_turn * across)
        signal = _smooth_rows(signal.swapaxes(0, 1), of_turn * down.T).swapaxes(0, 1)
    return signal


def smooth(flow: np.ndarray, weights: np.ndarray, guide: np.ndarray, strength: float) -> np.ndarray:
    """Smooths weighted vectors: `spread` of the weighted flow, over that of the weights.

    Args:
        flow: flow to smooth, `[H, W, 2]`.
        weights: weight of each vector, `[H, W]`, positive.
        guide: picture whose edges stop the smoothing, uint8 `[H, W, 3]`.
        strength: as that of `spread`.

    Returns:
        float32 `[H, W, 2]`, each vector between the least and the largest one.
    """
    signal = np.dstack([flow * weights[..., None], weights]).astype(np.float64)
    signal = spread(signal, guide, strength)
    return (signal[..., :2] / signal[..., 2:]).astype(np.float32)


def _smooth_rows(signal: np.ndarray, links: np.ndarray) -> np.ndarray:
    """The u of least Σ (u - signal)² + Σ links (u_j - u_j+1)² in every row of `[H, W, C]`."""
    if not links.size:
        return signal
    before, after = (
        np.zeros(signal.shape[:2], signal.dtype),
        np.zeros(signal.shape[:2], signal.dtype),
    )
    before[:, 1:] = after[:, :-1] = links
    # All rows as one tridiagonal system, in which the last of a row and the first of the next do
    # not touch.
    system = np.stack([-before.ravel(), (1 + before + after).ravel()])
    return solveh_banded(system, signal.reshape(-1, signal.shape[-1])).reshape(signal.shape)
