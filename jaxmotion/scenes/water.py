"""What moves in the background without being an object: water, grass, leaves in the wind."""

from __future__ import annotations

import numpy as np

from jaxmotion.scenes.camera import Camera
from jaxmotion.scenes.config import SceneConfig
from jaxmotion.scenes.flow_noise import SmoothNoise
from jaxmotion.scenes.layers import Ridge

_RIM = 0.05  # frame sizes over which it sets in


class Water:
    """A part of the background that ripples: all below a wavy line, which moves with the scene.

    Its flow is smooth in space and changes from frame to frame, in all directions, on top of a slow
    drift in one. No parametric motion explains it, and it is nobody's object.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        config: SceneConfig,
        camera: Camera,
        extent: tuple[float, float],
    ):
        num_frames = len(camera.pan)
        position = np.array([0.0, extent[1] * rng.uniform(-1.5, 0.6)])
        self._line = Ridge(rng)
        self._path = camera.follow(position, 0, 1.0, np.zeros_like(camera.pan))
        self._speed = config.water_speed * float(np.exp(0.6 * np.clip(rng.normal(), -2, 2)))
        angle = rng.uniform(0, 2 * np.pi)
        drift = self._speed * rng.uniform(0, 1)
        self._drift = drift * np.array([np.cos(angle), np.sin(angle)], np.float32)
        self._fine = rng.uniform(0.4, 0.95)
        self._noise = SmoothNoise(rng, num_frames)

    def __call__(self, frame: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The flow that it adds to the background, `[2, H, W]`, frame sizes per frame.

        Args:
            frame: index of the frame.
            x: positions of the columns, `[W]`.
            y: positions of the rows, `[H]`.
        """
        cx, cy = self._path[frame]
        depth = self._line.distance(x[None, :] - cx, y[:, None] - cy)
        share = np.clip(depth / _RIM, 0, 1).astype(np.float32)
        coarse, fine = self._noise(frame, len(y), len(x))
        ripple = np.sqrt(1 - self._fine**2) * coarse[:2] + self._fine * fine[:2]
        return share * (np.float32(self._speed) * ripple + self._drift[:, None, None])
