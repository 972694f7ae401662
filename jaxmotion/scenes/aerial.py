"""Aerial frames with exact flow: small vehicles on a ground, seen from above.

The ground, roads and vehicles are drawn at twice the size, blurred as by a lens, averaged to
pixels, and then get gain, offset and noise that differ from frame to frame. The flow follows from
the motions, not from the pictures; pixels of a shadow are pixels of the ground.

Everything is numpy and a function of the seed; OpenCV only resamples.
"""

from typing import NamedTuple

import cv2
import numpy as np

from jaxmotion.scenes.aerial_config import AerialConfig
from jaxmotion.scenes.grounds import Ground, country

_FINE = 2  # subpixels in each direction


class AerialClip(NamedTuple):
    """Frames and what moves from each to the next.

    Attributes:
        frames: uint8 `[T + 1, H, W, 3]`.
        flow: float32 `[T, H, W, 2]`, pixels, exact.
        vehicles: int32 `[T, H, W]`, number of the vehicle of each pixel, 0 for the ground.
        moving: bool `[T, H, W]`, the vehicles that are not parked.
    """

    frames: np.ndarray
    flow: np.ndarray
    vehicles: np.ndarray
    moving: np.ndarray


class AerialPair(NamedTuple):
    """Two frames and what moves from the first to the second.

    Attributes:
        frames: uint8 `[2, H, W, 3]`.
        flow: float32 `[H, W, 2]`, pixels, exact.
        vehicles: int32 `[H, W]`, number of the vehicle of each pixel of the first frame, 0 for the
            ground.
        moving: bool `[H, W]`, the vehicles that are not parked.
    """

    frames: np.ndarray
    flow: np.ndarray
    vehicles: np.ndarray
    moving: np.ndarray


class _Vehicle(NamedTuple):
    """A vehicle on the ground, in each frame; places are (x, y), pixels of the first frame."""

    length: float
    width: float
    places: list[np.ndarray]
    headings: list[float]
    body: np.ndarray
    windows: float
    shadow: np.ndarray
    moves: bool

    def local(self, frame: int, points: np.ndarray) -> np.ndarray:
        """Points of the ground `[..., 2]` in the vehicle's own axes."""
        return (points - self.places[frame]) @ _turned(self.headings[frame])

    def covers(self, local: np.ndarray) -> np.ndarray:
        """Where the superellipse of length and width is."""
        scaled = 2 * local / np.array([self.length, self.width])
        return (scaled**4).sum(axis=-1) < 1


def draw_pair(
    config: AerialConfig, height: int, width: int, seed: int, ground: Ground = country
) -> AerialPair:
    """Draws a pair of frames: a clip of two.

    Args:
        config: distribution of the pair.
        height: number of rows.
        width: number of columns.
        seed: seed of the random draws, 0 or more.
        ground: family of grounds that the pair's is drawn from.

    Returns:
        The pair, the same for the same arguments.
    """
    clip = draw_clip(config, 1, height, width, seed, ground)
    return AerialPair(clip.frames, clip.flow[0], clip.vehicles[0], clip.moving[0])


def draw_clip(
    config: AerialConfig,
    num_flows: int,
    height: int,
    width: int,
    seed: int,
    ground: Ground = country,
) -> AerialClip:
    """Draws a clip, in which camera and vehicles go on as they began.

    Args:
        config: distribution of the clip.
        num_flows: T, number of flow fields, one fewer than frames.
        height: number of rows.
        width: number of columns.
        seed: seed of the random draws, 0 or more.
        ground: family of grounds that the clip's is drawn from.

    Returns:
        The clip, the same for the same arguments.
    """
    rng = np.random.default_rng(seed)
    cameras = _repeated(_draw_camera(config, rng, height, width), num_flows)
    vehicles = _draw_vehicles(config, rng, num_flows, height, width)
    margin = int((2 * config.camera + 0.02 * max(height, width)) * num_flows + 6)
    side = max(height, width) + 2 * margin
    picture = _draw_ground(config, rng, side, ground)
    blur = rng.uniform(0.4, 0.8) * _FINE
    noise = rng.uniform(*config.noise)
    frames = []
    for frame, camera in enumerate(cameras):
        fine = _render(picture, margin, vehicles, frame, camera, (height, width))
        fine = cv2.GaussianBlur(fine, (0, 0), blur)
        seen = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
        seen = seen * (1 + config.gain * rng.uniform(-1, 1)) + 75 * config.gain * rng.uniform(-1, 1)
        seen += rng.normal(0, noise, seen.shape)
        frames.append(np.clip(np.rint(seen), 0, 255).astype(np.uint8))
    truths = [_truth(vehicles, cameras, frame, height, width) for frame in range(num_flows)]
    return AerialClip(np.stack(frames), *map(np.stack, zip(*truths, strict=True)))


