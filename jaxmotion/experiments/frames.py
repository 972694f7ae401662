"""Scores of frame classifiers: fixed frames of scenes, and what a threshold makes of the same."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.experiments.scenes import TEST_SEED, TUNING_SEED, scenes_of
from jaxmotion.motion import global_residual
from jaxmotion.scenes import LEVELS, CrowdConfig, generate
from jaxmotion.tasks.classification_config import ClassificationConfig
from jaxmotion.tasks.task import Variables
from jaxmotion.training.config import Config

_AT_ONCE = 25  # frames of one call of a compiled program


class Frames(NamedTuple):
    """Frames of scenes, each of a scene of its own.

    Attributes:
        flow: float32 `[N, H, W, 2]`, pixels per frame.
        moving: bool `[N, H, W]`, what moves on its own.
    """

    flow: np.ndarray
    moving: np.ndarray


def scene_frames(level: str, count: int, size: tuple[int, int], seed: int = TEST_SEED) -> Frames:
    """Draws frames of scenes that no run trains on.

    Where scenes of a level may be empty, two frames in turn are a pair: one scene with its objects
    and the same one without.

    Args:
        level: name of the scenes in `jaxmotion.scenes.LEVELS`.
        count: number of frames N.
        size: height and width of the frames.
        seed: seed of the scenes.
    """
    config, flow, moving = LEVELS[level], [], []
    for number in range(count):
        drawn, which = config, number
        if not isinstance(config, CrowdConfig) and config.empty_probability:
            which, empty = divmod(number, 2)
            drawn = replace(config, empty_probability=float(empty))
        scene = generate(drawn, 1, *size, seed=seed * 2**32 + which)
        flow.append(scene.flow[0])
        moving.append(scene.labels[0] > 0)
    return Frames(np.stack(flow), np.stack(moving))


def score_on_frames(config: Config, variables: Variables, baselines: bool) -> dict[str, float]:
    """Scores a frame classifier on scenes that no run trains on.

    Args:
        config: configuration of the run; ``config.evals`` says which scenes.
        variables: variables of the trained network, by collection.
        baselines: whether to score a threshold on the residual beside it.

    Returns:
        ``accuracy``; ``found``, the share of salient frames that are called so; ``false_alarms``,
        that of the others; and ``threshold_accuracy``. None without scenes.
    """
    level = scenes_of(config)
    if not level:
        return {}
    task = cast(ClassificationConfig, config.task).build(config.data)
    size = (config.data.height, config.data.width)
    test = scene_frames(level, config.evals.frames, size)
    truth = salient_frames(test.moving, task.least_area)
    logits = in_parts(jax.jit(partial(task.logits, variables["params"], valid=None)), test.flow)
    called = logits > 0
    scores = {
        "accuracy": float((called == truth).mean()),
        "found": float(called[truth].mean()) if truth.any() else float("nan"),
        "false_alarms": float(called[~truth].mean()) if not truth.all() else float("nan"),
    }
    if baselines:
        tuning = scene_frames(level, config.evals.frames, size, TUNING_SEED)
        scores["threshold_accuracy"] = threshold_accuracy(tuning, test, task.least_area)
    return scores


def salient_frames(moving: np.ndarray, least_area: float) -> np.ndarray:
    """Which frames show something that moves: bool `[N]` from bool `[N, H, W]`.

    Args:
        moving: what moves on its own.
        least_area: share of the frame that it has to cover.
    """
    return moving.mean(axis=(1, 2)) >= max(least_area, 1e-9)


def in_parts(function, flow: np.ndarray) -> np.ndarray:
    """Applies a function of frames `[B, 1, H, W, 2]` to many, a few at a time.

    Args:
        function: from frames to an array `[B, 1, ...]`.
        flow: `[N, H, W, 2]`, pixels per frame.

    Returns:
        `[N, ...]`.
    """
    parts = []
    for start in range(0, len(flow), _AT_ONCE):
        part = flow[start : start + _AT_ONCE]
        padded = np.pad(part, [(0, _AT_ONCE - len(part)), *[(0, 0)] * 3])
        parts.append(np.asarray(function(padded[:, None]))[: len(part), 0])
    return np.concatenate(parts)


def balancing_shift(logits: np.ndarray, truth: np.ndarray) -> float:
    """Finds what to add to logits for misses and false alarms to be equally frequent.

    Args:
        logits: `[N]`, of frames to tune on.
        truth: bool `[N]`, which of them are salient; both kinds are there.
    """
    ranked = np.sort(logits)
    shifts = -(ranked[1:] + ranked[:-1]) / 2
    called = logits + shifts[:, None] > 0
    missed, alarms = (~called[:, truth]).mean(axis=1), called[:, ~truth].mean(axis=1)
    return float(shifts[np.abs(missed - alarms).argmin()])


def threshold_accuracy(tuning: Frames, test: Frames, least_area: float) -> float:
    """The accuracy of the best threshold on the residual of a global motion.

    Of many statistics of the residual in a frame, and of all thresholds on them, the one is taken
    that is right for most of the frames to tune on.

    Args:
        tuning: frames that statistic and threshold are chosen on.
        test: frames that they are scored on.
        least_area: share of a frame that what moves has to cover.
    """
    values, truth = _statistics(tuning.flow), salient_frames(tuning.moving, least_area)
    best, choice = -1.0, (0, 0.0, True)
    for column in range(values.shape[1]):
        for threshold in np.unique(np.quantile(values[:, column], np.linspace(0, 1, 201))):
            above = ((values[:, column] >= threshold) == truth).mean()
            for right, upward in ((above, True), (1 - above, False)):
                if right > best:
                    best, choice = right, (column, float(threshold), upward)
    column, threshold, upward = choice
    called = (_statistics(test.flow)[:, column] >= threshold) == upward
    return float((called == salient_frames(test.moving, least_area)).mean())


def _statistics(flow: np.ndarray) -> np.ndarray:
    """Statistics of the residual of each frame, `[N, S]`."""
    length = np.linalg.norm(in_parts(jax.jit(global_residual), flow), axis=-1)
    speed = np.linalg.norm(flow, axis=-1).mean(axis=(1, 2)) + 1e-6
    columns: list[np.ndarray] = []
    mean = length.mean(axis=(1, 2)) + 1e-6
    for scale in (np.ones_like(mean), mean, speed):
        relative = (length / scale[:, None, None]).reshape(len(flow), -1)
        columns += [relative.mean(axis=1), relative.std(axis=1)]
        columns += list(np.quantile(relative, (0.5, 0.8, 0.9, 0.95, 0.99, 0.999), axis=1))
        columns += [(relative > level).mean(axis=1) for level in (0.1, 0.3, 1.0, 2.0, 4.0)]
    return np.stack(columns, axis=1)


def best_threshold_mask(flow: np.ndarray, factors: Sequence[float], moving: np.ndarray) -> float:
    """Mean J of the best common threshold on the residual, relative to its mean in the frame.

    Args:
        flow: `[N, H, W, 2]`, pixels per frame.
        factors: thresholds to choose from; the one that is best on these very frames is taken.
        moving: bool `[N, H, W]`, what moves on its own, somewhere in each.
    """
    length = jnp.linalg.norm(in_parts(jax.jit(global_residual), flow), axis=-1)
    relative = np.asarray(length / jnp.mean(length, axis=(1, 2), keepdims=True))
    scores = []
    for factor in factors:
        found = relative > factor
        union = (found | moving).sum(axis=(1, 2))
        scores.append(((found & moving).sum(axis=(1, 2)) / np.maximum(union, 1)).mean())
    return float(max(scores))
