"""Layers before the background: outlines, and how they move and deform."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from jaxmotion.scenes.camera import Camera, swing
from jaxmotion.scenes.events import SceneEvent

_ANGLES = 256


class Outline(Protocol):
    """A region of the plane, in the layer's own coordinates."""

    radius: float  # of a disc that contains it; infinite where there is none

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Signed distance to the outline (to first order), positive inside.

        Args:
            x: horizontal positions, in the layer's own coordinates.
            y: vertical positions, in the same coordinates and of a shape that broadcasts with x.
        """
        ...


class Blob:
    """A star-shaped region: radius a random Fourier series of the angle, then stretched."""

    def __init__(
        self,
        rng: np.random.Generator,
        area: float,
        elongation: float,
        roughness: float,
        center: tuple[float, float] = (0.0, 0.0),
        turn: float = 0.0,
    ):
        angle = np.linspace(-np.pi, np.pi, _ANGLES, endpoint=False)
        orders = np.arange(2, 8)
        waves = rng.normal(size=(2, len(orders))) * roughness / orders**1.2
        series = waves[0] @ np.cos(np.outer(orders, angle))
        series += waves[1] @ np.sin(np.outer(orders, angle))
        radius = np.exp(np.clip(series, -1.2, 0.7))
        radius *= np.sqrt(area / np.pi / np.mean(radius**2))
        slope = (np.roll(radius, -1) - np.roll(radius, 1)) * (_ANGLES / (4 * np.pi))
        self._radius = radius.astype(np.float32)
        self._flatness = (1.0 / np.sqrt(1.0 + (slope / radius) ** 2)).astype(np.float32)
        stretch = float(np.sqrt(elongation))
        self._stretch = (stretch, 1.0 / stretch)
        self._center = center
        self._turn = (float(np.cos(turn)), float(np.sin(turn)))
        self.radius = float(radius.max() * max(self._stretch) + np.hypot(*center))

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Signed distance to the outline (to first order), positive inside, as in `Outline`."""
        cos, sin = self._turn
        along, across = self._stretch
        x, y = x - self._center[0], y - self._center[1]
        px = (cos * x + sin * y) * (1.0 / along)
        py = (cos * y - sin * x) * (1.0 / across)
        norm = np.sqrt(px * px + py * py) + np.float32(1e-6)
        index = (np.arctan2(py, px) * (_ANGLES / (2 * np.pi)) + (_ANGLES / 2 + 0.5)).astype(int)
        index %= _ANGLES
        # |gradient| of |p| in the unstretched plane
        gradient = np.hypot(px * (1.0 / along), py * (1.0 / across)) / norm
        return (self._radius[index] - norm) * self._flatness[index] / (gradient + 1e-6)


class Union:
    """The union of several outlines."""

    def __init__(self, parts: list[Blob]):
        self._parts = parts
        self.radius = max(part.radius for part in parts)

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Signed distance to the outline, positive inside, with the arguments of `Outline`."""
        distance = self._parts[0].distance(x, y)
        for part in self._parts[1:]:
            np.maximum(distance, part.distance(x, y), out=distance)
        return distance


class Trunk:
    """An upright band with wavy edges that crosses the whole frame."""

    radius = float("inf")

    def __init__(self, rng: np.random.Generator, half_width: float):
        self._half_width = half_width
        self._frequency = rng.uniform(3.0, 12.0, 2).tolist()
        self._phase = rng.uniform(0, 2 * np.pi, 2).tolist()
        self._bend = half_width * rng.uniform(0, 0.6)

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance to the nearer edge along x, positive inside, as `Outline` has it."""
        middle = self._bend * np.sin(self._frequency[0] * y + self._phase[0])
        width = self._half_width * (1 + 0.2 * np.sin(self._frequency[1] * y + self._phase[1]))
        return width - np.abs(x - middle)


