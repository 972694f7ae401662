"""The configuration of an experiment, and of the processes that run it: read without JAX."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

from tyro.conf import arg

from jaxmotion.data.config import DataConfig
from jaxmotion.errors import InputError
from jaxmotion.options import (
    Count,
    CountOrZero,
    Meta,
    NotNegative,
    OneOf,
    Positive,
    check_fields,
    from_json,
    shown,
    to_json,
)
from jaxmotion.scenes.levels import LEVELS
from jaxmotion.tasks.config import TaskConfig
from jaxmotion.tasks.kinds import TASKS
from jaxmotion.tasks.segmentation_config import SegmentationConfig

# Fields of the only task there was, in files from before there were several.
_SEGMENTATION = ("network", "motion", "objective", "augment", "inference")


class Group(NamedTuple):
    """Parameters that move at a rate of their own.

    Attributes:
        pattern: regular expression that the whole path of a parameter matches, as
            ``"unet/left_0/.*"``.
        rate: factor of the learning rate; 0 keeps the parameters as they are, and below 0 they
            climb the loss.
    """

    pattern: str
    rate: float


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer of a run: update rule, learning rate, clipping, average and groups.

    Attributes:
        kind: update rule, ``"adam"`` or ``"adamw"``.
        learning_rate: the largest learning rate.
        schedule: learning rate after the warm-up: ``"constant"``, ``"cosine"`` (to zero at the last
            step) or ``"halving"`` (halved every ``halve_every`` steps, as the published LT-MS).
        warmup_steps: number of first steps in which the learning rate rises linearly, from
            ``1 / warmup_steps`` of itself.
        halve_every: number of steps after which ``"halving"`` halves the learning rate.
        weight_decay: decay of the parameters by ``"adamw"``; ``"adam"`` has none.
        clip_norm: largest global norm of a gradient; a longer one is clipped to it, 0 clips none.
        ema_decay: decay of the exponential moving average of the parameters that is validated and
            kept; 0 for no average.
        groups: parameters with a rate of their own, each a `Group` (pattern and rate); the first
            that fits counts, and what fits none has the rate 1. Only parameters that descend (rate
            above 0) are clipped, by their own norm, and decay. Those that are frozen (0) or climb
            (below 0) do not count in that norm.
    """

    kind: Literal["adam", "adamw"] = "adam"
    learning_rate: Positive = 2e-3
    schedule: Literal["constant", "cosine", "halving"] = "cosine"
    warmup_steps: CountOrZero = 100
    halve_every: Count = 10_000
    weight_decay: NotNegative = 1e-4
    clip_norm: NotNegative = 1.0
    ema_decay: Annotated[float, Meta(ge=0, lt=1)] = 0.999
    groups: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        check_fields(self, "optimizer")
        for pattern, _ in self.groups:
            try:
                re.compile(pattern)
            except re.error as error:
                raise InputError(
                    f"optimizer.groups {pattern!r}: expected a regular expression ({error})"
                ) from error


@dataclass(frozen=True)
class MeshConfig:
    """The grid of devices. -1, for one of its three sizes, takes all the remaining devices.

    Attributes:
        data: number of parts that the clips of a batch are divided into; -1 for all the remaining
            devices.
        time: number of parts that the frames of a clip are divided into.
        model: number of parts that the output channels of large parameters are divided into.
        fsdp: whether parameters and the optimizer's state are divided over ``data`` too, and
            gathered where they are used, instead of being whole on every device.
    """

    data: int = -1
    time: int = 1
    model: int = 1
    fsdp: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "mesh")
        sizes = {axis: getattr(self, axis) for axis in ("data", "time", "model")}
        for axis, size in sizes.items():
            if size < 1 and size != -1:
                raise InputError(f"--mesh.{axis} {size}: expected at least 1, or -1 for the rest")
        if sum(size == -1 for size in sizes.values()) > 1:
            raise InputError(f"--mesh {sizes}: expected -1 for one axis at most")


@dataclass(frozen=True)
class EvalsConfig:
    """Scenes and videos to score a network on while and after it is trained.

    Nothing is chosen by them.

    Attributes:
        scenes: level of the procedural scenes, which no run trains on; ``"same"`` for that of
            ``data.source``, where it is one level of scenes; empty for none.
        frames: number of frames of these scenes, in whole clips.
        data: folder laid out like DAVIS, or ``tfds:NAME/CONFIG``, whose annotated videos a
            segmenter is scored on, as by ``jaxmotion eval``; empty for none.
        flow: name of the flow folder, ``ROOT/Flows/NAME``, of that data.
        split: name of the list of its sequences, ``ROOT/ImageSets/SPLIT.txt``; empty for all.
        every: steps between two scores of the network in training, in ``metrics.jsonl``; 0 for
            none. At the end the kept parameters are scored in any case.
    """

    scenes: str = "same"
    frames: Count = 100
    data: str = ""
    flow: str = "raft"
    split: str = ""
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
        evals: what the network is scored on while and after it is trained.
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


@dataclass(frozen=True)
class Processes:
    """The processes of a run, one a host as a rule; by default there is only this one.

    Attributes:
        distributed: train as one of several processes, which all run this command. On a TPU pod,
            under SLURM, Open MPI or Kubernetes, JAX finds the others by itself. Elsewhere the
            coordinator, num_processes and process_id are needed, all three.
        coordinator: address of process 0, HOST:PORT.
        num_processes: number of processes in all.
        process_id: number of this process, from 0.
        join_timeout: seconds to wait at the start until all processes are there.
    """

    distributed: bool = False
    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    join_timeout: Annotated[int, Meta(ge=1, le=1_000_000)] = 300

    def __post_init__(self) -> None:
        check_fields(self)
        given = [self.coordinator, self.num_processes, self.process_id]
        if self.distributed and given.count(None) == 0:
            self._check()
        elif given.count(None) < 3:
            missing = " with --distributed" if not self.distributed else ""
            raise InputError(
                "--coordinator, --num-processes and --process-id: expected all three or none"
                + missing
            )

    def _check(self) -> None:
        host, _, port = str(self.coordinator).rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 2**16:
            raise InputError(f"--coordinator {self.coordinator}: expected HOST:PORT of process 0")
        count, index = self.num_processes or 0, self.process_id or 0
        if count < 1:
            raise InputError(f"--num-processes {count}: expected at least 1")
        if not 0 <= index < count:
            raise InputError(f"--process-id {index}: expected 0 to {count - 1}")


def chosen_steps(words: str) -> range:
    """The steps that an option names.

    Args:
        words: first and last step, ``"A:B"``, counted from 1 as in ``metrics.jsonl``; empty for
            none.

    Raises:
        InputError: where it is neither.
    """
    if not words:
        return range(0)
    found = re.fullmatch(r"([0-9]{1,10}):([0-9]{1,10})", words)
    first, last = map(int, found.groups()) if found else (0, 0)
    if not 1 <= first <= last:
        raise InputError(f"--profile_steps {shown(words)}: expected A:B, with 1 <= A <= B")
    return range(first, last + 1)


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