def _repeated(camera: np.ndarray, times: int) -> list[np.ndarray]:
    """The camera's similarity done 0, 1, ... times over."""
    whole = np.vstack([camera, [0, 0, 1]])
    return [np.linalg.matrix_power(whole, time)[:2] for time in range(times + 1)]


def _draw_camera(
    config: AerialConfig, rng: np.random.Generator, height: int, width: int
) -> np.ndarray:
    """The similarity `[2, 3]` that takes a place on the ground to its pixel in the second frame."""
    zoom = np.exp(rng.normal(0, config.camera_turn))
    linear = zoom * _turned(rng.normal(0, config.camera_turn))
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    way = rng.uniform(-config.camera, config.camera, 2)
    return np.column_stack([linear, center - linear @ center + way])


def _draw_vehicles(
    config: AerialConfig, rng: np.random.Generator, num_flows: int, height: int, width: int
) -> list[_Vehicle]:
    share = height * width / 192**2
    number = max(1, round(rng.uniform(*config.vehicles) * share))
    vehicles: list[_Vehicle] = []
    for _ in range(20 * number):
        vehicle = _draw_vehicle(config, rng, num_flows, height, width)
        apart = (
            np.linalg.norm(vehicle.places[frame] - other.places[frame])
            > (vehicle.length + other.length) / 2 + 1
            for other in vehicles
            for frame in range(num_flows + 1)
        )
        if all(apart):
            vehicles.append(vehicle)
        if len(vehicles) == number:
            break
    return vehicles


def _draw_vehicle(
    config: AerialConfig, rng: np.random.Generator, num_flows: int, height: int, width: int
) -> _Vehicle:
    length = np.exp(rng.uniform(*np.log(config.length)))
    heading, moves = rng.uniform(-np.pi, np.pi), rng.random() >= config.parked
    way, turn = rng.uniform(*config.speed) * moves, rng.normal(0, 0.05) * moves
    first = rng.uniform(0, (width, height))
    places, headings = [first], [heading]
    for _ in range(num_flows):
        ahead = np.array([np.cos(headings[-1]), np.sin(headings[-1])])
        places.append(places[-1] + way * ahead)
        headings.append(headings[-1] + turn)
    body = np.clip(rng.uniform(20, 245) + rng.uniform(-25, 25, 3), 0, 255)
    return _Vehicle(
        length=length,
        width=length * rng.uniform(0.35, 0.6),
        places=places,
        headings=headings,
        body=body,
        windows=rng.uniform(10, 90) if body.mean() > 100 else rng.uniform(0, 200),
        shadow=rng.uniform(-0.2, 0.2, 2) * length,
        moves=bool(moves),
    )


def _draw_ground(
    config: AerialConfig, rng: np.random.Generator, side: int, ground: Ground
) -> np.ndarray:
    """A picture of the ground in gray levels, `[2 side, 2 side, 3]`, perhaps with a road."""
    fine = _FINE * side
    picture = 45 * rng.uniform(0.5, 1.1) * ground(rng, fine) + rng.uniform(70, 150)
    if rng.random() < config.road:
        y, x = np.mgrid[:fine, :fine].astype(np.float32)
        angle, place = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8, 2) * fine
        across = (x - place[0]) * np.cos(angle) + (y - place[1]) * np.sin(angle)
        road = np.clip(_FINE * rng.uniform(12, 30) / 2 - np.abs(across) + 0.5, 0, 1)[..., None]
        gravel = cv2.GaussianBlur(
            rng.normal(0, 12, (fine, fine)).astype(np.float32), (0, 0), 1.2 * _FINE
        )
        picture = (1 - road) * picture + road * (rng.uniform(70, 140) + 2 * gravel[..., None])
    return np.clip(picture, 0, 255).astype(np.float32)


