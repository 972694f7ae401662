"""Scores of networks of hidden flow, beside fills that need no training."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import jax
import numpy as np

from jaxmotion.baselines.fills import FILLS, Fill, hidden_error
from jaxmotion.data.scene_source import SceneSource
from jaxmotion.experiments.instances import mean_scores
from jaxmotion.experiments.scenes import TEST_SEED, scenes_of
from jaxmotion.inference.inpainter import FlowInpainter
from jaxmotion.tasks.masked_config import MaskedConfig, TubesConfig
from jaxmotion.tasks.task import Variables
from jaxmotion.tasks.tubes import draw_tubes
from jaxmotion.training.config import Config

Clip = Mapping[str, np.ndarray]


def score_masked(config: Config, variables: Variables, baselines: bool) -> dict[str, float]:
    """Scores a network of hidden flow on scenes that no run trains on.

    Args:
        config: configuration of the run; ``config.evals`` says which scenes.
        variables: variables of the trained network, by collection.
        baselines: whether to score the fills beside it.

    Returns:
        ``hidden_L1``, the mean absolute error of the hidden flow in pixels per frame;
        ``hidden_L1_motion``, ``hidden_L1_place`` and ``hidden_L1_time`` of the fills, and
        ``of_the_best``, the error over that of the best of them. None without scenes.
    """
    level = scenes_of(config)
    if not level:
        return {}
    network = _network(config)
    network.params = variables["params"]
    size, length = (config.data.height, config.data.width), config.data.clip_length
    source = SceneSource(level, length, size, TEST_SEED, -(-config.evals.frames // length))
    clips = [source[index] for index in range(len(source))]
    fills: dict[str, Fill] = {"": network}
    if baselines:
        fills |= {f"_{name}": fill for name, fill in FILLS.items()}
    errors = fill_errors(fills, clips, hidden_of(config, clips))
    scores = {f"hidden_L1{name}": error for name, error in errors.items()}
    if baselines:
        scores["of_the_best"] = errors[""] / min(errors[f"_{name}"] for name in FILLS)
    return scores


@lru_cache(maxsize=1)  # the programs of a network in training are compiled for its first scores
def _network(config: Config) -> FlowInpainter:
    return FlowInpainter(config, {})


def hidden_of(config: Config, clips: Iterable[Clip]) -> list[np.ndarray]:
    """What is hidden of clips, bool `[T, H, W]` of each: tubes, or the frames to be predicted.

    Args:
        config: configuration of a network of hidden flow.
        clips: clips with ``flow`` and ``valid``.
    """
    task = config.task
    assert isinstance(task, MaskedConfig)
    horizon = task.build(config.data).horizon
    if not horizon:
        return tubes_of(task.tubes, clips)
    known = [clip["valid"] > 0 for clip in clips]
    frames = [np.arange(len(where)) >= len(where) - horizon for where in known]
    return [
        np.broadcast_to(ahead[:, None, None], where.shape)
        for ahead, where in zip(frames, known, strict=True)
    ]


def tubes_of(tubes: TubesConfig, clips: Iterable[Clip]) -> list[np.ndarray]:
    """Tubes of clips, bool `[T, H, W]` of each; the same ones each time.

    Args:
        tubes: kind of the tubes.
        clips: clips with ``flow`` and ``valid``.
    """
    draw = jax.jit(draw_tubes, static_argnames="config")
    hidden = []
    for number, clip in enumerate(clips):
        flow, valid = (np.asarray(clip[name])[None] for name in ("flow", "valid"))
        drawn = draw(jax.random.key(number), flow, valid, config=tubes)[0]
        hidden.append(np.asarray(drawn) & (clip["valid"] > 0))
    return hidden


def fill_errors(
    fills: Mapping[str, Fill],
    clips: Iterable[Clip],
    hidden: Iterable[np.ndarray],
) -> dict[str, float]:
    """Mean error of each fill over clips, `hidden_error`, by its name.

    Args:
        fills: functions of flow, what is hidden of it, and where it is known.
        clips: clips with ``flow`` and ``valid``.
        hidden: bool `[T, H, W]`, what is hidden of each.
    """
    rows = []
    for clip, where in zip(clips, hidden, strict=True):
        flow, valid = clip["flow"], clip["valid"]
        shown = np.where(where[..., None], 0, flow)  # nothing may leak
        counted = where & (valid > 0)
        errors = {
            n: hidden_error(fill(shown, where, valid), flow, counted) for n, fill in fills.items()
        }
        rows.append(errors)
    return mean_scores(rows)
