"""Static things in front of and behind the objects, and places that are free."""

from __future__ import annotations

import numpy as np

from jaxmotion.scenes.camera import Camera
from jaxmotion.scenes.config import SceneConfig
from jaxmotion.scenes.layers import Layer
from jaxmotion.scenes.outlines import draw_occluder


def draw_occluders(
    rng: np.random.Generator,
    config: SceneConfig,
    camera: Camera,
    homes: list[tuple[np.ndarray, float]],
    extent: tuple[float, float],
) -> tuple[list[Layer], list[Layer]]:
    """Draws static layers, those behind the objects and those before them.

    Args:
        rng: source of everything.
        config: distribution to draw from.
        camera: motion of the camera.
        homes: place and radius of each object; an occluder is in front only where the centers of
            the objects stay in sight.
        extent: half width and half height of the frame, in frame sizes.
    """
    behind, before = [], []
    chances = np.asarray(config.occluder_probabilities) / np.sum(config.occluder_probabilities)
    for _ in range(rng.choice(len(chances), p=chances)):
        outline, position = draw_occluder(rng, extent)
        clear = all(outline.distance(*(home - position)) < -0.3 * radius for home, radius in homes)
        rho = 1 + rng.uniform(*config.occluder_depth)
        frame = int(rng.integers(len(camera.pan)))
        still = np.zeros_like(camera.pan)
        layer = Layer(
            outline,
            label=0,
            rho=rho,
            path=camera.follow(position, frame, rho, still),
            angle=camera.roll - camera.roll[frame],
            log_scale=rho * (camera.zoom - camera.zoom[frame]),
        )
        (before if clear and rng.uniform() < 0.6 else behind).append(layer)
    return behind, before


def free_position(
    rng: np.random.Generator,
    extent: tuple[float, float],
    radius: float,
    taken: list[tuple[np.ndarray, float]],
) -> np.ndarray:
    """Draws a position in the frame, away from the objects there if that can be had.

    Args:
        rng: source of the position.
        extent: half width and half height of the frame, in frame sizes.
        radius: radius of the object.
        taken: places and radii of the other objects.
    """
    position = np.zeros(2)
    for _ in range(20):
        position = rng.uniform(-0.75, 0.75, 2) * extent
        if all(np.hypot(*(position - at)) > 0.9 * (radius + other) for at, other in taken):
            break
    return position
