"""The clips that a run trains on, and what is changed in them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from jaxmotion.errors import InputError
from jaxmotion.options import (
    Count,
    CountOrZero,
    Meta,
    NotNegative,
    Share,
    check_fields,
)

MOST_PIXELS = 2**24
"""Most pixels of a frame; what is larger (4096×4096) is a slip, or a file meant to fill memory."""

DEFAULT_CACHE_BYTES = 2**31

Side = Annotated[int, Meta(ge=2, le=16_384)]
Interval = Annotated[int, Meta(ge=-100_000, le=100_000)]


@dataclass(frozen=True)
class DataConfig:
    """Options of the clips to train on.

    Attributes:
        source: source of the clips: ``"scenes:LEVEL"`` for procedural scenes
            (``"scenes:LEVEL+LEVEL"`` for several levels in turn), ``"tfds:NAME/CONFIG"``, or a
            path: a DAVIS-layout root, a folder of ``.flo`` files or of such folders, a ``.npz``
            sequence or a folder of them, which may be in a store (``gs://...``). Several joined by
            commas take turns. A task that learns from frames takes ``"aerial:LEVEL"``, procedural
            pairs of frames, or ``"videos:PATH"``, a video, a folder of pictures, or of such. One
            that learns events takes ``"tracks:LEVEL"``, tracks of procedural scenes.
        flow: name of the flow folder, ``ROOT/Flows/NAME``, of a DAVIS-layout root.
        split: name of the list of sequences ``ROOT/ImageSets/SPLIT.txt``; empty for all sequences.
        height: number of rows that every clip is resized to (vectors keep their length, as
            published).
        width: number of columns that every clip is resized to.
        clip_length: T, number of frames of a clip.
        intervals: τ, frames from one field of a clip to the next; of several each clip takes each,
            and a negative one goes backward in time (thesis §3.3.1).
        validation_fraction: share of the sequences of files held out for the validation loss.
        validation_clips: largest number of clips that are validated on.
        reader_workers: number of threads of each process that read clips; 0 reads between the
            steps.
        prefetch: number of batches that each process keeps ready.
        wire: precision of the flow on its way to the devices. ``"stored"`` sends float16, and where
            it is known in one byte, if all of the flow is stored in float16: 5 bytes a pixel
            instead of 12. Flow that is resized is then rounded once more, by 2^-11 of its value at
            most. ``"float32"`` rounds nothing.
        cache_bytes: largest number of bytes of flow that are kept in memory; what is beyond is read
            again.
        pictures: folder of pictures that aerial scenes take their ground from; empty for procedural
            grounds.
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
    reader_workers: Annotated[int, Meta(ge=0, le=1_000)] = 2
    prefetch: Annotated[int, Meta(ge=1, le=10_000)] = 4
    wire: Literal["float32", "stored"] = "float32"
    cache_bytes: Annotated[int, Meta(ge=0, le=2**50)] = DEFAULT_CACHE_BYTES
    pictures: str = ""

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
class AugmentConfig:
    """Changes that are made to a clip. The default makes none. Static under jit.

    Attributes:
        global_motion: greatest mean length of the added motion, in mean lengths of the clip's own
            flow: 2 is the published "light", 4 and 8 the stronger ones, 0 adds none.
        global_motion_probability: share of clips that get one.
        corruption_probability: share of clips in which frames of the network's input become noise
            (published: 0.2 for ST-MS and LT-MS, 0 for EM).
        corrupted_frames: least and greatest number of such frames; one frame at least stays clean.
        still_share: share of these frames that are without motion instead of noise, as between two
            copies of an image.
        flip_horizontal: share of clips mirrored left to right.
        flip_vertical: share of clips mirrored upside down.
        scale_jitter: vectors are multiplied by a factor in [1/s, s], drawn evenly in its logarithm;
            1 for none.
    """

    global_motion: NotNegative = 0.0
    global_motion_probability: Share = 1.0
    corruption_probability: Share = 0.0
    corrupted_frames: tuple[CountOrZero, CountOrZero] = (1, 1)
    still_share: Share = 0.0
    flip_horizontal: Share = 0.0
    flip_vertical: Share = 0.0
    scale_jitter: Annotated[float, Meta(ge=1)] = 1.0

    def __post_init__(self) -> None:
        check_fields(self, "augment")
        low, high = self.corrupted_frames
        if low > high:
            raise InputError(
                f"augment.corrupted_frames ({low}, {high}): expected the least number and the "
                "greatest"
            )
