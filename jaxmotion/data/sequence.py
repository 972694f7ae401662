"""One sequence of a data set: its named fields, wherever they lie, each read when it is asked for.

    flow       float32 [T, H, W, 2]  from each frame to the next, zero where unknown
    valid      float32 [T, H, W]     1 where the flow is known, else 0
    frames     uint8 [T, h, w, 3]    the pictures that the flow starts from
    labels     int32 [T, h, w]       annotated labels, 0 for the background and where there is none
    void       bool [T, h, w]        pixels that no one judges; all, in frames without annotation
    instances  int32 [T, h, w]       the labels of single objects, numbered 1, 2, ...
    boxes      float32 [T, 4]        around the object: x, y, width, height as shares of the frame;
                                     NaN in frames without one

`H, W` is the size of the flow, `h, w` that of the pictures.
"""

import collections.abc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from jaxmotion.errors import InputError

FIELDS = ("flow", "valid", "frames", "labels", "void", "instances", "boxes")

Frames = collections.abc.Sequence[int]
FieldArrays = Mapping[str, np.ndarray]
"""Arrays by the names of fields, of the same frames."""
Reader = Callable[[Frames], FieldArrays]
"""Reads one field, or some that come together, of the frames asked for, in their order."""
AnnotationReader = Callable[[Frames], tuple[np.ndarray, np.ndarray]]
"""Reads annotations by their indices: labels uint8 `[n, h, w]`, and bool `[n, h, w]`, where these
are the label 255 that means "not judged" in pictures with a palette."""


def number_frames(num_frames: int) -> list[str]:
    """Names for frames that have none: 00000, 00001, ..."""
    return [f"{t:05d}" for t in range(num_frames)]


@dataclass(frozen=True)
class Timeline:
    """The frames of a video, and which of them are annotated.

    Attributes:
        names: names of all frames, in order.
        annotated: index of the frame of each annotation.
        source: words for what the frames are known from, for messages.
        annotations: files of the annotations, or what stands for them in messages.
    """

    names: tuple[str, ...]
    annotated: tuple[int, ...]
    source: str
    annotations: tuple[Path, ...]


