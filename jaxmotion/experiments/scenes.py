"""Scores on procedural scenes: a segmentation beside the baselines on the same clips."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxmotion.baselines import UPPER_BOUND
from jaxmotion.baselines.threshold import (
    BASELINES,
    scaled_threshold,
    tune_threshold,
    two_motion_upper_bound,
)
from jaxmotion.data import SceneSource
from jaxmotion.metrics.davis import jaccard
from jaxmotion.metrics.foreground import select_foreground
from jaxmotion.training.config import Config

TUNED_THRESHOLD = "tuned_threshold"
Sample = Mapping[str, np.ndarray]

# Scenes that no run trains on: those of training have the run's seed.
TEST_SEED, TUNING_SEED = 1_000_001, 1_000_002


def score_on_scenes(
    config: Config, predict: Callable[[np.ndarray], np.ndarray], baselines: bool
) -> dict[str, float]:
    """Scores a segmenter on scenes that no run trains on.

    Args:
        config: configuration of the run; ``config.evals`` says which scenes.
        predict: function from flow `[T, H, W, 2]` to masks `[T, H, W, K]`.
        baselines: whether to score the baselines beside the network.

    Returns:
        ``foreground_iou``, and the `scene_scores` of the baselines; none without scenes.
    """
    if not scenes_of(config):
        return {}
    samples = _samples(config, TEST_SEED, config.evals.frames)
    tuning = _samples(config, TUNING_SEED, -(-config.evals.frames // 2)) if baselines else None
    scores = scene_scores(predict, samples, tuning)
    return {"foreground_iou": scores.pop("network"), **scores}


def _samples(config: Config, seed: int, frames: int) -> list[Sample]:
    """Scenes like those of training, in whole clips of that length."""
    size, length = (config.data.height, config.data.width), config.data.clip_length
    source = SceneSource(scenes_of(config), length, size, seed, -(-frames // length))
    return [source[index] for index in range(len(source))]


def scenes_of(config: Config, source: str = "scenes") -> str:
    """The level of scenes that a configuration is scored on; empty for none.

    Args:
        config: configuration of the experiment.
        source: kind of the source of data whose level is meant by "same".
    """
    level = config.evals.scenes
    if level != "same":
        return level
    kind, _, level = config.data.source.partition(":")
    return level if kind == source and "," not in level else ""


def foreground_iou(labels, gt, rule: str = "except_largest") -> float:
    """Mean Jaccard index of the foreground of N clips, selected once per clip.

    Args:
        labels: int `[N, T, H, W]`, predicted segments.
        gt: bool `[N, T, H, W]`, the true foreground.
        rule: rule that selects the foreground segments, a name that `select_foreground` takes.

    Returns:
        Mean over clips and frames, 0 to 1. A frame empty in both counts as 1.

    Raises:
        ValueError: the shapes differ or are not `[N, T, H, W]`, or there is no clip.
    """
    labels, gt = np.asarray(labels), np.asarray(gt)
    if labels.shape != gt.shape or labels.ndim != 4 or not len(labels):
        raise ValueError(f"labels {labels.shape} and gt {gt.shape} must both be [N, T, H, W]")
    scores = [
        jaccard(clip_gt, select_foreground(clip, clip_gt, rule)).mean()
        for clip, clip_gt in zip(labels, gt, strict=True)
    ]
    return float(np.mean(scores))


def scene_scores(
    predict: Callable[[np.ndarray], np.ndarray] | None,
    samples: Sequence[Sample],
    tuning_samples: Sequence[Sample] | None,
) -> dict[str, float]:
    """Foreground IoU of a predictor and of the baselines on the same clips.

    Args:
        predict: function from flow `[T, H, W, 2]` to masks `[T, H, W, K]`, which may name its
            ``select``, the rule by which they are read; None for the baselines alone.
        samples: clips with `flow` `[T, H, W, 2]` and `labels` `[T, H, W]`, 0 = background; all of
            one size.
        tuning_samples: other clips of the same kind, on which the one factor of the tuned threshold
            is chosen; None leaves all baselines out.

    Returns:
        Mean IoU by name: `network`, `tuned_threshold`, the names of `BASELINES`, and
        `upper_bound`, which alone sees the ground truth.
    """
    flows, gt = _stack(samples)
    scores = {}
    if predict is not None:
        labels = np.stack([np.argmax(np.asarray(predict(flow)), axis=-1) for flow in flows])
        rule = getattr(predict, "select", None) or "except_largest"
        scores["network"] = foreground_iou(labels, gt, rule)
    if tuning_samples is None:
        return scores

    frames, frames_gt = flows.reshape(-1, *flows.shape[2:]), gt.reshape(-1, *gt.shape[2:])
    factor = tune_threshold(*_stack(tuning_samples))
    scores[TUNED_THRESHOLD] = _mean_jaccard(frames_gt, scaled_threshold(frames, factor))
    for name, baseline in BASELINES.items():
        scores[name] = _mean_jaccard(frames_gt, baseline(frames, None))
    scores[UPPER_BOUND] = _mean_jaccard(frames_gt, two_motion_upper_bound(frames, frames_gt))
    return scores


def _stack(samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Flows [N, T, H, W, 2] and their foreground [N, T, H, W]."""
    flows = np.stack([np.asarray(sample["flow"], np.float32) for sample in samples])
    gt = np.stack([np.asarray(sample["labels"]) > 0 for sample in samples])
    return flows, gt


def _mean_jaccard(gt: np.ndarray, foreground: np.ndarray) -> float:
    return float(jaccard(gt, foreground > 0.5).mean())
