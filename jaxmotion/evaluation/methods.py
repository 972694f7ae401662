"""What can be scored: a network, the masks in a folder, and what needs no training."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxmotion.baselines.threshold import BASELINES, UPPER_BOUND, two_motion_upper_bound
from jaxmotion.data.masks import MASK_SUFFIXES, check_background, read_label_pictures
from jaxmotion.data.pairing import place_files
from jaxmotion.errors import InputError
from jaxmotion.evaluation.prediction import (
    Predictor,
    predict_labels,
    shrink_ground_truth,
    upsample_foreground,
)
from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.evaluation.results import Kind
from jaxmotion.evaluation.sequences import Annotation, ScoredSequence
from jaxmotion.files import list_files

ALL_BASELINES = (*BASELINES, UPPER_BOUND)


class Video(NamedTuple):
    """One sequence in memory.

    Attributes:
        sequence: Where it lies.
        flow: float32 `[T, h, w, 2]`; None where only masks are compared.
        annotation: The frames that count.
        num_frames: Of the video.
        valid: bool `[T, h, w]`, where the flow is known; None for everywhere.
    """

    sequence: ScoredSequence
    flow: np.ndarray | None
    annotation: Annotation
    num_frames: int
    valid: np.ndarray | None = None


class Labelled(NamedTuple):
    """What a method says of a video.

    Attributes:
        labels: uint8 `[T, H, W]` at the size of the annotation.
        num_labels: K.
        select: Rule to read them by in the place of the protocol's; None for the protocol's.
        background: Label that is no segment where objects are matched; None if all are.
    """

    labels: np.ndarray
    num_labels: int
    select: str | None = None
    background: int | None = None


@dataclass(frozen=True)
class Network:
    """A predictor, loaded when it is first needed.

    Attributes:
        name: What to call it.
        load: Gives the predictor.
        source: The checkpoint as it was named.
        kind: `"checkpoint"`, or `"baseline"` for one that is evaluated like a network.
        identity: Whatever tells it from another of that name.
    """

    name: str
    load: Callable[[], Predictor]
    source: str = ""
    kind: Kind = "checkpoint"
    identity: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def predictor(self) -> Predictor:
        """The predictor."""
        return self.load()

    def label(self, video: Video, protocol: Protocol) -> Labelled:
        """Segments the flow of a video."""
        flow = _flow_of(video)
        size = video.annotation.size
        labels, num_labels = predict_labels(self.predictor, flow, size, protocol, video.valid)
        return Labelled(labels, num_labels)

    def inputs(self, sequence: ScoredSequence) -> dict[str, Any]:
        """What its result on a sequence depends on, beside the data."""
        return dict(self.identity)

    def prepare(self) -> None:
        """Loads the predictor, if that is still to be done."""
        _ = self.predictor

    def release(self) -> None:
        """Lets go of the predictor and its memory."""
        self.__dict__.pop("predictor", None)


@dataclass(frozen=True)
class ResultFolder:
    """Masks that were written before, FOLDER/SEQ/FRAME.png, by us or by another method.

    Attributes:
        name: What to call it.
        folder: With a folder for every sequence.
        select: Rule that reads the labels as one foreground; by default all but 0 are.
        num_masks: Labels must be below it; None for no limit but the protocol's.
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

    def label(self, video: Video, protocol: Protocol) -> Labelled:
        """Reads the masks.

        Frames that are not scored may be missing, unless the rule has to see them.

        Raises:
            InputError: A mask that is needed is missing, unreadable, of another size, or has a
                label that it may not have.
        """
        folder = self.folder / video.sequence.name
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of results")
        scored = dict(zip(video.annotation.frames.tolist(), video.annotation.names, strict=True))
        last = max(scored)
        names = video.sequence.record.frame_names(video.num_frames)
        num_frames = max(last + 1, len(video.flow) if video.flow is not None else len(names) - 1)
        wanted = {t: scored.get(t, names[t]) for t in range(num_frames)}
        files = list_files(folder, MASK_SUFFIXES)
        placed = place_files(files, list(wanted.values())) if files else []
        paths = {t: folder / f"{name}.png" for t, name in wanted.items()}
        paths |= {t: file for t, file in zip(placed, files, strict=True) if t is not None}
        needed = scored if self.select == "nonzero" or protocol.target == "objects" else wanted
        for t in needed:
            if not paths[t].is_file():
                raise InputError(f"{paths[t]}: no such mask, expected one of every scored frame")
        there = [t for t in paths if paths[t].is_file()]
        size = video.annotation.size
        pictures = read_label_pictures([paths[t] for t in there], size)
        if self.select == "nonzero" and protocol.target != "objects":
            check_background([paths[t] for t in there], [picture for picture, _ in pictures])
        labels = np.zeros((num_frames, *size), np.uint8)
        highest, limit = 0, self._limit(protocol)
        for t, (picture, _) in zip(there, pictures, strict=True):
            top = int(picture.max())
            if limit is not None and top > limit[0]:
                raise InputError(
                    f"{paths[t]}: label {top}, expected at most {limit[0]}, {limit[1]}"
                )
            highest = max(highest, top)
            labels[t] = picture
        if self.select == "nonzero" and protocol.target != "objects":
            labels, highest = (labels != 0).astype(np.uint8), 1
        return Labelled(labels, highest + 1, self.select, background=0)

    def inputs(self, sequence: ScoredSequence) -> dict[str, Any]:
        """What its result on a sequence depends on, beside the data."""
        files = stamps(self.folder / sequence.name)
        return {"files": files, "select": self.select, "num_masks": self.num_masks}

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
        name: Which.
    """

    name: str
    kind: Kind = "baseline"
    source: str = ""

    def label(self, video: Video, protocol: Protocol) -> Labelled:
        """The foreground, in the scored frames; nothing in the others."""
        flow, annotation = _flow_of(video), video.annotation
        frames = annotation.frames[annotation.frames < len(flow)]
        valid = None if video.valid is None else video.valid[frames]
        if self.name == UPPER_BOUND:
            gt = annotation.foreground[: len(frames)]
            small = two_motion_upper_bound(
                flow[frames], shrink_ground_truth(gt, flow.shape[1:3]), valid
            )
        else:
            small = BASELINES[self.name](flow[frames], valid)
        labels = np.zeros((len(flow), *annotation.size), np.uint8)
        labels[frames] = upsample_foreground(small, annotation.size)
        return Labelled(labels, 2, "nonzero")

    def inputs(self, sequence: ScoredSequence) -> dict[str, Any]:
        """What its result on a sequence depends on, beside the data."""
        return {}


Method = Network | ResultFolder | Baseline


def check_baselines(names) -> None:
    """Raises `InputError` for the name of a baseline that does not exist."""
    for name in names:
        if name not in ALL_BASELINES:
            raise InputError(
                f"baseline {name!r} is unknown, expected some of {', '.join(ALL_BASELINES)}"
            )


def baseline_predictor(name: str) -> Predictor:
    """A baseline as a predictor of two masks, background and foreground.

    Args:
        name: One of `BASELINES`.
    """
    baseline = BASELINES[name]

    def predict(flow: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        foreground = baseline(flow, valid)
        return np.stack([1 - foreground, foreground], axis=-1)

    return predict


def stamps(path: str | os.PathLike) -> list[list]:
    """Name, size and time of every file of a folder, or of one file: has anything changed?"""
    path = Path(path)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    found = []
    for file in files:
        if file.exists():
            status = file.stat()
            name = str(file.relative_to(path)) if file != path else file.name
            found.append([name, status.st_size, status.st_mtime_ns])
    return found


def _flow_of(video: Video) -> np.ndarray:
    if video.flow is None:
        raise InputError(f"{video.sequence.name}: no flow, which everything but masks needs")
    return video.flow
