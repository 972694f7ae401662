"""A crowd on a plane: people who walk one way, and perhaps some who walk another.

Lengths are meters on the ground and frame sizes in the frame. People are figures that face the
camera. They keep apart by social forces and swing their legs, so that a person's flow is not that
of a point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxmotion.scenes.camera import Camera, swing
from jaxmotion.scenes.config import CrowdConfig
from jaxmotion.scenes.layers import Deformation, Layer

_RELAXATION = 0.5  # seconds in which a person comes back to the velocity that is wanted
_PUSH, _PUSH_RANGE, _DIAMETER = 2.0, 0.3, 0.5  # social force: m/s², m, m
_HEADING_SECONDS = 2.0  # over which the heading of a person is correlated
_STRIDE_RATE, _STRIDE = 1.8, 0.03  # Hz, and meters of each of the two waves of the legs


class Figure:
    """A person who faces the camera, in meters from the middle of the body: head, trunk, legs."""

    def __init__(self, height: float, width: float):
        self.radius = 0.5 * height + 0.1
        # Center and half axes of four ellipses, each across and along the body.
        self._center = np.array(
            [[0, -0.42 * height], [0, -0.1 * height], [-0.09, 0.28 * height], [0.09, 0.28 * height]]
        )
        self._axes = np.array(
            [
                [0.11, 0.08 * height],
                [0.5 * width, 0.27 * height],
                [0.085, 0.24 * height],
                [0.085, 0.24 * height],
            ]
        )

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Signed distance to the outline (to first order), positive inside, as in `Outline`."""
        (cx, cy), (across, along) = (
            part.astype(np.float32)[..., None, None] for part in (self._center.T, self._axes.T)
        )
        px, py = (x - cx) / across, (y - cy) / along
        norm = np.sqrt(px * px + py * py) + np.float32(1e-6)
        gradient = np.hypot(px / across, py / along) / norm
        return ((1 - norm) / (gradient + np.float32(1e-6))).max(axis=0)


