"""The configuration of an experiment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from tyro.conf import arg

from jaxmotion.data.config import DataConfig
from jaxmotion.errors import InputError
from jaxmotion.options import (
    Count,
    CountOrZero,
    Meta,
    OneOf,
    check_fields,
    from_json,
    to_json,
)
from jaxmotion.scenes import LEVELS
from jaxmotion.tasks.kinds import TASKS
from jaxmotion.tasks.segmentation import SegmentationConfig
from jaxmotion.tasks.task import TaskConfig
from jaxmotion.training.optimizer import OptimizerConfig
from jaxmotion.training.profiling import chosen_steps
from jaxmotion.training.shardings import MeshConfig

# Fields of the only task there was, in files from before there were several.
_SEGMENTATION = ("network", "motion", "objective", "augment", "inference")


@dataclass(frozen=True)
class EvalsConfig:
    """The scenes to score a network on while and after it is trained; nothing is chosen by them.

    Attributes:
        scenes: level of the procedural scenes, which no run trains on; ``"same"`` for that of
            ``data.source``, where it is one level of scenes; empty for none.
        frames: number of frames of these scenes, in whole clips.
        every: steps between two scores of the network in training, in ``metrics.jsonl``; 0 for
            none. At the end the kept parameters are scored in any case.
    """

    scenes: str = "same"
    frames: Count = 100
    every: CountOrZero = 0

    def __post_init__(self) -> None:
        check_fields(self, "evals")
        known = self.scenes in ("", "same") or set(self.scenes.split("+")) <= LEVELS.keys()
        if not known:
            raise InputError(
                f"evals.scenes {self.scenes!r}: unknown level, expected 'same', '', or one of "
                f"{', '.join(LEVELS)}"
            )


@dataclass(frozen=True)
class Config:
    """The configuration of one experiment.

    Attributes:
        data: the clips to train and to validate on.
        task: the network and its loss; one of the dataclasses of `tasks.kinds`.
        optimizer: the optimizer, its learning rate, and the average of the parameters.
        steps: number of training steps in all.
        batch_size: number of clips in a step, over all devices.
        accumulate: number of parts of a batch whose gradients are computed one after the other and
            averaged. A step takes the memory of one part and does what the whole batch would.
        mesh: how the devices share clips, frames and parameters. A run may be continued on another
            mesh.
        start: a run's folder, a file that ``jaxmotion export`` wrote, or a shipped model, whose
            parameters this run starts from. It may have another length of clips, number of masks,
            or decoder. Empty for fresh parameters.
        seed: seed of parameters, data order, augmentation and procedural scenes.
        log_every: steps between two lines of ``metrics.jsonl``.
        validate_every: steps between two validation losses; the parameters of the lowest are kept.
        checkpoint_every: steps between two checkpoints to resume from.
        picture_every: steps between two pictures of masks and parametric flow; 0 for none.
        profile_steps: first and last step, ``"A:B"``, of a profile for TensorBoard or XProf, which
            ``tensorboard/`` then holds; empty for none.
        on_bad_clip: what a damaged file does: ``"error"`` stops the run, ``"skip"`` leaves the
            clips of that file out, counts and logs them.
        evals: the scenes that the network is scored on while and after it is trained.
    """

    data: DataConfig = field(default_factory=DataConfig)
    task: Annotated[TaskConfig, OneOf(TASKS), arg(name="")] = field(
        default_factory=SegmentationConfig
    )
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    steps: Count = 2000
    batch_size: Annotated[int, Meta(ge=1, le=65_536)] = 8
    accumulate: Count = 1
    mesh: MeshConfig = field(default_factory=MeshConfig)
    start: str = ""
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    log_every: Count = 50
    validate_every: Count = 250
    checkpoint_every: Count = 250
    picture_every: CountOrZero = 500
    profile_steps: str = ""
    on_bad_clip: Literal["error", "skip"] = "error"
    evals: EvalsConfig = field(default_factory=EvalsConfig)

    def __post_init__(self) -> None:
        check_fields(self)
        chosen_steps(self.profile_steps)


def read_config(path: str | os.PathLike, values: Any) -> Config:
    """Reads the configuration of a run or of a model file.

    Args:
        path: file that the configuration comes from, named in errors.
        values: content of that file, as JSON is read.

    Raises:
        InputError: on a field or a value that this version does not know.
    """
    try:
        return from_json(Config, _with_task(values))
    except InputError as error:
        raise InputError(
            f"{path}: a configuration that this version does not know: {error}; the version of "
            "jaxmotion that wrote it, or a later one, reads it"
        ) from error


def as_options(config: Config) -> dict[str, Any]:
    """A configuration as JSON with the names of the command line, the task's among the others."""
    values = to_json(config)
    return values | values.pop("task")


def _with_task(values: Any) -> Any:
    """JSON of today from that of before there were several tasks."""
    if not isinstance(values, Mapping) or "task" in values:
        return values
    task = {name: values[name] for name in _SEGMENTATION if name in values}
    return {name: value for name, value in values.items() if name not in task} | {"task": task}