def _render(
    ground: np.ndarray,
    margin: int,
    vehicles: list[_Vehicle],
    frame: int,
    camera: np.ndarray,
    size: tuple[int, int],
) -> np.ndarray:
    """A frame at twice the size, without lens and noise, float32 `[2 H, 2 W, 3]`."""
    height, width = size
    places = _places(_FINE * height, _FINE * width)
    points = (places - camera[:, 2]) @ np.linalg.inv(camera[:, :2]).T  # on the ground
    # A quarter of a pixel off the grid, so that both frames are interpolated alike.
    sample = (_FINE * (points + margin) + (_FINE - 1) / 2 + 0.25).astype(np.float32)
    picture = cv2.remap(
        ground, sample[..., 0], sample[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    for vehicle in vehicles:
        rows, columns = _around(vehicle, frame, camera, picture.shape[:2])
        part, near = picture[rows, columns], points[rows, columns]
        part[vehicle.covers(vehicle.local(frame, near - vehicle.shadow))] *= 0.55
    for vehicle in vehicles:
        rows, columns = _around(vehicle, frame, camera, picture.shape[:2])
        part, near = picture[rows, columns], points[rows, columns]
        local = vehicle.local(frame, near)
        cover = vehicle.covers(local)
        along = np.abs(local[..., 0] / vehicle.length - 0.05)
        bars = (along > 0.18) & (along < 0.27) & (np.abs(local[..., 1]) < 0.4 * vehicle.width)
        part[cover] = np.where(bars[..., None], vehicle.windows, vehicle.body)[cover]
    return picture


def _around(
    vehicle: _Vehicle, frame: int, camera: np.ndarray, size: tuple[int, int]
) -> tuple[slice, slice]:
    """Rows and columns of a fine frame that a vehicle and its shadow lie in."""
    x, y = _FINE * (camera[:, :2] @ vehicle.places[frame] + camera[:, 2])
    reach = _FINE * vehicle.length + 4

    def part(place: float, most: int) -> slice:
        first, last = (int(np.clip(place + sign * reach, 0, most)) for sign in (-1, 1))
        return slice(first, last)

    return part(y, size[0]), part(x, size[1])


def _truth(
    vehicles: list[_Vehicle], cameras: list[np.ndarray], frame: int, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flow, vehicles and what moves, by the centers of a frame's pixels."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    pixels = np.stack([x, y], axis=-1)
    here, there = cameras[frame : frame + 2]
    points = (pixels - here[:, 2]) @ np.linalg.inv(here[:, :2]).T  # on the ground
    target, numbers = points.copy(), np.zeros((height, width), np.int32)
    moving = np.zeros((height, width), bool)
    for number, vehicle in enumerate(vehicles, start=1):
        local = vehicle.local(frame, points)
        cover = vehicle.covers(local)
        after = vehicle.places[frame + 1] + local @ _turned(vehicle.headings[frame + 1]).T
        target = np.where(cover[..., None], after, target)
        numbers[cover], moving[cover] = number, vehicle.moves
    flow = target @ there[:, :2].T + there[:, 2] - pixels
    return flow.astype(np.float32), numbers, moving


def _places(rows: int, columns: int) -> np.ndarray:
    """Places of the fine pixels' centers in pixels of the frame, (x, y)."""
    y, x = np.mgrid[:rows, :columns]
    return (np.stack([x, y], axis=-1) - (_FINE - 1) / 2) / _FINE


def _turned(angle: float) -> np.ndarray:
    """The rotation `[2, 2]` by an angle; from the right it turns rows back."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