@dataclass
class Ground:
    """The inverse depth of a plane: it grows toward the bottom of the frame.

    Attributes:
        slope: growth of the inverse depth per frame size; 1 at the center.
    """

    slope: float

    def __call__(self, frame: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Inverse depth, float32 `[H, W]`, with the arguments of `Depth`."""
        rho = np.maximum(1 + self.slope * y, 0.1).astype(np.float32)
        return np.repeat(rho[:, None], len(x), axis=1)


@dataclass(frozen=True)
class View:
    """A camera above the ground.

    Attributes:
        height: height above the ground, meters.
        tilt: angle of the axis below the horizon, radians.
        focal: focal length, frame sizes.
    """

    height: float
    tilt: float
    focal: float

    def project(
        self, ground: np.ndarray, above: np.ndarray | float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The place in the frame of points above the ground.

        Args:
            ground: meters to the right of and before the camera, `[..., 2]`.
            above: height of each point, meters, `[...]` or broadcastable.

        Returns:
            Positions in frame sizes from the center, `[..., 2]`, and their depth in meters.
        """
        sin, cos = np.sin(self.tilt), np.cos(self.tilt)
        down, forward = self.height - above, ground[..., 1]
        depth = down * sin + forward * cos
        y = down * cos - forward * sin
        return self.focal / depth[..., None] * np.stack([ground[..., 0], y], axis=-1), depth


def draw_crowd(
    rng: np.random.Generator, config: CrowdConfig, num_frames: int, extent: tuple[float, float]
) -> tuple[Camera, Ground, list[Layer]]:
    """Draws the camera, the ground and the people.

    Args:
        rng: source of everything.
        config: distribution to draw from.
        num_frames: T, number of frames.
        extent: half width and half height of the frame, in frame sizes.
    """
    times = np.arange(num_frames + 1.0)
    view = View(
        height=rng.uniform(*config.camera_height),
        tilt=np.radians(rng.uniform(*config.camera_tilt)),
        focal=2 * extent[0] * rng.uniform(*config.focal),
    )
    rate = config.camera_speed * rng.uniform(0, 2)
    camera = Camera(
        focal=view.focal,
        translation_share=config.camera_translation * rng.uniform(0, 1),
        pan=np.diff([swing(rng, times, rate, 0.05) for _ in range(2)], axis=1).T,
        zoom=np.zeros(num_frames + 1),
        roll=swing(rng, times, config.camera_roll * rng.uniform(0, 2), 0.05),
    )
    # The field begins where the lower border of the frame meets the ground.
    nearest = view.height / np.tan(view.tilt + np.arctan(extent[1] / view.focal))
    corner = np.array([-0.5 * config.field[0], max(nearest, 0.0)])
    places, headings, against = _walk(rng, config, num_frames, corner, view, extent)
    layers: list[Layer] = []
    for person in range(places.shape[1]):
        label = int(np.sum(against[: person + 1])) if against[person] else 0
        if config.label_everyone:
            label = person + 1
        layers += _person(
            rng, config, view, camera, corner, places[:, person], headings[person], label
        )
    return camera, Ground(1 / (view.focal * np.tan(view.tilt))), layers


def _walk(
    rng: np.random.Generator,
    config: CrowdConfig,
    num_frames: int,
    corner: np.ndarray,
    view: View,
    extent: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ways of the people.

    Returns:
        Places on the ground, `[T + 1, N, 2]`, which go on beyond the field; headings `[N]`, in
        radians; and who walks against the stream, bool `[N]`.
    """
    field, step = np.array(config.field), 1 / config.frame_rate
    count = int(rng.integers(config.people[0], config.people[1] + 1))
    place = _scattered(rng, count, corner, field)
    heading = np.full(count, rng.uniform(0, 2 * np.pi))
    against = np.zeros(count, bool)
    if rng.uniform() < config.against_probability:
        seen, _ = view.project(place, 0.9)
        inside = np.flatnonzero((np.abs(seen) < 0.9 * np.array(extent)).all(axis=-1))
        chosen = rng.permutation(inside)[: int(rng.integers(1, 4))]
        against[chosen] = True
        turn = np.radians(rng.uniform(*config.against_angle, len(chosen)))
        heading[chosen] += turn * rng.choice((-1, 1), len(chosen))
    speed = np.maximum(rng.normal(*config.walking_speed, count), 0.3)
    spread = np.radians(config.heading_noise)
    wander, kept = rng.normal(0, spread, count), np.exp(-step / _HEADING_SECONDS)
    velocity = _along(heading + wander, speed)
    places = np.empty((num_frames + 1, count, 2))
    for t in range(num_frames + 1):
        places[t] = place
        wander = kept * wander + np.sqrt(1 - kept**2) * rng.normal(0, spread, count)
        force = (_along(heading + wander, speed) - velocity) / _RELAXATION
        velocity = velocity + step * (force + _pushes(place, field))
        place = place + step * velocity
    return places, heading, against


def _scattered(
    rng: np.random.Generator, count: int, corner: np.ndarray, field: np.ndarray
) -> np.ndarray:
    """Places `[N, 2]` in the field, apart from each other where that can be had."""
    places = np.empty((count, 2))
    for person in range(count):
        tries = corner + rng.uniform(0, 1, (6, 2)) * field
        apart = np.linalg.norm(tries[:, None] - places[None, :person], axis=-1)
        places[person] = tries[apart.min(axis=1, initial=np.inf).argmax()] if person else tries[0]
    return places


def _pushes(place: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Accelerations `[N, 2]` by which people keep apart (Helbing and Molnár, 1995), m/s²."""
    apart = place[:, None] - place[None]
    apart -= field * np.round(apart / field)
    distance = np.linalg.norm(apart, axis=-1) + 1e-6
    strength = _PUSH * np.exp((_DIAMETER - distance) / _PUSH_RANGE)
    np.fill_diagonal(strength, 0)
    return ((strength / distance)[..., None] * apart).sum(axis=1)


def _along(heading: np.ndarray, speed: np.ndarray) -> np.ndarray:
    return speed[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)


def _person(
    rng: np.random.Generator,
    config: CrowdConfig,
    view: View,
    camera: Camera,
    corner: np.ndarray,
    places: np.ndarray,
    heading: float,
    label: int,
) -> list[Layer]:
    """The layers of a person, one for each time that the field is entered.

    Args:
        rng: source of the figure and of the phase of the legs.
        config: distribution of the scene.
        view: where the camera stands.
        camera: how it moves.
        corner: corner of the field with the least coordinates.
        places: places on the ground, `[T + 1, 2]`, which go on beyond the field.
        heading: direction of the walk, radians.
        label: label of the person.
    """
    height = max(rng.normal(1.72, 0.08), 1.3)
    figure, phase = Figure(height, 0.45), rng.uniform(0, 2 * np.pi)
    times = np.arange(len(places))
    stride = _STRIDE * np.sin(2 * np.pi * _STRIDE_RATE / config.frame_rate * times + phase)
    # Seen from the side the legs swing across the body, seen from the front hardly at all.
    motion = np.zeros((len(places), 2, 2))
    motion[..., 0] = (stride * np.cos(heading))[:, None]
    motion[..., 1] = 0.3 * (stride * np.sin(heading))[:, None]
    # Twice sin(8 x) cos(along (y - foot)): the legs against each other, the head not at all.
    along, foot = 0.5 * np.pi / height, 0.5 * height
    legs = Deformation(
        waves=np.array([[8.0, along], [8.0, -along]]),
        phase=np.array([-along * foot, along * foot]),
        swing=motion,
    )
    tiles = np.floor((places - corner) / np.array(config.field))
    layers = []
    for tile in np.unique(tiles, axis=0):
        here = (tiles == tile).all(axis=-1)
        ground = places - tile * np.array(config.field)
        ground = np.clip(ground, corner - 1, corner + np.array(config.field) + 1)
        seen, depth = view.project(ground, 0.5 * height)
        rho = view.height / np.sin(view.tilt) / depth
        path = _carried(camera, seen, rho)
        layers.append(
            Layer(
                figure,
                label,
                rho=1.0,
                path=path,
                angle=camera.roll - camera.roll[0],
                log_scale=np.log(view.focal / depth),
                deformation=legs,
                static=False,
                nearness=np.where(here, 1 / depth, -np.inf),
            )
        )
    return layers


def _carried(camera: Camera, seen: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """The path `[T + 1, 2]` of a point that a standing camera would see at `seen`."""
    path = seen.copy()
    for t in range(len(seen) - 1):
        path[t + 1] = path[t] + seen[t + 1] - seen[t] + camera.flow_at(t, path[t], float(rho[t]))
    return path
