"""Draws a scene, then renders it frame by frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from jaxmotion.scenes.behavior import draw_behavior
from jaxmotion.scenes.camera import Camera, Depth, swing, velocity
from jaxmotion.scenes.config import BehaviorConfig, CrowdConfig, SceneConfig
from jaxmotion.scenes.crowd import draw_crowd
from jaxmotion.scenes.events import SceneEvent, Sight, motion_events
from jaxmotion.scenes.flow_noise import SmoothNoise, Spots, wreck
from jaxmotion.scenes.layers import Deformation, Layer
from jaxmotion.scenes.occluders import draw_occluders, free_position
from jaxmotion.scenes.outlines import draw_outline
from jaxmotion.scenes.water import Water


class Scene(NamedTuple):
    """A clip of optical flow with its ground truth.

    Attributes:
        flow: float32 `[T, H, W, 2]`, pixels per frame, channel 0 to the right, 1 down.
        labels: int32 `[T, H, W]`, 0 for the background and static occluders, 1, 2, ... for the
            moving objects; the same object keeps its label.
        corrupted: bool `[T]`, frames whose flow was wrecked (their labels are still right).
        events: what the labeled objects do, and when, in the order of time; a crowd has none but
            those of sight. See `jaxmotion.scenes.behavior` for the kinds.
    """

    flow: np.ndarray
    labels: np.ndarray
    corrupted: np.ndarray
    events: tuple[SceneEvent, ...] = ()


def generate(config: SceneConfig, num_frames: int, height: int, width: int, seed: int) -> Scene:
    """Draws a scene.

    The same arguments give the same scene. The same seed at another resolution of the same aspect
    gives the same scene seen at that resolution.

    Args:
        config: distribution to draw from; `LEVELS` holds named ones.
        num_frames: T, number of frames, at least 1.
        height: H, number of rows, at least 1.
        width: W, number of columns, at least 1.
        seed: seed of the random draws, a non-negative integer.

    Returns:
        The flow of T frames, its labels, which frames were wrecked, and what happens.

    Raises:
        ValueError: if a size is below one or the seed negative.
    """
    if min(num_frames, height, width) < 1:
        raise ValueError(f"sizes must be >= 1, got T, H, W = {num_frames}, {height}, {width}")
    scene_rng, error_rng, wreck_rng = (np.random.default_rng([seed, i]) for i in range(3))
    size = float(np.sqrt(height * width))
    x = ((np.arange(width) - (width - 1) / 2) / size).astype(np.float32)
    y = ((np.arange(height) - (height - 1) / 2) / size).astype(np.float32)

    extent = (width / size / 2, height / size / 2)
    if isinstance(config, CrowdConfig):
        camera, depth, layers = draw_crowd(scene_rng, config, num_frames, extent)
    else:
        if isinstance(config, BehaviorConfig):
            camera, layers = draw_behavior(scene_rng, config, num_frames, extent)
        else:
            camera, layers = _draw(scene_rng, config, num_frames, extent)
        depth = Depth(scene_rng, config, camera)
        rng = np.random.default_rng([seed, 3])
        if rng.uniform() < config.empty_probability:
            layers = _without_objects(rng, config, camera, layers)
    water_rng, water = np.random.default_rng([seed, 4]), None
    if water_rng.uniform() < config.water_probability:
        water = Water(water_rng, config, camera, extent)
    noise = SmoothNoise(error_rng, num_frames)
    spots = Spots(np.random.default_rng([seed, 5]), config, num_frames, extent)
    corrupted = wreck_rng.uniform(size=num_frames) < config.corrupted_probability
    patch_level = float(ndtri(1 - config.patch_share)) if config.patch_share > 0 else np.inf

    flow = np.empty((num_frames, height, width, 2), np.float32)
    labels = np.zeros((num_frames, height, width), np.int32)
    last = max((layer.label for layer in layers), default=0)
    sight = Sight(last, num_frames, height * width)
    for t in range(num_frames):
        coarse, fine = noise(t, height, width)
        frame = np.stack(camera.flow(t, x[None, :], y[:, None], depth(t, x, y)))
        if water is not None:
            frame += water(t, x, y)
        for layer in _far_to_near(layers, t):
            inside, at_border = _paint(frame, labels[t], layer, t, x, y, camera, config, fine)
            if layer.label:
                sight.add(t, layer.label, inside, at_border)
        sight.finish(t, labels[t])
        # A fraction of the fine error on top of the coarse one: a falling spectrum.
        scale = float(np.mean(np.hypot(*frame)))
        error = config.noise_relative * scale + config.noise_absolute
        frame += np.float32(error) * (np.float32(0.85) * coarse[:2] + np.float32(0.5) * fine[4:])
        if config.patch_share > 0:
            patch = np.clip(fine[3] - np.float32(patch_level), 0.0, 1.0)
            frame += np.float32(config.patch_error * scale) * patch * coarse[2:]
        spots.add_to(frame, t, x, y)
        frame *= np.float32(size)
        if config.noise_white > 0:
            white = error_rng.standard_normal(frame.shape, dtype=np.float32)
            frame += np.float32(config.noise_white) * white
        if corrupted[t]:
            frame = wreck(wreck_rng, frame, coarse)
        flow[t] = np.moveaxis(frame, 0, -1)
    acts = (event for layer in layers for event in layer.acts)
    return Scene(flow, labels, corrupted, sight.events(acts))


def _without_objects(
    rng: np.random.Generator, config: SceneConfig, camera: Camera, layers: list[Layer]
) -> list[Layer]:
    """The layers that are static, and static things in the place of some of the others."""
    found = []
    for layer in layers:
        depth = rng.uniform(*config.occluder_depth)
        if not layer.label:
            found.append(layer)
        elif rng.uniform() < config.decoy_probability:
            found.append(layer.at_rest(camera, 1 + depth))
    return found


def _far_to_near(layers: list[Layer], t: int) -> list[Layer]:
    """The layers that are there in frame t, in the order in which it is painted."""

    def nearness(layer: Layer) -> float:
        return 0.0 if layer.nearness is None else layer.nearness[t]

    return sorted((layer for layer in layers if nearness(layer) > -np.inf), key=nearness)


def _paint(
    frame: np.ndarray,
    labels: np.ndarray,
    layer: Layer,
    t: int,
    x: np.ndarray,
    y: np.ndarray,
    camera: Camera,
    config: SceneConfig,
    fine: np.ndarray,
) -> tuple[np.ndarray, bool]:
    """Lays a layer over the flow `[2, H, W]` and the labels `[H, W]`, in place.

    Returns:
        Its pixels, bool, in a part of the frame; whether some are at the border of the frame.
    """
    box = layer.box(t, x, y, config.blur + 3 * config.edge_shift)
    x, y = x[box[1]], y[box[0]]
    if not (len(x) and len(y)):
        return np.zeros((0, 0), bool), False
    qx, qy = layer.rest_position(t, x, y)
    distance = layer.outline.distance(qx, qy) * np.float32(np.exp(layer.log_scale[t]))
    inside = distance > 0
    labels[box][inside] = layer.label
    if layer.label or not layer.static:
        u, v = layer.displacement(t, x, y, qx, qy)
    else:
        u, v = camera.flow(t, x[None, :], y[:, None], layer.rho)
    region = frame[:, box[0], box[1]]
    fine = fine[:, box[0], box[1]]
    jump = np.stack([u, v]) - region
    # The estimated boundary is a ramp, and wanders about the true one.
    opacity = (distance + np.float32(config.edge_shift) * fine[0]) * (1 / max(config.blur, 1e-6))
    opacity = np.clip(opacity + np.float32(0.5), 0.0, 1.0)
    edge = (4.0 * config.edge_error) * opacity * (1 - opacity)
    region += opacity * jump + edge * np.hypot(*jump) * fine[1:3]
    (rows, columns), (height, width) = box, labels.shape
    at_border = (
        (rows.start == 0 and inside[0].any())
        or (rows.stop == height and inside[-1].any())
        or (columns.start == 0 and inside[:, 0].any())
        or (columns.stop == width and inside[:, -1].any())
    )
    return inside, bool(at_border)


def _draw(
    rng: np.random.Generator, config: SceneConfig, num_frames: int, extent: tuple[float, float]
) -> tuple[Camera, list[Layer]]:
    """The camera's motion and the layers, far to near.

    Args:
        rng: source of everything.
        config: distribution to draw from.
        num_frames: T, number of frames.
        extent: half width and half height of the frame, in frame sizes.
    """
    times = np.arange(num_frames + 1.0)
    camera = Camera(
        focal=2 * max(extent) * rng.uniform(0.8, 1.6),
        translation_share=config.camera_translation * rng.uniform(0.5, 1.5),
        pan=velocity(rng, times[:-1], config.camera_speed * _lognormal(rng, 0.8), config),
        zoom=swing(rng, times, config.camera_zoom * rng.uniform(0, 2), 0.15),
        roll=swing(rng, times, config.camera_roll * rng.uniform(0, 2), 0.15),
    )
    num_objects = 1 + rng.choice(
        len(config.object_probabilities), p=_normalized(config.object_probabilities)
    )
    objects: list[Layer] = []
    homes: list[tuple[np.ndarray, float]] = []
    for index in range(num_objects):
        radius = np.sqrt(np.exp(rng.uniform(*np.log(config.object_area))) / np.pi)
        home = free_position(rng, extent, radius, homes)
        tracked = index == 0 and rng.uniform() < config.tracking_probability
        objects.append(_draw_object(rng, config, camera, times, index + 1, radius, home, tracked))
        homes.append((home, radius))
    rng.shuffle(objects)  # type: ignore[arg-type]

    behind, before = draw_occluders(rng, config, camera, homes, extent)
    return camera, behind + objects + before


def _draw_object(
    rng: np.random.Generator,
    config: SceneConfig,
    camera: Camera,
    times: np.ndarray,
    label: int,
    radius: float,
    home: np.ndarray,
    tracked: bool,
) -> Layer:
    """A moving object; where it is tracked the camera's pan is set to follow it."""
    num_frames = len(times) - 1
    speed = config.object_speed * _lognormal(rng, config.object_speed_spread)
    awake = np.ones(num_frames)
    if rng.uniform() < config.stop_probability and num_frames > 3:
        start = rng.uniform(config.earliest_stop, num_frames)
        inside = np.minimum(times[:-1] - start, start + config.period - times[:-1])
        awake = 1 - np.clip(inside / 3 + 0.5, 0, 1)
    clock = np.concatenate([[0.0], np.cumsum(awake)])  # the object's own time stops with it
    own = velocity(rng, times[:-1], speed, config) * awake[:, None]

    frame = int(rng.integers(num_frames))
    if tracked:
        wander = np.stack([swing(rng, times, 0.3 * speed, 0.1) for _ in range(2)], axis=1)
        path = np.empty((num_frames + 1, 2))
        path[0] = home
        camera.pan[:] = 0.0
        for t in range(num_frames):
            seen = wander[t + 1] - wander[t] - 0.05 * (path[t] - home - wander[t] + wander[0])
            camera.pan[t] = seen - own[t] - camera.flow_at(t, path[t], 1.0)
            path[t + 1] = path[t] + own[t] + camera.flow_at(t, path[t], 1.0)
        frame = 0
    else:
        path = camera.follow(home, frame, 1.0, own)

    spin = config.object_turn * speed / radius * rng.uniform(0, 1.4, 2)
    angle = swing(rng, clock, min(float(spin[0]), 0.15), 1.0) + camera.roll
    grow = swing(rng, clock, min(float(spin[1]), 0.08), 0.25)
    deformation = None
    if config.nonrigid > 0:
        pace = min(config.nonrigid * speed * rng.uniform(0, 2), 0.1 * radius)
        deformation = Deformation.draw(rng, clock, radius, pace)
    return Layer(
        draw_outline(rng, config, radius),
        label,
        rho=1.0,
        path=path,
        angle=angle,
        log_scale=grow - grow[frame] + camera.zoom - camera.zoom[frame],
        deformation=deformation,
        acts=tuple(motion_events(label, own, awake == 0)),
    )


def _lognormal(rng: np.random.Generator, spread: float) -> float:
    """A factor of median 1, cut at two standard deviations."""
    return float(np.exp(spread * np.clip(rng.normal(), -2, 2)))


def _normalized(probabilities: tuple[float, ...]) -> np.ndarray:
    """The probabilities, summing to 1."""
    return np.asarray(probabilities) / np.sum(probabilities)
