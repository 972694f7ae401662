"""The camera's flow against a projection of points in space."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from jaxmotion.scenes import LEVELS, generate
from jaxmotion.scenes.camera import Camera, Depth


def _projected_flow(camera: Camera, frame: int, x, y, rho, dt=1e-6):
    """Flow by moving points in space against the camera's motion, and projecting them again."""
    f = camera.focal
    pan = camera.pan[frame]
    translation = -camera.translation_share * pan / f  # camera to the right: points to the left
    forward = camera.zoom[frame + 1] - camera.zoom[frame]
    roll = camera.roll[frame + 1] - camera.roll[frame]
    turn = (1 - camera.translation_share) * pan / f
    motion = np.array([translation[0], translation[1], forward])
    omega = np.array([turn[1], -turn[0], -roll])
    points = np.stack([x / f, y / f, np.ones_like(x)], -1) / rho[..., None]
    moved = points - dt * (motion + np.cross(omega, points))
    return (f * moved[..., :2] / moved[..., 2:] - np.stack([x, y], -1)) / dt


def test_flow_is_that_of_points_in_space_seen_by_a_moving_pinhole_camera():
    rng = np.random.default_rng(0)
    for _ in range(5):
        camera = Camera(
            focal=rng.uniform(0.8, 2),
            translation_share=rng.uniform(0, 1.5),
            pan=rng.normal(size=(3, 2)) * 0.02,
            zoom=rng.normal(size=4) * 0.02,
            roll=rng.normal(size=4) * 0.02,
        )
        x, y = rng.uniform(-0.7, 0.7, (2, 200))
        rho = rng.uniform(0.3, 3, 200)
        for frame in range(3):
            flow = np.stack(camera.flow(frame, x, y, rho), -1)
            expected = _projected_flow(camera, frame, x, y, rho)
            np.testing.assert_allclose(flow, expected, rtol=1e-4, atol=1e-6)


def test_background_without_depth_waves_follows_the_eight_parameters_of_a_plane():
    """A plane seen by a moving camera: u, v share their two quadratic parameters."""
    config = replace(
        LEVELS["easy"], noise_relative=0.0, noise_absolute=0.0, noise_white=0.0, depth_slant=0.4
    )
    curved = []
    for seed in range(10):
        flow, labels, *_ = generate(config, 1, 48, 80, seed)
        y, x = np.meshgrid(np.linspace(-1, 1, 48), np.linspace(-1, 1, 80), indexing="ij")
        y *= 48 / 80  # the shared parameters need one unit of length
        one, zero = np.ones_like(x), np.zeros_like(x)
        u = np.stack([one, x, y, zero, zero, zero, x * x, x * y], -1)
        v = np.stack([zero, zero, zero, one, x, y, x * y, y * y], -1)
        # Away from the object, whose boundary is blurred.
        background = ~ndimage.binary_dilation(labels[0] > 0, iterations=3)
        design = np.concatenate([u[background], v[background]])
        values = np.concatenate([flow[0, background, 0], flow[0, background, 1]])
        theta = np.linalg.lstsq(design, values)[0]
        error = np.abs(design @ theta - values)
        assert np.quantile(error, 0.99) < 2e-3
        curved.append(np.abs(theta[6:]).max())
    assert max(curved) > 0.05  # affine would not have been enough


def test_depth_waves_are_carried_by_the_camera():
    rng = np.random.default_rng(1)
    config = replace(LEVELS["default"], depth_slant=0.0, depth_variation=0.2)
    camera = Camera(
        focal=1e3,  # rotations move all points alike
        translation_share=0.0,
        pan=rng.normal(size=(4, 2)) * 0.05,
        zoom=np.zeros(5),
        roll=rng.normal(size=5) * 0.05,
    )
    depth = Depth(rng, config, camera)
    grid = np.linspace(-0.5, 0.5, 21).astype(np.float32)
    x, y = np.meshgrid(grid, grid)
    for frame in range(3):
        u, v = camera.flow(frame, x, y, 1.0)
        now, ahead = depth(frame, grid, grid), []
        for column, row in zip((x + u).ravel(), (y + v).ravel(), strict=True):
            ahead.append(depth(frame + 1, np.array([column]), np.array([row]))[0, 0])
        np.testing.assert_allclose(np.reshape(ahead, now.shape), now, atol=0.02)
        assert np.abs(depth(frame + 1, grid, grid) - now).max() > 0.04
