"""Textured frames with exact flow: things that move over a ground that a camera moves along.

A small film for demonstrations, of any length and size. Each thing has an outline with lobes and a
texture, goes straight on and turns about itself; it may rest for a while before. The flow follows
from the motions, not from the pictures. Everything is numpy and a function of the seed; OpenCV only
resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from jaxmotion.scenes.grounds import Ground, country, fields

_PAN, _SWAY, _ZOOM = 0.006, 0.02, 0.0008  # of the camera: heights a frame, heights, log a frame
_SWAYS = 2.0  # during the film
_CONTRAST, _NOISE = 42.0, 2.0  # gray levels


@dataclass(frozen=True)
class Thing:
    """Something that moves on its own. Lengths are heights of the frame.

    Attributes:
        radius: mean distance of its outline from its center.
        place: center in the first frame, shares of the width and of the height.
        velocity: way over the ground from one frame to the next, to the right and down.
        spin: turn from one frame to the next, radians.
        lobes: number of lobes of its outline.
        rest: share of the film in which it does not move at first.
    """

    radius: float
    place: tuple[float, float]
    velocity: tuple[float, float]
    spin: float = 0.0
    lobes: int = 3
    rest: float = 0.0


THINGS = (
    Thing(0.17, (0.22, 0.40), (0.018, 0.003), 0.03, lobes=3),
    Thing(0.11, (0.82, 0.70), (-0.011, -0.004), -0.02, lobes=5, rest=0.35),
)
"""One thing that crosses the picture, and a smaller one that begins later."""


class Film(NamedTuple):
    """Frames and what moves in them.

    Attributes:
        frames: uint8 `[T, H, W, 3]`.
        flow: float32 `[T - 1, H, W, 2]`, pixels from each frame to the next, exact.
        labels: int32 `[T, H, W]`, number of the thing of each pixel from 1, 0 for the ground.
    """

    frames: np.ndarray
    flow: np.ndarray
    labels: np.ndarray


def draw_film(
    num_frames: int, height: int, width: int, seed: int = 0, things: Sequence[Thing] = THINGS
) -> Film:
    """Draws a film.

    Args:
        num_frames: number T of frames.
        height: number of rows.
        width: number of columns.
        seed: seed of the textures and of the noise.
        things: what moves, the last one in front.

    Returns:
        The film, the same for the same arguments.
    """
    rng = np.random.default_rng(seed)
    size = np.array([width, height], float)
    times = np.arange(num_frames)
    zoom = np.exp(_ZOOM * times)
    sway = np.sin(2 * np.pi * _SWAYS * times / num_frames)
    pan = height * np.stack([_PAN * times, _SWAY * sway], axis=-1)
    actors = [_Actor(thing, rng, size, num_frames) for thing in things]
    margin = int(np.abs(pan).max()) + 8
    ground = _texture(rng, max(height, width) + 2 * margin, country)
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x, y], axis=-1).astype(float)
    frames, flow, labels = [], [], []
    for t in range(num_frames):
        points = (pixels - size / 2) / zoom[t] + size / 2 + pan[t]  # on the ground
        picture = _sample(ground, points + margin)
        numbers, target = np.zeros((height, width), np.int32), points.copy()
        for number, actor in enumerate(actors, 1):
            local = (points - actor.places[t]) @ _rotation(actor.angles[t])
            inside = actor.inside(local)
            cover = np.clip(inside + 0.5, 0, 1)[..., None]
            picture = (1 - cover) * picture + cover * actor.look(local)
            numbers[inside > 0] = number
            later = min(t + 1, num_frames - 1)
            moved = actor.places[later] + local @ _rotation(actor.angles[later]).T
            target = np.where(inside[..., None] > 0, moved, target)
        picture += rng.normal(0, _NOISE, picture.shape)
        frames.append(np.clip(np.rint(picture), 0, 255).astype(np.uint8))
        labels.append(numbers)
        if t + 1 < num_frames:
            seen = (target - size / 2 - pan[t + 1]) * zoom[t + 1] + size / 2
            flow.append((seen - pixels).astype(np.float32))
    field = np.stack(flow) if flow else np.zeros((0, height, width, 2), np.float32)
    return Film(np.stack(frames), field, np.stack(labels))


class _Actor:
    """A thing in pixels: where it is in each frame, and what it looks like."""

    def __init__(
        self, thing: Thing, rng: np.random.Generator, size: np.ndarray, num_frames: int
    ) -> None:
        moved = np.maximum(np.arange(num_frames) - round(thing.rest * num_frames), 0)
        self.places = thing.place * size + size[1] * moved[:, None] * np.array(thing.velocity)
        self.angles = thing.spin * moved
        self._radius, self._lobes = thing.radius * size[1], thing.lobes
        self._texture = _texture(rng, int(3 * self._radius) + 4, fields)
        self._texture += rng.uniform(-45, 45, 3).astype(np.float32)

    def inside(self, local: np.ndarray) -> np.ndarray:
        """Pixels from the outline, about; positive inside; of points `[..., 2]` from the center."""
        angle = np.arctan2(local[..., 1], local[..., 0])
        reach = self._radius * (1 + 0.2 * np.cos(self._lobes * angle))
        return reach - np.hypot(local[..., 0], local[..., 1])

    def look(self, local: np.ndarray) -> np.ndarray:
        """Colors `[..., 3]` of points from the center."""
        return _sample(self._texture, local + len(self._texture) / 2)


def _texture(rng: np.random.Generator, side: int, kind: Ground) -> np.ndarray:
    picture = 128 + _CONTRAST * kind(rng, side)
    return cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 0.8)


def _sample(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    x, y = np.moveaxis(points.astype(np.float32), -1, 0)
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _rotation(angle: float) -> np.ndarray:
    """The matrix that turns; points in rows times it are turned back."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
