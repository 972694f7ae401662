"""Camera motion: smooth functions of time, and the flow of a depth map under them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxmotion.scenes.config import SceneConfig


def swing(rng: np.random.Generator, times: np.ndarray, rate: float, reach: float) -> np.ndarray:
    """A bounded smooth path, a sine with a random phase.

    Args:
        rng: source of the phase and of the amplitude.
        times: times of the path, in frames, `[n]`.
        rate: root-mean-square speed of the path per frame.
        reach: greatest amplitude.

    Returns:
        The values `[n]`.
    """
    amplitude = reach * rng.uniform(0.5, 1.0)
    return amplitude * np.sin(np.sqrt(2.0) * rate / amplitude * times + rng.uniform(0, 2 * np.pi))


def velocity(
    rng: np.random.Generator, times: np.ndarray, speed: float, config: SceneConfig
) -> np.ndarray:
    """A velocity in a random direction that changes smoothly in time.

    Args:
        rng: source of direction, periods and phases.
        times: times of the velocity, in frames, `[n]`.
        speed: mean speed, frame sizes per frame.
        config: distribution of the scene, of which `period` and `variation` count.

    Returns:
        The velocity `[n, 2]`.
    """
    angle = rng.uniform(0, 2 * np.pi)
    mean = speed * np.array([np.cos(angle), np.sin(angle)])
    periods = config.period * rng.uniform(1.0, 3.0, size=(2, 1, 2))
    phases = rng.uniform(0, 2 * np.pi, size=(2, 1, 2))
    waves = np.sin(2 * np.pi * times[None, :, None] / periods + phases).sum(0)
    return mean + speed * config.variation * waves


@dataclass
class Camera:
    """Motion of the camera, one value per frame; lengths in frame sizes.

    The instantaneous motion field of a pinhole camera (Longuet-Higgins and Prazdny, 1980), with
    the pan rotations given by the speed they cause at the center of the frame:

        u = rho (tx + x tz) + ox (1 + x^2/f^2) + oy xy/f^2 - roll y
        v = rho (ty + y tz) + oy (1 + y^2/f^2) + ox xy/f^2 + roll x

    Attributes:
        focal: focal length f.
        translation_share: share of the pan that is translation.
        pan: `[T, 2]`, speed at the center of the frame of points of inverse depth 1.
        zoom: `[T + 1]`, logarithm of the scale at inverse depth 1; its differences are tz.
        roll: `[T + 1]`, angle about the optical axis; its differences are the roll.
    """

    focal: float
    translation_share: float
    pan: np.ndarray
    zoom: np.ndarray
    roll: np.ndarray

    def flow(self, frame: int, x, y, rho):
        """Flow (u, v) at some positions; scalars or arrays that broadcast.

        Args:
            frame: index of the frame.
            x: horizontal positions, frame sizes from the center.
            y: vertical positions, frame sizes from the center.
            rho: inverse depth at these positions.
        """
        pan_x, pan_y = self.pan[frame].tolist()
        tz = float(self.zoom[frame + 1] - self.zoom[frame])
        roll = float(self.roll[frame + 1] - self.roll[frame])
        tx, ty = self.translation_share * pan_x, self.translation_share * pan_y
        ox, oy = pan_x - tx, pan_y - ty
        curve = 1.0 / self.focal**2
        u = rho * (tx + tz * x) + (ox + (ox * curve) * x * x) + ((oy * curve) * x - roll) * y
        v = rho * (ty + tz * y) + (oy + (oy * curve) * y * y) + ((ox * curve) * y + roll) * x
        return u, v

    def flow_at(self, frame: int, position: np.ndarray, rho: float) -> np.ndarray:
        """Flow `[2]` at one position.

        Args:
            frame: index of the frame.
            position: position `[2]`, frame sizes from the center.
            rho: inverse depth there.
        """
        return np.array(self.flow(frame, float(position[0]), float(position[1]), rho))

    def follow(self, position: np.ndarray, frame: int, rho: float, own: np.ndarray) -> np.ndarray:
        """Path `[T + 1, 2]` of a point that moves by itself in a scene seen by the camera.

        Args:
            position: position of the point in `frame`, `[2]`.
            frame: index of that frame.
            rho: inverse depth of the point.
            own: motion relative to the static scene at that depth, `[T, 2]`.
        """
        num_frames = len(self.pan)
        path = np.empty((num_frames + 1, 2))
        path[frame] = position
        for t in range(frame, num_frames):
            path[t + 1] = path[t] + own[t] + self.flow_at(t, path[t], rho)
        for t in range(frame - 1, -1, -1):
            # One corrector step makes the backward step agree with the forward one.
            ahead = path[t + 1] - own[t]
            path[t] = ahead - self.flow_at(t, ahead - self.flow_at(t, ahead, rho), rho)
        return path


class Depth:
    """Smooth inverse depth of the background: a slanted plane, slow waves, and finer ones.

    The waves move with the scene: they are carried by the camera's motion at inverse depth 1.
    """

    num_waves = 6

    def __init__(self, rng: np.random.Generator, config: SceneConfig, camera: Camera):
        direction = rng.uniform(0, 2 * np.pi, self.num_waves)
        # From half a cycle to two cycles per frame size.
        frequency = 2 * np.pi * rng.uniform(0.5, 2.0, self.num_waves)
        amplitude = rng.uniform(0.5, 1.0, self.num_waves)
        amplitude *= config.depth_variation / np.sqrt(0.5 * np.sum(amplitude**2))
        self.waves = np.stack([frequency * np.cos(direction), frequency * np.sin(direction)])
        self.amplitude = amplitude
        self.phase = rng.uniform(0, 2 * np.pi, self.num_waves)
        # Mostly a ground plane: nearer toward the bottom of the frame.
        self.slant = config.depth_slant * np.array([rng.uniform(-0.3, 0.3), rng.uniform(0, 1)])
        if config.depth_roughness > 0:
            self._roughen(rng, config.depth_roughness * rng.uniform(0, 2))
        still = np.zeros_like(camera.pan)
        self.origin = camera.follow(np.zeros(2), 0, 1.0, still)
        self.camera = camera

    def _roughen(self, rng: np.random.Generator, deviation: float) -> None:
        """Adds waves of two to eight cycles per frame size."""
        number = 2 * self.num_waves
        direction = rng.uniform(0, 2 * np.pi, number)
        frequency = 2 * np.pi * 2 ** rng.uniform(1, 3, number)
        amplitude = np.full(number, deviation * np.sqrt(2 / number))
        waves = np.stack([frequency * np.cos(direction), frequency * np.sin(direction)])
        self.waves = np.concatenate([self.waves, waves], axis=1)
        self.amplitude = np.concatenate([self.amplitude, amplitude])
        self.phase = np.concatenate([self.phase, rng.uniform(0, 2 * np.pi, number)])

    def __call__(self, frame: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Inverse depth, float32 `[H, W]`.

        Args:
            frame: index of the frame.
            x: positions of the columns, `[W]`.
            y: positions of the rows, `[H]`.
        """
        angle = self.camera.roll[frame] - self.camera.roll[0]
        scale = np.exp(self.camera.zoom[0] - self.camera.zoom[frame])
        cos, sin = np.cos(angle), np.sin(angle)
        to_scene = scale * np.array([[cos, sin], [-sin, cos]])
        kx, ky = self.waves.T @ to_scene @ np.eye(2)[0], self.waves.T @ to_scene @ np.eye(2)[1]
        cx, cy = self.origin[frame]
        # cos(a + b) is separable, so the sum of waves is one small matrix product.
        a = np.outer(y - cy, ky) + self.phase
        b = np.outer(kx, x - cx)
        left = np.concatenate([self.amplitude * np.cos(a), -self.amplitude * np.sin(a)], axis=1)
        right = np.concatenate([np.cos(b), np.sin(b)], axis=0)
        rho = left.astype(np.float32) @ right.astype(np.float32)
        rho += (1.0 + float(self.slant[0]) * x)[None, :] + (float(self.slant[1]) * y)[:, None]
        return np.maximum(rho, np.float32(0.1), out=rho)
