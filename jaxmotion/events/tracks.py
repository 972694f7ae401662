"""What each track of a video does in each frame: a few numbers, from labels and flow.

The background's motion (quadratic, robust) is taken off the flow; what is left on the pixels of a
track is fitted by an affine motion. Lengths are frame sizes, `sqrt(height * width)` pixels: the
numbers do not depend on the resolution, nor, but for `place` and `box`, on where the track is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

_MOST_PIXELS = 3000  # that a motion is fitted to; a regular part of more
_LEAST_PIXELS = 12
_ITERATIONS = 4
_FLOOR = 1e-4  # frame sizes per frame, below which residuals count alike

DESCRIPTORS = ("size", "speed", "growth", "turn", "shear", "residual", "area_change", "distance")
"""Names of what `Tracks.descriptors` stacks."""


@dataclass(frozen=True)
class Tracks:
    """The N tracks of a video of T frames with flow. NaN where a track is not seen.

    Attributes:
        labels: int `[N]`, label of each track.
        place: `[N, T, 2]`, center, frame sizes to the right of and below the middle of the frame.
        box: `[N, T, 4]`, left, top, right and bottom border, as shares of the width and height.
        area: `[N, T]`, share of the frame.
        velocity: `[N, T, 2]`, of the center, relative to the background.
        growth: `[N, T]`, growth of the logarithm of the area that the flow says, per frame: the
            divergence of a small motion.
        turn: `[N, T]`, angle by which the flow turns it, radians: half the curl of a small motion.
        shear: `[N, T]`, rate at which the flow stretches it one way and squeezes it the other, per
            frame; 0 for what is rigid, or grows alike in all directions.
        residual: `[N, T]`, median length of what its affine motion leaves of its flow.
        border: bool `[N, T]`, whether it touches the border of the frame.
        gaps: smallest distance of two tracks' pixels, `[T]`, by their places in `labels`.
        ground: `[T]`, median length of what the background's motion leaves of its flow.
    """

    labels: np.ndarray
    place: np.ndarray
    box: np.ndarray
    area: np.ndarray
    velocity: np.ndarray
    growth: np.ndarray
    turn: np.ndarray
    shear: np.ndarray
    residual: np.ndarray
    border: np.ndarray
    gaps: dict[tuple[int, int], np.ndarray]
    ground: np.ndarray

    @property
    def speed(self) -> np.ndarray:
        """Length of the velocity, `[N, T]`."""
        return np.hypot(self.velocity[..., 0], self.velocity[..., 1])

    @property
    def size(self) -> np.ndarray:
        """Side of a square of the same area, `[N, T]`, frame sizes."""
        return np.sqrt(self.area)

    @property
    def area_change(self) -> np.ndarray:
        """Growth of the logarithm of the area that is seen, per frame, `[N, T]`; NaN at ends."""
        change = np.full(self.area.shape, np.nan)
        change[:, 1:-1] = 0.5 * (np.log(self.area[:, 2:]) - np.log(self.area[:, :-2]))
        return change

    @property
    def distance(self) -> np.ndarray:
        """Distance to the next track, `[N, T]`; NaN where there is no other."""
        nearest = np.full(self.area.shape, np.inf)
        for pair, gap in self.gaps.items():
            for index in pair:
                nearest[index] = np.fmin(nearest[index], gap)
        return np.where(np.isinf(nearest), np.nan, nearest)

    def descriptors(self) -> np.ndarray:
        """The numbers that do not depend on the place, `[N, T, D]`, in order of `DESCRIPTORS`."""
        return np.stack([getattr(self, name) for name in DESCRIPTORS], axis=-1)


class _Row(NamedTuple):
    """A track in one frame."""

    place: np.ndarray
    box: np.ndarray
    area: float
    velocity: np.ndarray
    growth: float
    turn: float
    shear: float
    residual: float
    border: bool


class TrackMeter:
    """Measures the tracks of a video while it arrives; holds some numbers a frame, no pictures."""

    def __init__(self) -> None:
        self._rows: list[dict[int, _Row]] = []
        self._gaps: dict[tuple[int, int], dict[int, float]] = {}
        self._ground: list[float] = []

    def add(self, labels: np.ndarray, flow: np.ndarray, valid: np.ndarray | None = None) -> None:
        """Adds a frame.

        Args:
            labels: int `[h, w]`, 0 for the background, and the track of each other pixel.
            flow: `[h, w, 2]`, pixels per frame.
            valid: `[h, w]` in {0, 1}, where the flow is known; None for everywhere.

        Raises:
            ValueError: on shapes that do not match.
        """
        labels = np.asarray(labels)
        if labels.ndim != 2 or np.shape(flow) != (*labels.shape, 2):
            raise ValueError(
                f"labels {labels.shape} and flow {np.shape(flow)}: expected [h, w] and [h, w, 2]"
            )
        height, width = labels.shape
        size = float(np.sqrt(height * width))
        known = np.ones(labels.shape, bool) if valid is None else np.asarray(valid) > 0
        y, x = np.mgrid[:height, :width]
        x, y = (x - (width - 1) / 2) / size, (y - (height - 1) / 2) / size
        flow = np.where(known[..., None], flow, 0) / size
        ground = _Field.of(x, y, flow, known & (labels == 0))
        theta = _fit(_quadratic(ground.x, ground.y), ground.flow)
        left = ground.flow - _quadratic(ground.x, ground.y) @ theta
        self._ground.append(float(np.median(np.hypot(*left.T))) if len(left) else np.nan)
        rows: dict[int, _Row] = {}
        for label in np.unique(labels[labels != 0]).tolist():
            inside = labels == label
            if inside.sum() >= _LEAST_PIXELS:
                rows[label] = _measure(x, y, flow, inside, known, theta)
        self._measure_gaps(labels, rows, size)
        self._rows.append(rows)

    def _measure_gaps(self, labels: np.ndarray, rows: Iterable[int], size: float) -> None:
        names = sorted(rows)
        for place, one in enumerate(names[:-1]):
            away = cv2.distanceTransform((labels != one).astype(np.uint8), cv2.DIST_L2, 5)
            for other in names[place + 1 :]:
                # Pixels that touch are one apart.
                gap = max(float(away[labels == other].min()) - 1, 0.0) / size
                self._gaps.setdefault((one, other), {})[len(self._rows)] = gap

    def tracks(self) -> Tracks:
        """What is known of all tracks so far."""
        labels = sorted({label for rows in self._rows for label in rows})
        places = {label: place for place, label in enumerate(labels)}
        shape = (len(labels), len(self._rows))
        arrays = {
            name: np.full((*shape, *sides), np.nan)
            for name, sides in {"place": (2,), "box": (4,), "velocity": (2,)}.items()
        }
        arrays |= {
            n: np.full(shape, np.nan) for n in ("area", "growth", "turn", "shear", "residual")
        }
        arrays["border"] = np.zeros(shape, bool)
        for t, rows in enumerate(self._rows):
            for label, row in rows.items():
                for name, value in row._asdict().items():
                    arrays[name][places[label], t] = value
        gaps = {}
        for (one, other), found in self._gaps.items():
            gap = gaps[places[one], places[other]] = np.full(shape[1], np.nan)
            gap[list(found)] = list(found.values())
        return Tracks(np.array(labels, int), gaps=gaps, ground=np.array(self._ground), **arrays)


def describe_tracks(
    labels: np.ndarray, flow: np.ndarray, valid: np.ndarray | None = None
) -> Tracks:
    """Measures the tracks of a clip.

    Args:
        labels: int `[T, H, W]`, 0 for the background, and the track of each other pixel.
        flow: `[T, H, W, 2]`, pixels per frame.
        valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere.

    Returns:
        The `Tracks`.

    Raises:
        ValueError: on shapes that do not match.
    """
    if np.ndim(labels) != 3 or np.shape(flow) != (*np.shape(labels), 2):
        raise ValueError(
            f"labels {np.shape(labels)} and flow {np.shape(flow)}: expected [T, H, W] and "
            "[T, H, W, 2]"
        )
    meter = TrackMeter()
    for t in range(len(labels)):
        meter.add(labels[t], flow[t], None if valid is None else valid[t])
    return meter.tracks()


class _Field(NamedTuple):
    """Flow `[n, 2]` at some places."""

    x: np.ndarray
    y: np.ndarray
    flow: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, flow: np.ndarray, chosen: np.ndarray) -> _Field:
        """The chosen pixels, or a regular part of them."""
        places = np.flatnonzero(chosen)
        places = places[:: max(1, -(-len(places) // _MOST_PIXELS))]
        return cls(x.ravel()[places], y.ravel()[places], flow.reshape(-1, 2)[places])


def _measure(
    x: np.ndarray,
    y: np.ndarray,
    flow: np.ndarray,
    inside: np.ndarray,
    known: np.ndarray,
    theta: np.ndarray,
) -> _Row:
    """A track in a frame, given the background's motion theta `[6, 2]`."""
    height, width = inside.shape
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    box = np.array([left / width, top / height, right / width, bottom / height])
    border = top == 0 or left == 0 or bottom == height or right == width
    place = np.array([x[inside].mean(), y[inside].mean()])
    # At the outline the flow is that of both sides.
    core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    core = core & known if (core & known).sum() >= _LEAST_PIXELS else inside & known
    own = _Field.of(x, y, flow, core)
    rest = own.flow - _quadratic(own.x, own.y) @ theta
    found = [np.full(2, np.nan), *[np.nan] * 4]
    if len(rest) >= _LEAST_PIXELS:
        design = np.stack([np.ones_like(own.x), own.x - place[0], own.y - place[1]], axis=1)
        motion = _fit(design, rest)
        gradient = motion[1:].T
        area = np.linalg.det(np.eye(2) + gradient)
        turn = np.arctan2(gradient[1, 0] - gradient[0, 1], 2 + np.trace(gradient))
        stretch, skew = gradient[0, 0] - gradient[1, 1], gradient[0, 1] + gradient[1, 0]
        left_over = np.median(np.hypot(*(rest - design @ motion).T))
        found = [motion[0], np.log(max(area, 1e-3)), turn, 0.5 * np.hypot(stretch, skew), left_over]
    return _Row(place, box, float(inside.mean()), *found, border=bool(border))


def _quadratic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _fit(design: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The motion of least absolute residual, by reweighting: `[P, 2]`; 0 without pixels."""
    count = design.shape[1]
    theta = np.zeros((count, 2))
    if len(design) < 2 * count:
        return theta
    weights = np.ones(len(design))
    for _ in range(_ITERATIONS):
        weighted = design * weights[:, None]
        gram = weighted.T @ design
        # A few pixels in a line do not tell all parameters.
        gram += 1e-6 * np.trace(gram) / count * np.eye(count)
        theta = np.linalg.solve(gram, weighted.T @ flow)
        weights = 1 / np.maximum(np.hypot(*(flow - design @ theta).T), _FLOOR)
    return theta
