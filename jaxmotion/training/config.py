"""The configuration of an experiment."""

import os
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from jaxmotion.data.augment import AugmentConfig
from jaxmotion.data.flow_cache import DEFAULT_BYTES
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.motion import MotionModel
from jaxmotion.networks import NetworkConfig
from jaxmotion.options import Count, CountOrZero, Meta, check_fields, from_json
from jaxmotion.tasks.segmentation import ObjectiveConfig
from jaxmotion.training.optimizer import OptimizerConfig
from jaxmotion.training.shardings import MeshConfig

MOST_PIXELS = 2**24
"""Of a clip's frame: what is larger (4096×4096) is a slip, or a file that means to fill memory."""

Side = Annotated[int, Meta(ge=2, le=16_384)]
Interval = Annotated[int, Meta(ge=-100_000, le=100_000)]


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
        cache_bytes: bytes of flow that are kept in memory at most; what is beyond is read again.
    """

    source: str = "scenes:default"
    flow: str = "raft"
    split: str = ""
    height: Side = 64
    width: Side = 112
    clip_length: Annotated[int, Meta(ge=1, le=100_000)] = 1
    intervals: Annotated[tuple[Interval, ...], Meta(min_length=1, max_length=1_000)] = (1,)
    validation_fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    validation_clips: Count = 64
    cache_bytes: Annotated[int, Meta(ge=0, le=2**50)] = DEFAULT_BYTES

    def __post_init__(self) -> None:
        check_fields(self, "data")
        if not self.source:
            raise InputError("data.source '': expected scenes:LEVEL, tfds:NAME/CONFIG or a path")
        if 0 in self.intervals:
            raise InputError(
                f"data.intervals {self.intervals}: expected frames forward, or backward below 0"
            )
        if self.height * self.width > MOST_PIXELS:
            raise InputError(
                f"data.height {self.height} and data.width {self.width}: expected at most "
                f"{MOST_PIXELS:,} pixels"
            )


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
    steps: Count = 2000
    batch_size: Annotated[int, Meta(ge=1, le=65_536)] = 8
    accumulate: Count = 1
    mesh: MeshConfig = field(default_factory=MeshConfig)
    start: str = ""
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    log_every: Count = 50
    validate_every: Count = 250
    checkpoint_every: Count = 250
    picture_every: CountOrZero = 500
    on_bad_clip: Literal["error", "skip"] = "error"

    def __post_init__(self) -> None:
        check_fields(self)


def read_config(path: str | os.PathLike, values: Any) -> Config:
    """The configuration of a run or of a model file.

    Args:
        path: where it is from, for the error.
        values: what stands there in JSON.

    Raises:
        InputError: on a field or a value that this version does not know.
    """
    try:
        return from_json(Config, values)
    except InputError as error:
        raise InputError(
            f"{path}: a configuration that this version does not know: {error}; the version of "
            "jaxmotion that wrote it, or a later one, reads it"
        ) from error
