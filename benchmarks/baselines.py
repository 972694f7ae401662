"""The training-free baselines on real flow, measured: J, and time per frame.

    python benchmarks/baselines.py --data ../shared/data/davis --split dev

J is the mean over sequences, at the size of the ground truth, of all frames and of every sixth of
the first 25. EM is shown with the fixed spread of the thesis (`alpha = 0.01`) and with spread and
share of every segment estimated. On procedural scenes: `benchmarks/scenes.py --difficulty`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tyro

from jaxmotion.baselines.threshold import (
    BASELINES,
    classical_em_foreground,
    shrink_ground_truth,
    upsample_foreground,
)
from jaxmotion.baselines.threshold import two_motion_upper_bound as upper_bound
from jaxmotion.evaluation.discovery import find_sequences
from jaxmotion.evaluation.tables import format_table
from jaxmotion.metrics.davis import jaccard

ESTIMATED_EM = partial(classical_em_foreground, num_starts=10, alpha=None)


@dataclass(frozen=True)
class BenchmarkConfig:
    """Measures the baselines.

    Attributes:
        data: folder laid out like DAVIS.
        split: list of sequences in ImageSets.
        flow: folder of Flows.
    """

    data: Path
    split: str | None = None
    flow: str = "raft"


def measure(config: BenchmarkConfig) -> dict[str, dict[str, float]]:
    """J of every baseline on real flow, and milliseconds per frame without compilation."""
    sequences = [
        sequence.read() for sequence in find_sequences(config.data, config.flow, split=config.split)
    ]
    methods: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
        name: lambda flow, valid, gt, baseline=baseline: baseline(flow, valid)
        for name, baseline in (BASELINES | {"em_10, spread estimated": ESTIMATED_EM}).items()
    }
    methods["upper_bound"] = lambda flow, valid, gt: upper_bound(
        flow, shrink_ground_truth(gt, flow.shape[1:3]), valid
    )
    columns: dict[str, dict[str, float]] = {"all frames": {}, "first 25": {}, "ms per frame": {}}
    for name, method in methods.items():
        method(*(part[:1] for part in sequences[0]))  # compiles
        scores, seconds = [], 0.0
        for flow, valid, gt in sequences:
            started = time.perf_counter()
            small = method(flow, valid, gt)
            seconds += time.perf_counter() - started
            scores.append(jaccard(gt, upsample_foreground(small, gt.shape[1:])))
        columns["all frames"][name] = float(np.mean([j.mean() for j in scores]))
        columns["first 25"][name] = float(np.mean([j[:25:6].mean() for j in scores]))
        num_frames = sum(len(flow) for flow, *_ in sequences)
        columns["ms per frame"][name] = 1000 * seconds / num_frames
    return columns


if __name__ == "__main__":
    print(format_table(measure(tyro.cli(BenchmarkConfig)), "J"))
