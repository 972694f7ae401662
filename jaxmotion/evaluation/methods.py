"""The methods that can be scored: a network, the masks in a folder, and what needs no training.

Each gives labels at the size of the annotation, `method.label(video, protocol)`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxmotion.baselines import ALL_BASELINES, UPPER_BOUND
from jaxmotion.baselines.threshold import (
    BASELINES,
    shrink_ground_truth,
    two_motion_upper_bound,
    upsample_foreground,
)
from jaxmotion.data.masks import MASK_SUFFIXES, check_background, read_label_pictures
from jaxmotion.data.pairing import place_files
from jaxmotion.errors import InputError
from jaxmotion.evaluation.prediction import Predictor, predict_labels
from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.evaluation.results import Kind
from jaxmotion.evaluation.sequences import Annotation, ScoredSequence
from jaxmotion.files import list_files, stamps


class AnnotatedVideo(NamedTuple):
    """One sequence in memory.

    Attributes:
        sequence: the sequence, with the places of its files.
        flow: float32 `[T, h, w, 2]`, pixels per frame; None where only masks are compared.
        annotation: masks or boxes of the frames that count.
        num_frames: number of frames of the video.
        valid: bool `[T, h, w]`, where the flow is known; None for everywhere.
    """

    sequence: ScoredSequence
    flow: np.ndarray | None
    annotation: Annotation
    num_frames: int
    valid: np.ndarray | None = None

    @classmethod
    def read(cls, sequence: ScoredSequence, protocol: Protocol) -> "AnnotatedVideo":
        """Reads a sequence.

        Args:
            sequence: the sequence, with the places of its files.
            protocol: protocol that says which frames count.

        Raises:
            InputError: a file is missing or damaged, or flow and annotation do not fit together.
        """
        flow, valid = sequence.read_flow() if sequence.has_flow else (None, None)
        num_flows = len(flow) if flow is not None else None
        annotation, num_frames = sequence.read_annotation(protocol, num_flows)
        if flow is not None:
            sequence.check_shape(flow.shape[1:3], annotation.size)
        return cls(sequence, flow, annotation, num_frames, valid)

    def known_flow(self) -> np.ndarray:
        """The flow; an `InputError` where there is none."""
        if self.flow is None:
            raise InputError(f"{self.sequence.name}: no flow, which everything but masks needs")
        return self.flow


class Labeled(NamedTuple):
    """The labels that a method gives a video.

    Attributes:
        labels: uint8 `[T, H, W]` at the size of the annotation.
        num_labels: number K of labels.
        select: rule to read them by in the place of the protocol's; None for the protocol's.
        background: label that is no segment where objects are matched; None if all are.
    """

    labels: np.ndarray
    num_labels: int
    select: str | None = None
    background: int | None = None


@dataclass(frozen=True)
class Network:
    """A predictor, loaded when it is first needed.

    Attributes:
        name: name of the method.
        load: function that gives the predictor.
        source: name of the checkpoint as the user gave it.
        kind: `"checkpoint"`, or `"baseline"` for one that is evaluated like a network.
        identity: values that tell it from another network of that name.
        sharpened: whether outlines follow the frames of the video (`inference.outlines.sharpen`).
    """

    name: str
    load: Callable[[], Predictor]
    source: str = ""
    kind: Kind = "checkpoint"
    identity: Mapping[str, Any] = field(default_factory=dict)
    sharpened: bool = False

    @cached_property
    def predictor(self) -> Predictor:
        """The predictor."""
        return self.load()

    def label(self, video: AnnotatedVideo, protocol: Protocol) -> Labeled:
        """Segments the flow of a video.

        Args:
            video: the sequence, with its flow.
            protocol: protocol that says how the sequence is cut.

        Raises:
            InputError: outlines are to follow frames, and there are none.
        """
        flow, size = video.known_flow(), video.annotation.size
        frame = video.sequence.frame if self.sharpened else None
        labels, count = predict_labels(self.predictor, flow, size, protocol, video.valid, frame)
        # What chooses by itself says how it is to be read.
        select, background = (
            getattr(self.predictor, name, None) for name in ("select", "background")
        )
        return Labeled(labels, count, select, background)

    def inputs(self, sequence: ScoredSequence) -> dict[str, Any]:
        """The values that its result on a sequence depends on, beside the data."""
        frames = [stamps(path) for path in sequence.record.frame_paths] if self.sharpened else None
        return {**self.identity, "sharpened": frames}

    def release(self) -> None:
        """Lets go of the predictor and its memory."""
        self.__dict__.pop("predictor", None)


@dataclass(frozen=True)
class ResultFolder:
    """Masks that were written before, FOLDER/SEQ/FRAME.png, by us or by another method.

    Attributes:
        name: name of the method.
        folder: folder that holds a folder for every sequence.
        select: rule that reads the labels as one foreground; by default all but 0 are.
        num_masks: number that labels must be below; None for no limit but the protocol's.
    """

    name: str
    folder: Path
    select: str = "nonzero"
    num_masks: int | None = None
    kind: Kind = "results"

    @property
    def source(self) -> str:
        """The folder."""
        return str(self.folder)

    def label(self, video: AnnotatedVideo, protocol: Protocol) -> Labeled:
        """Reads the masks.

        Frames that are not scored may be missing, unless the rule has to see them.

        Args:
            video: the sequence, with the names and the size of its frames.
            protocol: protocol that says whether the labels are read as one foreground.

        Raises:
            InputError: a mask that is needed is missing, unreadable, of another size, or has a
                label that it may not have.
        """
        size = video.annotation.size
        binary = self.select == "nonzero" and protocol.target != "objects"
        every = self.select != "nonzero" and protocol.target != "objects"
        num_frames, paths = self._files(video, every)
        pictures = [values for values, _ in read_label_pictures(list(paths.values()), size)]
        if binary:
            check_background(list(paths.values()), pictures)
        labels = np.zeros((num_frames, *size), np.uint8)
        highest, limit = 0, self._limit(protocol)
        for (t, path), picture in zip(paths.items(), pictures, strict=True):
            top = int(picture.max())
            if limit is not None and top > limit[0]:
                raise InputError(f"{path}: label {top}, expected at most {limit[0]}, {limit[1]}")
            highest = max(highest, top)
            labels[t] = picture
        if binary:
            labels, highest = (labels != 0).astype(np.uint8), 1
        return Labeled(labels, highest + 1, self.select, background=0)

    def inputs(self, sequence: ScoredSequence) -> dict[str, Any]:
        """The values that its result on a sequence depends on, beside the data."""
        files = stamps(self.folder / sequence.name)
        return {"files": files, "select": self.select, "num_masks": self.num_masks}

    def _files(self, video: AnnotatedVideo, every: bool) -> tuple[int, dict[int, Path]]:
        """The number of frames, and the masks that are there by the index of their frame."""
        folder = self.folder / video.sequence.name
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of results")
        scored = dict(zip(video.annotation.frames.tolist(), video.annotation.names, strict=True))
        names = video.sequence.record.frame_names(video.num_frames)
        with_flow = len(video.flow) if video.flow is not None else len(names) - 1
        wanted = {t: scored.get(t, names[t]) for t in range(max(max(scored) + 1, with_flow))}
        files = list_files(folder, MASK_SUFFIXES)
        placed = place_files(files, list(wanted.values())) if files else []
        paths = {t: folder / f"{name}.png" for t, name in wanted.items()}
        paths |= {t: file for t, file in zip(placed, files, strict=True) if t is not None}
        for t in wanted if every else scored:
            if not paths[t].is_file():
                raise InputError(f"{paths[t]}: no such mask, expected one of every scored frame")
        return len(wanted), {t: path for t, path in paths.items() if path.is_file()}

    def _limit(self, protocol: Protocol) -> tuple[int, str] | None:
        if self.num_masks is not None:
            return self.num_masks - 1, f"as there are {self.num_masks} masks"
        if protocol.max_segments:
            return protocol.max_segments, f"as many as {protocol.name} takes"
        return None


@dataclass(frozen=True)
class Baseline:
    """One of `ALL_BASELINES`; it knows its foreground, and looks at the scored frames alone.

    Attributes:
        name: name of the baseline.
    """

    name: str
    kind: Kind = "baseline"
    source: str = ""

    def __post_init__(self) -> None:
        if self.name not in ALL_BASELINES:
            raise InputError(
                f"baseline {self.name!r} is unknown, expected some of {', '.join(ALL_BASELINES)}"
            )

    def label(self, video: AnnotatedVideo, protocol: Protocol) -> Labeled:
        """Segments the scored frames; the others have no foreground.

        Args:
            video: the sequence, with flow and annotation.
            protocol: rules of the benchmark, which a baseline does not depend on.
        """
        flow, annotation = video.known_flow(), video.annotation
        frames = annotation.frames[annotation.frames < len(flow)]
        valid = None if video.valid is None else video.valid[frames]
        if self.name == UPPER_BOUND:
            gt = shrink_ground_truth(annotation.foreground[: len(frames)], flow.shape[1:3])
            small = two_motion_upper_bound(flow[frames], gt, valid)
        else:
            small = BASELINES[self.name](flow[frames], valid)
        labels = np.zeros((len(flow), *annotation.size), np.uint8)
        labels[frames] = upsample_foreground(small, annotation.size)
        return Labeled(labels, 2, "nonzero")

    def inputs(self, sequence: ScoredSequence) -> dict[str, Any]:
        """The values that its result depends on beside the data: none."""
        return {}


Method = Network | ResultFolder | Baseline
