"""The outlines of the things in a scene: objects with limbs; trunks, blobs and ridges."""

from __future__ import annotations

import numpy as np

from jaxmotion.scenes.config import SceneConfig
from jaxmotion.scenes.layers import Blob, Outline, Ridge, Trunk, Union


def draw_outline(rng: np.random.Generator, config: SceneConfig, radius: float) -> Outline:
    """Draws a body, perhaps with limbs that stand out from it.

    Args:
        rng: source of everything.
        config: distribution of the scene, of which `object_parts` counts.
        radius: radius of a disc of the body's area.
    """
    area = np.pi * radius**2
    num_parts = int(rng.integers(1, config.object_parts + 1))
    elongation = float(np.exp(rng.uniform(0.0, 1.0)))
    parts = [Blob(rng, area, elongation, roughness=0.3, turn=rng.uniform(0, 2 * np.pi))]
    for _ in range(num_parts - 1):
        angle = rng.uniform(0, 2 * np.pi)
        reach = radius * rng.uniform(0.8, 1.3)
        center = (float(reach * np.cos(angle)), float(reach * np.sin(angle)))
        elongation = rng.uniform(1.5, 5.0)
        turn = angle + rng.uniform(-0.6, 0.6)
        parts.append(Blob(rng, area * rng.uniform(0.08, 0.3), elongation, 0.15, center, turn))
    return Union(parts)


def draw_occluder(
    rng: np.random.Generator, extent: tuple[float, float]
) -> tuple[Outline, np.ndarray]:
    """Draws the outline of a static thing, and its position.

    Args:
        rng: source of everything.
        extent: half width and half height of the frame, in frame sizes.
    """
    kind = rng.choice(3, p=(0.4, 0.35, 0.25))
    position = rng.uniform(-0.9, 0.9, 2) * extent
    if kind == 0:
        return Trunk(rng, rng.uniform(0.02, 0.09)), position
    if kind == 1:
        area, elongation = rng.uniform(0.02, 0.15), float(np.exp(rng.uniform(0, 1)))
        return Blob(rng, area, elongation, 0.4, turn=rng.uniform(0, 2 * np.pi)), position
    return Ridge(rng), np.array([position[0], extent[1] * rng.uniform(0.2, 0.9)])
