"""Errors of a flow estimator: correlated errors, textureless patches, spots, wrecked frames."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from jaxmotion.scenes.config import SceneConfig

_NODES = ((5, 7), (10, 15))  # rows, columns of the coarse and of the fine grid of random numbers
_CHANNELS = (4, 6)
_PERSISTENCE = 0.7  # share of the error's standard deviation that stays from frame to frame

_LASTS = 2.0  # mean number of frames in which a spot is there
_SPREAD = 0.8  # standard deviation of the logarithm of a spot's speed
_BUMPS = 3  # that a spot is made of


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


class Spots:
    """Spots on a still ground without texture in which an estimator sees some motion.

    The flow of a spot is nearly uniform, as that of a small object is. But it is there for a frame
    or a few, and stays where it is.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        config: SceneConfig,
        num_frames: int,
        extent: tuple[float, float],
    ):
        """Draws all spots of a scene.

        Args:
            rng: source of everything.
            config: distribution of the scene, of which what it says of spots counts.
            num_frames: T, number of frames.
            extent: half width and half height of the frame, in frame sizes.
        """
        lasts = rng.geometric(1 / _LASTS, rng.poisson(config.spots * (num_frames + 20) / _LASTS))
        count = len(lasts)
        begins = rng.integers(-20, num_frames, count)  # some are there already
        self._there = begins, begins + lasts
        least, most = np.log(config.spot_radius)
        radius = np.exp(rng.uniform(least, most, count))
        speed = config.spot_speed * np.exp(_SPREAD * np.clip(rng.normal(size=count), -2, 2))
        # Bumps a little apart, which move in a little different directions.
        middle = rng.uniform(-1, 1, (count, 1, 2)) * extent
        self._radius = 0.8 * radius
        self._middle = middle + 0.35 * radius[:, None, None] * rng.normal(size=(count, _BUMPS, 2))
        angle = rng.uniform(0, 2 * np.pi, (count, 1)) + 0.7 * rng.normal(size=(count, _BUMPS))
        length = speed[:, None] * rng.uniform(0.3, 1.0, (count, _BUMPS))
        self._flow = length[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        turn = 0.7 * rng.normal(size=(num_frames, _BUMPS))
        cos, sin = np.cos(turn), np.sin(turn)
        self._turn = np.moveaxis(np.array([[cos, -sin], [sin, cos]]), (0, 1), (2, 3))

    def add_to(self, flow: np.ndarray, frame: int, x: np.ndarray, y: np.ndarray) -> None:
        """Adds them to the flow of a frame, in place.

        Args:
            flow: `[2, H, W]`, frame sizes per frame.
            frame: index of the frame.
            x: positions of the columns, `[W]`.
            y: positions of the rows, `[H]`.
        """
        begin, end = self._there
        for spot in np.flatnonzero((begin <= frame) & (frame < end)):
            vectors = np.einsum("bij,bj->bi", self._turn[frame], self._flow[spot])
            for (mx, my), vector in zip(self._middle[spot], vectors, strict=True):
                square = ((x - mx) ** 2 + (y[:, None] - my) ** 2) / self._radius[spot] ** 2
                bump = np.clip(1 - square, 0, None) ** 2
                flow += (vector[:, None, None] * bump).astype(np.float32)


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
