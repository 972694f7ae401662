"""Scores of networks of instances: scenes that no run trains on, with all their objects."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from scipy import ndimage

from jaxmotion.data.scene_source import SceneSource
from jaxmotion.experiments.scenes import TEST_SEED, scenes_of
from jaxmotion.inference.instance_segmenter import InstanceSegmenter
from jaxmotion.metrics import (
    bootstrap_iou,
    foreground_ari,
    identity_switches,
    jaccard,
    match_objects,
    purity,
)
from jaxmotion.tasks.task import Variables
from jaxmotion.training.config import Config

Clip = Mapping[str, np.ndarray]


def score_instances(config: Config, variables: Variables, baselines: bool) -> dict[str, float]:
    """Scores a network of instances on scenes that no run trains on.

    Args:
        config: configuration of the run; ``config.evals`` says which scenes.
        variables: variables of the trained network, by collection.
        baselines: whether to score beside it the connected parts of the true foreground.

    Returns:
        The `instance_scores`, and ``components_`` and their name for the parts; none without
        scenes.
    """
    level = scenes_of(config)
    if not level:
        return {}
    segmenter = _segmenter(config)
    segmenter.params = variables["params"]
    size, length = (config.data.height, config.data.width), config.data.clip_length
    source = SceneSource(level, length, size, TEST_SEED, -(-config.evals.frames // length))
    clips = [source[index] for index in range(len(source))]
    scores = mean_scores(instance_scores(c["labels"], segmenter(c["flow"]).labels) for c in clips)
    if baselines:
        parts = mean_scores(
            instance_scores(c["labels"], connected_parts(c["labels"] > 0)) for c in clips
        )
        scores |= {f"components_{name}": score for name, score in parts.items()}
    return scores


@lru_cache(maxsize=1)  # the programs of a network in training are compiled for its first scores
def _segmenter(config: Config) -> InstanceSegmenter:
    return InstanceSegmenter(config, {})


def instance_scores(truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Scores of the objects of one clip.

    Args:
        truth: int `[T, H, W]`, 0 = background, 1.. = objects.
        found: int `[T, H, W]`, 0 = background, 1.. = objects that were found.

    Returns:
        ``matched_J`` and ``matched_JF`` (assigned as DAVIS 2017 does), ``bootstrap_IoU``,
        ``FG_ARI``, ``purity``, ``switches`` of an object's name, and ``foreground_J``; NaN for what
        needs an object and has none.
    """
    match = match_objects(truth, found, background=0)
    best = list(bootstrap_iou(truth, found, background=0).values())
    missing = float("nan")
    return {
        "matched_J": float(np.mean(match.J_mean)) if match.pairs else missing,
        "matched_JF": match.JF,
        "bootstrap_IoU": float(np.mean([np.nanmean(iou) for iou in best])) if best else missing,
        "FG_ARI": foreground_ari(truth, found),
        "purity": purity(truth, found),
        "switches": identity_switches(truth, found) / max(len(best), 1) if best else missing,
        "foreground_J": float(jaccard(truth > 0, found > 0).mean()),
    }


def mean_scores(scores: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each score over clips, of those that have it.

    Args:
        scores: scores of each clip, all of the same names.
    """
    rows = list(scores)
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {
        name: float(np.nanmean(column)) if not np.isnan(column).all() else float("nan")
        for name, column in columns.items()
    }


def connected_parts(foreground: np.ndarray, least: int = 0) -> np.ndarray:
    """The connected parts of a volume, in space and time.

    Args:
        foreground: bool `[T, H, W]`.
        least: number of pixels below which a part counts as background.

    Returns:
        int32 `[T, H, W]`, 0 = background, 1.. = parts, the largest first.
    """
    labels = np.zeros(foreground.shape, np.int32)
    ndimage.label(foreground, np.ones((3, 3, 3)), output=labels)
    sizes = np.bincount(labels.ravel())
    order = 1 + np.argsort(-sizes[1:], kind="stable")
    names = np.zeros(len(sizes), np.int32)
    for place, label in enumerate(order, 1):
        names[label] = place if sizes[label] >= least else 0
    return names[labels]


def scene_clips(
    level: str, count: int, size: tuple[int, int], length: int, seed: int, least_objects: int
) -> Sequence[Clip]:
    """Scenes in which several objects are seen.

    Args:
        level: name of the scenes in `jaxmotion.scenes.LEVELS`.
        count: number of clips.
        size: height and width of the frames.
        length: number of frames of a clip.
        seed: seed of the scenes.
        least_objects: number of objects that a clip has to show, each with at least 1 % of the
            pixels of one frame in all.
    """
    source = SceneSource(level, length, size, seed, 100 * count)
    clips: list[Clip] = []
    for index in range(len(source)):
        clip = source[index]
        areas = np.bincount(clip["labels"].ravel())[1:]
        if (areas >= 0.01 * size[0] * size[1]).sum() >= least_objects:
            clips.append(clip)
        if len(clips) == count:
            break
    return clips
