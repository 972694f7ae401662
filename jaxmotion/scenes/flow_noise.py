"""Errors of a flow estimator: correlated errors, textureless patches, wrecked frames."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_NODES = ((5, 7), (10, 15))  # rows, columns of the coarse and of the fine grid of random numbers
_CHANNELS = (4, 6)
_PERSISTENCE = 0.7  # share of the error's standard deviation that stays from frame to frame


@lru_cache(maxsize=64)
def _spline(nodes: int, samples: int) -> np.ndarray:
    """Weights `[samples, nodes]` of a cubic B-spline through the grid, each row of unit norm.

    With independent unit-variance coefficients the interpolated field has unit variance everywhere.
    """
    position = np.linspace(0.0, nodes - 1.0, samples) if samples > 1 else np.array([nodes / 2])
    d = np.abs(position[:, None] - np.arange(nodes)[None, :])
    weights = np.where(d < 1, 2 / 3 - d**2 + d**3 / 2, np.clip(2 - d, 0, None) ** 3 / 6)
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)


class SmoothNoise:
    """Random fields of unit variance, smooth in space and correlated in time, two scales."""

    def __init__(self, rng: np.random.Generator, num_frames: int):
        self._coefficients = []
        for nodes, channels in zip(_NODES, _CHANNELS, strict=True):
            lasting = rng.standard_normal((1, channels, *nodes), dtype=np.float32)
            fresh = rng.standard_normal((num_frames, channels, *nodes), dtype=np.float32)
            mixed = _PERSISTENCE * lasting + np.sqrt(1 - _PERSISTENCE**2) * fresh
            self._coefficients.append(mixed.astype(np.float32))

    def __call__(self, frame: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The coarse `[4, H, W]` and fine `[6, H, W]` fields of a frame.

        Args:
            frame: index of the frame.
            height: H, number of rows.
            width: W, number of columns.
        """
        coarse, fine = (
            _spline(rows, height) @ coefficients[frame] @ _spline(columns, width).T
            for (rows, columns), coefficients in zip(_NODES, self._coefficients, strict=True)
        )
        return coarse, fine


def wreck(rng: np.random.Generator, flow: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """A wrecked version of a frame's flow `[2, H, W]`, as a cut, a blur or a lost frame leaves it.

    One of: white noise with the mean and spread of the flow; a smooth field that has nothing to do
    with the scene; no motion at all; a large block replaced by a constant.

    Args:
        rng: source of the choice and of the noise.
        flow: flow of the frame, `[2, H, W]`.
        coarse: smooth noise of unit variance, `[>= 2, H, W]`.
    """
    height, width = flow.shape[1:]
    scale = float(np.sqrt(np.mean(flow**2))) + 1e-3
    kind = rng.integers(4)
    if kind == 0:
        mean, spread = flow.mean((1, 2), keepdims=True), flow.std((1, 2), keepdims=True)
        return mean + (spread + scale) * rng.standard_normal(flow.shape, dtype=np.float32)
    if kind == 1:
        return (2.0 * scale) * coarse[:2]
    if kind == 2:
        return np.zeros_like(flow)
    flow = flow.copy()
    top, left = rng.integers(0, (height + 1) // 2), rng.integers(0, (width + 1) // 2)
    block = flow[:, top : top + (height + 1) // 2, left : left + (width + 1) // 2]
    block[...] = 2.0 * scale * rng.standard_normal((2, 1, 1))
    return flow
