"""Scores of masks of what is salient, on fixed frames of scenes: NIMS and adversarial saliency."""

from typing import cast

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.experiments.frames import in_parts, salient_frames, scene_frames
from jaxmotion.experiments.scenes import scenes_of
from jaxmotion.metrics.davis import jaccard
from jaxmotion.tasks.adversarial_config import AdversarialConfig
from jaxmotion.tasks.task import Variables
from jaxmotion.training.config import Config

LEAST_AREA = {"parallax": 0.005, "crowd": 0.001}
"""Share of a frame that what moves has to cover for the frame to be salient, by level."""

_EMPTY = 0.001  # greatest share of the frame that an empty answer has


def score_adversarial(config: Config, variables: Variables, baselines: bool) -> dict[str, float]:
    """Scores adversarial saliency on scenes that no run trains on.

    Args:
        config: configuration of the run; ``config.evals`` says which scenes.
        variables: variables of the trained network, by collection.
        baselines: not used; there are none.

    Returns:
        The `mask_scores`; none without scenes.
    """
    level = scenes_of(config)
    if not level:
        return {}
    task_config = cast(AdversarialConfig, config.task)
    task = task_config.build(config.data)
    test = scene_frames(level, config.evals.frames, (config.data.height, config.data.width))

    @jax.jit
    def salient(flow: jax.Array) -> jax.Array:
        masks = task.masks(variables["params"], {"flow": flow, "valid": jnp.ones(flow.shape[:-1])})
        return jnp.isin(jnp.argmax(masks, axis=-1), jnp.array(task_config.salient))

    least = LEAST_AREA.get(level, 0.0)
    truth = salient_frames(test.moving, least)
    return mask_scores(in_parts(salient, test.flow), test.moving, truth)


def mask_scores(found: np.ndarray, moving: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Scores masks of single frames.

    Args:
        found: bool `[N, H, W]`, what was found.
        moving: bool `[N, H, W]`, what moves.
        truth: bool `[N]`, which frames are salient; in others nothing counts as moving.

    Returns:
        ``salient_iou``, the mean J of salient frames; ``all_iou``, that of all frames, where an
        empty answer to an empty frame counts 1; ``empty``, the share of the other frames in which
        less than 0.1 % of the frame is found; ``inside``, the mean share of what moves, without its
        outermost pixel, that is found in salient frames.
    """
    moving = moving & truth[:, None, None]
    scores = jaccard(moving, found)
    kernel = np.ones((3, 3), np.uint8)
    inner = np.stack([cv2.erode(frame.astype(np.uint8), kernel) > 0 for frame in moving])
    pixels = inner.sum(axis=(1, 2))
    covered = (inner & found).sum(axis=(1, 2))[pixels > 0] / pixels[pixels > 0]
    empty = found[~truth].mean(axis=(1, 2)) < _EMPTY
    return {
        "salient_iou": _mean(scores[truth]),
        "all_iou": _mean(scores),
        "empty": _mean(empty),
        "inside": _mean(covered),
    }


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
