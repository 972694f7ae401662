"""Scores of one method on one video, object by object and frame by frame."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jaxmotion.metrics.davis import sequence_statistics

STATISTICS = ("mean", "recall", "decay")
FOREGROUND = "foreground"

Average = Literal["sequence", "frame", "object"]
"""Over what a dataset's mean is taken: sequence means, all frames, or the means of all objects."""
Statistics = dict[str, float]
"""`J_mean`, `J_recall`, `J_decay`, the same of every other measure; `JF_mean` where asked for."""


@dataclass(frozen=True)
class Cut:
    """Frames that were segmented and selected together.

    Attributes:
        start: First frame.
        stop: One after the last.
        labels: Segments taken as foreground; empty where objects are matched instead.
    """

    start: int
    stop: int
    labels: tuple[int, ...] = ()


@dataclass(frozen=True)
class ObjectScores:
    """Scores of one annotated object, or of the foreground as a whole, in every scored frame.

    Attributes:
        name: `"foreground"`, or the label of the object in the annotation.
        scores: By measure (`"J"`, `"F"`, `"bIoU"`), a value per scored frame; NaN for none.
        segment: The predicted label that was assigned to the object; -1 if none was left, None
            where there was no assignment.
    """

    name: str
    scores: dict[str, tuple[float, ...]]
    segment: int | None = None


@dataclass(frozen=True)
class SequenceScores:
    """Scores of one method on one video.

    Attributes:
        name: Of the sequence.
        num_frames: Frames that were segmented.
        num_labels: K, one more than the highest label the method may give.
        frames: Indices of the scored frames within the video, ascending.
        frame_names: Names of their annotation files, without suffix.
        objects: At least one, unless the annotation shows none.
        cuts: How it was cut, in order; they cover all frames.
        pictures: Folder of what the report shows of this method on this sequence, relative to the
            evaluation's folder, in `/`; None if there is none.
    """

    name: str
    num_frames: int
    num_labels: int
    frames: tuple[int, ...]
    frame_names: tuple[str, ...]
    objects: tuple[ObjectScores, ...]
    cuts: tuple[Cut, ...]
    pictures: str | None = None

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what was measured, `"J"` first."""
        return tuple(self.objects[0].scores) if self.objects else ()

    def weight(self, average: Average) -> float:
        """What it counts in the means of a dataset that are taken over this."""
        return float(
            {"sequence": 1, "frame": len(self.frames), "object": len(self.objects)}[average]
        )

    def per_frame(self, measure: str) -> np.ndarray:
        """A measure in every scored frame, mean over the objects: float64 `[n]`."""
        table = np.array([scored.scores[measure] for scored in self.objects], np.float64)
        return _nanmean(table, axis=0) if len(table) else np.full(len(self.frames), np.nan)

    def statistics(self) -> Statistics:
        """Mean, recall and decay of every measure, each a mean over the objects."""
        values = {}
        for measure in self.measures:
            table = [statistics_of(scored.scores[measure]) for scored in self.objects]
            means = _nanmean(np.array(table), axis=0)
            for name, value in zip(STATISTICS, means, strict=True):
                values[f"{measure}_{name}"] = float(value)
        return values


def _nanmean(table: np.ndarray, axis: int) -> np.ndarray:
    """Mean of the numbers that exist; NaN, without a warning, where none does."""
    known = ~np.isnan(table)
    count = known.sum(axis=axis)
    total = np.where(known, table, 0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def statistics_of(scores: tuple[float, ...]) -> tuple[float, float, float]:
    """Mean, recall and decay over the frames that have a score."""
    known = [score for score in scores if not math.isnan(score)]
    nan = float("nan")
    return sequence_statistics(known) if known else (nan, nan, nan)


def mean_of(values: Iterable[float]) -> float:
    """Mean of the numbers that exist; NaN where none does."""
    return float(_nanmean(np.array(list(values), np.float64), axis=0))
