"""The configuration of an experiment: frozen dataclasses, to and from JSON, told apart by field."""

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from jaxmotion.data.augment import AugmentConfig
from jaxmotion.errors import InputError
from jaxmotion.inference import InferenceConfig
from jaxmotion.motion import MotionModel
from jaxmotion.networks import NetworkConfig
from jaxmotion.training.optimizer import OptimizerConfig
from jaxmotion.training.segmentation import ObjectiveConfig
from jaxmotion.training.shardings import MeshConfig

T = TypeVar("T")


@dataclass(frozen=True)
class DataConfig:
    """Which clips to train on.

    Attributes:
        source: ``"scenes:LEVEL"`` for procedural scenes (``"scenes:LEVEL+LEVEL"`` for several
            levels in turn), ``"tfds:NAME/CONFIG"``, or a path: a DAVIS-layout root, a folder
            of ``.flo`` files or of such folders, a ``.npz`` sequence or a folder of them. Several
            joined by commas take turns.
        flow: name of the flow folder, ``ROOT/Flows/NAME``, of a DAVIS-layout root.
        split: ``ROOT/ImageSets/SPLIT.txt`` limits the sequences; empty for all.
        height: rows that every clip is resized to (vectors keep their length, as published).
        width: columns.
        clip_length: T, frames of a clip.
        intervals: τ, frames from one field of a clip to the next; of several each clip takes each,
            and a negative one goes backward in time (thesis §3.3.1).
        validation_fraction: share of the sequences of files held out for the validation loss.
        validation_clips: at most this many clips are validated on.
    """

    source: str = "scenes:default"
    flow: str = "raft"
    split: str = ""
    height: int = 64
    width: int = 112
    clip_length: int = 1
    intervals: tuple[int, ...] = (1,)
    validation_fraction: float = 0.1
    validation_clips: int = 64


@dataclass(frozen=True)
class Config:
    """One experiment.

    Attributes:
        data: the clips.
        network: the segmenter.
        motion: the motion model of a segment.
        objective: the loss.
        augment: random changes of a training clip.
        optimizer: how the parameters move.
        steps: training steps in all.
        batch_size: clips a step, over all devices.
        accumulate: parts of a batch whose gradients are computed one after the other and averaged:
            the memory of a smaller batch, the step of the whole one.
        mesh: which devices share what. A run may be continued on another mesh.
        start: a run's folder, a file that ``jaxmotion export`` wrote, or a shipped model, whose
            parameters this run starts from: of another length of clips, number of masks, or
            decoder. Empty for fresh parameters.
        seed: of parameters, data order, augmentation and procedural scenes.
        log_every: steps between two lines of ``metrics.jsonl``.
        validate_every: steps between two validation losses; the parameters of the lowest are kept.
        checkpoint_every: steps between two checkpoints to resume from.
        picture_every: steps between two pictures of masks and parametric flow; 0 for none.
        on_bad_clip: ``"error"`` stops at a damaged file, ``"skip"`` leaves its clips out, counts
            and logs them.
        inference: how a trained network goes over a video.
    """

    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    motion: MotionModel = field(
        default_factory=lambda: MotionModel(spatial="quadratic", temporal="constant")
    )
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    steps: int = 2000
    batch_size: int = 8
    accumulate: int = 1
    mesh: MeshConfig = field(default_factory=MeshConfig)
    start: str = ""
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    seed: int = 0
    log_every: int = 50
    validate_every: int = 250
    checkpoint_every: int = 250
    picture_every: int = 500
    on_bad_clip: Literal["error", "skip"] = "error"

    def __post_init__(self) -> None:
        counts = ("steps", "batch_size", "accumulate", "log_every", "validate_every")
        for name in (*counts, "checkpoint_every"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} must be at least 1, got {getattr(self, name)}")


def to_json(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON values."""
    return dataclasses.asdict(config)


def from_json(kind: type[T], values: dict[str, Any]) -> T:
    """A configuration from what `to_json` gave.

    Fields that the values lack take their defaults, so that older checkpoints still load.

    Raises:
        InputError: on a field that the configuration does not have.
    """
    hints = typing.get_type_hints(kind)
    unknown = values.keys() - hints.keys()
    if unknown:
        raise InputError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}")
    return kind(**{name: _decode(hints[name], value) for name, value in values.items()})


def _decode(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_json(hint, value)
    if typing.get_origin(hint) is tuple:
        return tuple(value)
    if typing.get_origin(hint) in (types.UnionType, typing.Union) and isinstance(value, list):
        return tuple(value)
    return value


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """The fields that differ between two JSON configurations, as ``name: old → new``."""
    rows = []
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            rows += differences(a, b, f"{prefix}{name}.")
        elif _plain(a) != _plain(b):
            rows.append(f"{prefix}{name}: {a} → {b}")
    return rows


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