@dataclass(frozen=True, eq=False)
class Sequence:
    """A sequence and what can be read of it. Headers have been read, the rest has not.

    Attributes:
        name: name of the sequence in logs and results.
        source: words for where it lies, for messages.
        length: number of frames that can be read, those that have a flow where there is flow.
        readers: function that reads each field, by the name of the field.
        size: `(height, width)` of the flow as it is read; None without flow.
        half: whether the flow is stored in float16.
        units: `(height, width)` of the picture in whose pixels vectors are measured, where known.
        usable: bool `[length]`, False where the flow of a frame is known to be unusable.
        run: int `[length]`, a number that changes where a frame is missing between two neighbors.
        faults: faults of the sequence, one line each.
        place: function that finds the annotated frames; its argument says whether every frame has
            to be annotated. None where nothing is annotated.
        annotations: function that reads the annotations that `place` counts; None where nothing is
            annotated. Where only boxes are, their pixels have the label 1.
        paths: files that flow and annotation are read from.
        frame_paths: files of the frames; may be empty.
        frame_path: function that finds the file of a frame by its index.
        frame_names: function that names so many frames, the first ones.
        fingerprint: function whose result tells the flow from other flow under the same name
            (`jaxmotion.data.fingerprints`).
        whole_fingerprint: the same of every byte of the files.
        old_fingerprint: function that gives the fingerprint by all numbers, as checkpoints of
            earlier versions have it.
    """

    name: str
    source: str
    length: int
    readers: Mapping[str, Reader]
    size: tuple[int, int] | None = None
    half: bool = False
    units: tuple[int, int] | None = None
    usable: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    run: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    faults: tuple[str, ...] = ()
    place: Callable[[bool], Timeline] | None = None
    annotations: AnnotationReader | None = None
    paths: tuple[Path, ...] = ()
    frame_paths: tuple[Path, ...] = ()
    frame_path: Callable[[int], Path] | None = None
    frame_names: Callable[[int], list[str]] = number_frames
    fingerprint: Callable[[], bytes] = bytes
    whole_fingerprint: Callable[[], bytes] = bytes
    old_fingerprint: Callable[[], bytes] = bytes

    def read(self, fields: Iterable[str], frames: Frames) -> dict[str, np.ndarray]:
        """Reads fields of some frames.

        Args:
            fields: names of the fields, those of the table of `jaxmotion.data.sequence`.
            frames: T indices into the sequence, in the order wanted.

        Returns:
            An array for each field.

        Raises:
            InputError: a field that the sequence does not have, or that cannot be read.
        """
        fields = tuple(fields)
        self.check_fields(fields)
        found: dict[str, np.ndarray] = {}
        for name in sorted(fields, key=lambda name: name != "instances"):  # labels come with them
            if name not in found:
                found |= self.readers[name](frames)
        return {name: found[name] for name in fields}

    def check_fields(self, fields: Iterable[str]) -> None:
        """Checks that fields are there.

        Args:
            fields: names of the fields.

        Raises:
            InputError: one of them is not; the message says which are.
        """
        for name in fields:
            if name not in self.readers:
                there = ", ".join(known for known in FIELDS if known in self.readers)
                raise InputError(f"{self.source}: no field {name!r}, expected some of {there}")

    def starts(self, clip_length: int, interval: int, stride: int) -> list[int]:
        """Finds the clips that hold usable frames only and span no missing one.

        Args:
            clip_length: T, number of frames of a clip.
            interval: number of frames from one of a clip to the next; below 0 backward in time.
            stride: number of frames from the start of a clip to that of the next.

        Returns:
            The earliest frame of each.
        """
        interval = abs(interval)
        span = (clip_length - 1) * interval + 1
        return [
            start
            for start in range(0, self.length - span + 1, stride)
            if self.usable[start : start + span : interval].all()
            and self.run[start] == self.run[start + span - 1]
        ]


def number_instances(labels: np.ndarray) -> np.ndarray:
    """Numbers the labels that are there 1, 2, ..., in their order.

    Args:
        labels: label of each pixel, integers `[T, H, W]`, 0 for the background.

    Returns:
        The numbers, int32 `[T, H, W]`.
    """
    there = np.unique(labels[labels > 0])
    return np.where(labels > 0, np.searchsorted(there, labels) + 1, 0).astype(np.int32)


def annotation_readers(
    place: Callable[[bool], Timeline], annotations: AnnotationReader
) -> dict[str, Reader]:
    """The readers of all fields that follow from annotations of some frames or of all.

    Args:
        place: function that finds the annotated frames, as `Sequence.place` is.
        annotations: function that reads their annotations, as `Sequence.annotations` is.

    Returns:
        The readers of `labels`, `void` and `instances`.
    """

    @cache  # files are looked at once, not for each clip
    def annotated_frames() -> tuple[int, ...]:
        try:
            return place(False).annotated
        except InputError:  # some pictures are missing, which does not matter if no mask is
            return place(True).annotated

    def read(frames: Frames) -> FieldArrays:
        annotated = annotated_frames()
        there = [annotated.index(t) for t in frames if t in annotated]
        found, unjudged = annotations(there or [0])  # of another frame: for its size
        labels = np.zeros((len(frames), *found.shape[1:]), np.int32)
        void = np.ones(labels.shape, bool)
        kept = [i for i, t in enumerate(frames) if t in annotated]
        labels[kept], void[kept] = found[: len(kept)], unjudged[: len(kept)]
        return {"labels": np.where(void, 0, labels).astype(np.int32), "void": void}

    def read_instances(frames: Frames) -> FieldArrays:
        found = read(frames)
        return {**found, "instances": number_instances(found["labels"])}

    return {"labels": read, "void": read, "instances": read_instances}