class Ridge:
    """All that lies below a wavy line: a hill, a hedge, a bank."""

    radius = float("inf")

    def __init__(self, rng: np.random.Generator):
        self._frequency = rng.uniform(1.5, 10.0, 3).tolist()
        self._phase = rng.uniform(0, 2 * np.pi, 3).tolist()
        self._height = (0.25 * rng.uniform(0, 1, 3) / np.array(self._frequency)).tolist()

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Depth below the line along y, positive below it, with the arguments of `Outline`."""
        for height, frequency, phase in zip(
            self._height, self._frequency, self._phase, strict=True
        ):
            y = y - height * np.sin(frequency * x + phase)
        return y


@dataclass
class Deformation:
    """Displacement of a layer's points by standing waves that swing in time.

    Attributes:
        waves: `[M, 2]`, wave vectors, radians per length of the layer's own coordinates.
        phase: `[M]`, phases of the waves, radians.
        swing: `[T + 1, M, 2]`, displacement vectors.
    """

    waves: np.ndarray
    phase: np.ndarray
    swing: np.ndarray

    @classmethod
    def draw(
        cls, rng: np.random.Generator, clock: np.ndarray, radius: float, speed: float
    ) -> Deformation:
        """Draws two waves on an object.

        Wave number times amplitude stays below 0.5, so that the map remains invertible.

        Args:
            rng: source of wave vectors, phases and directions.
            clock: time of each frame and the one after, `[T + 1]`; it stands still at rest.
            radius: radius of the object.
            speed: root-mean-square speed of each wave.
        """
        num_waves = 2
        angle = rng.uniform(0, 2 * np.pi, num_waves)
        number = rng.uniform(1.2, 2.4, num_waves) / radius
        waves = number[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        paths = np.empty((len(clock), num_waves, 2))
        for m in range(num_waves):
            direction = rng.uniform(0, 2 * np.pi)
            path = swing(rng, clock, speed, 0.25 / number[m])
            paths[:, m, 0], paths[:, m, 1] = path * np.cos(direction), path * np.sin(direction)
        return cls(waves, rng.uniform(0, 2 * np.pi, num_waves), paths)

    def __call__(self, frame: int, x: np.ndarray, y: np.ndarray):
        """Displacement (dx, dy) at rest positions.

        Args:
            frame: index of the frame.
            x: horizontal positions, in the layer's own coordinates.
            y: vertical positions, in the same coordinates.
        """
        dx = dy = np.float32(0)
        for (kx, ky), phase, (ax, ay) in zip(
            self.waves.tolist(), self.phase.tolist(), self.swing[frame].tolist(), strict=True
        ):
            wave = np.sin(kx * x + (ky * y + phase))
            dx, dy = dx + ax * wave, dy + ay * wave
        return dx, dy


@dataclass
class Layer:
    """An outline carried along a path.

    A point q of the outline's own coordinates is seen in frame t at
    `path[t] + exp(log_scale[t]) * rotation(angle[t]) (q + deformation_t(q))`.

    Attributes:
        outline: region in its own coordinates.
        label: 0 for a static occluder, 1, 2, ... for a moving object.
        rho: inverse depth (of what is static).
        path: `[T + 1, 2]`, position in the frame.
        angle: `[T + 1]`, rotation, radians.
        log_scale: `[T + 1]`, logarithm of the scale.
        deformation: non-rigid motion; None where there is none.
        static: whether it moves with the scene alone, as what has the label 0 mostly does.
        nearness: `[T]` or longer, layers with more of it are in front, and those with minus
            infinity are not there; None for the order of the list.
        acts: what it does, and when, seen or not.
    """

    outline: Outline
    label: int
    rho: float
    path: np.ndarray
    angle: np.ndarray
    log_scale: np.ndarray
    deformation: Deformation | None = field(default=None)
    static: bool = True
    nearness: np.ndarray | None = None
    acts: tuple[SceneEvent, ...] = ()

    def at_rest(self, camera: Camera, rho: float) -> Layer:
        """A static thing that is seen in the first frame where this layer is.

        Args:
            camera: motion of the camera.
            rho: inverse depth of the thing.
        """
        held = self.deformation
        if held is not None:
            held = replace(held, swing=np.broadcast_to(held.swing[:1], held.swing.shape))
        return Layer(
            self.outline,
            label=0,
            rho=rho,
            path=camera.follow(self.path[0], 0, rho, np.zeros_like(camera.pan)),
            angle=self.angle[0] + camera.roll - camera.roll[0],
            log_scale=self.log_scale[0] + rho * (camera.zoom - camera.zoom[0]),
            deformation=held,
        )

    def box(self, frame: int, x: np.ndarray, y: np.ndarray, margin: float) -> tuple[slice, slice]:
        """Rows and columns of a grid that the layer may touch.

        Args:
            frame: index of the frame.
            x: positions of the columns, `[W]`.
            y: positions of the rows, `[H]`.
            margin: distance around the layer that is included.
        """
        reach = 1.5 if self.deformation is not None else 1.0
        reach = reach * self.outline.radius * float(np.exp(self.log_scale[frame])) + margin
        cx, cy = self.path[frame]
        rows = slice(*np.searchsorted(y, (cy - reach, cy + reach)).tolist())
        columns = slice(*np.searchsorted(x, (cx - reach, cx + reach)).tolist())
        return rows, columns

    def rest_position(self, frame: int, x: np.ndarray, y: np.ndarray):
        """The outline's own coordinates of the points seen at some pixels.

        Args:
            frame: index of the frame.
            x: positions of the columns, `[w]`.
            y: positions of the rows, `[h]`.
        """
        scale = float(np.exp(-self.log_scale[frame]))
        cos = scale * float(np.cos(self.angle[frame]))
        sin = scale * float(np.sin(self.angle[frame]))
        cx, cy = self.path[frame].tolist()
        x, y = x[None, :] - np.float32(cx), y[:, None] - np.float32(cy)
        qx, qy = cos * x + sin * y, cos * y - sin * x
        if self.deformation is None:
            return qx, qy
        rx, ry = qx, qy
        for _ in range(4):  # contraction by 0.5 or less: a fixed point
            dx, dy = self.deformation(frame, rx, ry)
            rx, ry = qx - dx, qy - dy
        return rx, ry

    def displacement(self, frame: int, x: np.ndarray, y: np.ndarray, qx, qy):
        """Flow (u, v) of the points seen at some pixels.

        Args:
            frame: index of the frame that it starts from.
            x: positions of the columns, `[w]`.
            y: positions of the rows, `[h]`.
            qx: horizontal coordinates of the points in the outline's own frame, `[h, w]`.
            qy: vertical coordinates of the points, `[h, w]`.
        """
        if self.deformation is not None:
            dx, dy = self.deformation(frame + 1, qx, qy)
            qx, qy = qx + dx, qy + dy
        scale = float(np.exp(self.log_scale[frame + 1]))
        cos = scale * float(np.cos(self.angle[frame + 1]))
        sin = scale * float(np.sin(self.angle[frame + 1]))
        cx, cy = self.path[frame + 1].tolist()
        u = cos * qx - sin * qy + (np.float32(cx) - x)[None, :]
        v = sin * qx + cos * qy + (np.float32(cy) - y)[:, None]
        return u, v
