"""Writes a trained frame classifier as the file that is shipped.

    python benchmarks/ship_classifier.py --checkpoint runs/nims --out saliency.safetensors

Its logits are shifted until misses and false alarms are equally frequent on scenes that it was
neither trained nor is tested on. The file says what taught it, and how it does on the test scenes.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import tyro

from jaxmotion.experiments.frames import (
    balancing_shift,
    in_parts,
    salient_frames,
    scene_frames,
    score_on_frames,
)
from jaxmotion.experiments.scenes import TUNING_SEED
from jaxmotion.models.files import write_model
from jaxmotion.models.loading import load_trained
from jaxmotion.models.zoo import export_model
from jaxmotion.tasks.classification import ClassificationTask

TAUGHT_BY = (
    "procedural scenes with their own labels, and RAFT flow of the 30 training sequences of DAVIS "
    "2016 with labels that em-k2 and the rule salient gave it; no annotation"
)


@dataclass(frozen=True)
class Options:
    """Ships a classifier.

    Attributes:
        checkpoint: the run.
        out: the file.
        command: command that trained it.
        taught_by: what it was trained on, labels included.
        frames: number of frames of scenes to tune on.
    """

    checkpoint: str
    out: Path
    command: str = "python train.py nims --data.source scenes:parallax,OWN"
    taught_by: str = TAUGHT_BY
    frames: int = 500


def main(options: Options) -> None:
    """Writes the file."""
    trained = load_trained(options.checkpoint)
    config, task = trained.config, trained.config.task.build(trained.config.data)
    assert isinstance(task, ClassificationTask)
    size = (config.data.height, config.data.width)
    tuning = scene_frames(config.evals.scenes, options.frames, size, TUNING_SEED)
    logits = in_parts(jax.jit(partial(task.logits, trained.params, valid=None)), tuning.flow)
    shift = balancing_shift(logits, salient_frames(tuning.moving, task.least_area))
    dense = trained.params["Dense_0"]
    params = {**trained.params, "Dense_0": {**dense, "bias": dense["bias"] + np.float32(shift)}}
    scores = score_on_frames(
        replace(config, evals=replace(config.evals, frames=500)), {"params": params}, False
    )
    shifted = f"logits shifted by {shift:.3f}, so that both errors are as frequent on other scenes"
    found = {f"{config.evals.scenes}_{name}": value for name, value in scores.items()}
    metrics = {**trained.metrics, **found}
    write_model(options.out, trained._replace(params=params, metrics=metrics))
    taught_by = f"{options.taught_by}; {shifted}"
    export_model(options.out, options.out, trained_on=taught_by, command=options.command)
    print(f"{options.out}: {shifted}; {found}")


if __name__ == "__main__":
    main(tyro.cli(Options))
