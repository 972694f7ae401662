"""What an evaluation gives: one tree of plain values, and its JSON.

    Evaluation                      one call of `eval.py`, one or several datasets
      datasets: Dataset             a folder of annotated sequences under one protocol
        runs: Run                   one method on it: a checkpoint, a result folder, a baseline
          sequences: Sequence       one video: which frames were scored, how it was cut
            objects: ObjectScores   per frame J, F, ... of the foreground, or of one object
        published: Published        scores that others reported on the same dataset
        differences: Difference     paired differences of two columns, with an interval

Nothing here computes a score or reads a mask: tables, CSV files and the report are pure functions
of this tree and of the picture files beside it. Numbers that do not exist are NaN in memory and
null in JSON.

What `eval.py` leaves in its folder, where RUN is `DATASET/METHOD`:

    scores.json  scores.csv     the headline, per sequence
    frames.csv  datasets.csv    per frame, per dataset
    evaluation.json             this tree
    report.html                 written from it
    masks/RUN/SEQ/00000.png     the result as official tools read it, indexed PNG
    segments/RUN/SEQ/00000.png  the K segments, indexed PNG
    pictures/DATASET/           what the report shows, see `SequenceScores.pictures`
    state/RUN/SEQ.json          one finished sequence, for a suite that is taken up again

The pictures are written while a sequence's arrays are in memory, for methods of the kinds
`"checkpoint"` and `"results"`, by one call of

    pictures.write_pictures(folder, scores, flow, labels, foreground, gt, read_frame)

with `folder` OUT/pictures/DATASET/SEQ/METHOD (which becomes `SequenceScores.pictures`; what does
not depend on the method may lie in its parent), `flow` `[T, h, w, 2]` or None, `labels` uint8
`[T, H, W]`, `foreground` bool `[T, H, W]`, `gt` uint8 `[len(scores.frames), H, W]` (0 background,
1.. objects, 255 void, of the scored frames only) and `read_frame` a function from the index of a
frame to uint8 `[H, W, 3]`, or None without `--include-frames`. The report is written by

    report.write_report(OUT, evaluation)

after every sequence of a suite is done, or when the run ends early.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.evaluation.scores import sequence_statistics

FORMAT = 1
STATISTICS = ("mean", "recall", "decay")
FOREGROUND = "foreground"

Average = Literal["sequence", "frame", "object"]
"""Over what a dataset's mean is taken: sequence means, all frames, or the means of all objects."""
Kind = Literal["checkpoint", "results", "baseline"]
"""What was evaluated: a network, a folder of masks, or something that needs no training."""
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

    def per_frame(self, measure: str) -> np.ndarray:
        """A measure in every scored frame, mean over the objects: float64 `[n]`."""
        table = np.array([scored.scores[measure] for scored in self.objects], np.float64)
        return _nanmean(table, axis=0) if len(table) else np.full(len(self.frames), np.nan)

    def statistics(self) -> Statistics:
        """Mean, recall and decay of every measure, each a mean over the objects."""
        values = {}
        for measure in self.measures:
            table = [_statistics(scored.scores[measure]) for scored in self.objects]
            means = _nanmean(np.array(table), axis=0)
            for name, value in zip(STATISTICS, means, strict=True):
                values[f"{measure}_{name}"] = float(value)
        return values


@dataclass(frozen=True)
class Failure:
    """A sequence that could not be scored.

    Attributes:
        sequence: Its name.
        reason: One line that names the file at fault.
    """

    sequence: str
    reason: str


@dataclass(frozen=True)
class Run:
    """One method on one dataset.

    Attributes:
        method: What to call it; unique within the dataset.
        kind: What it is.
        source: The checkpoint or folder as it was named; empty for a baseline.
        sequences: Those that were scored, in the order of the dataset.
        failures: Those that went wrong.
        missing: Those that were not reached.
    """

    method: str
    kind: Kind
    source: str
    sequences: tuple[SequenceScores, ...]
    failures: tuple[Failure, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether a sequence of the dataset has no scores."""
        return bool(self.failures or self.missing)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is partial, a line each."""
        lines = [f"{failure.sequence}: {failure.reason}" for failure in self.failures]
        if self.missing:
            lines.append(f"not reached: {', '.join(self.missing)}")
        return tuple(lines)

    def means(self, average: Average) -> Statistics:
        """Statistics over the dataset; of the sequences that were scored.

        Args:
            average: `"sequence"`: mean of the sequences' statistics. `"object"`: mean of the
                objects' statistics. `"frame"`: means over all scored frames; a recall is over
                them as well, a decay, which needs a sequence, stays the mean over sequences.
        """
        scored = [sequence for sequence in self.sequences if sequence.objects]
        if not scored:
            return {}
        tables = [sequence.statistics() for sequence in scored]
        means = {key: _mean_of(table[key] for table in tables) for key in tables[0]}
        for measure in scored[0].measures:
            if average == "frame":
                frames = np.concatenate([sequence.per_frame(measure) for sequence in scored])
                known = frames[~np.isnan(frames)]
                means[f"{measure}_mean"] = _mean_of(known)
                means[f"{measure}_recall"] = _mean_of(known > 0.5)
            elif average == "object":
                objects = [
                    _statistics(scores.scores[measure])
                    for sequence in scored
                    for scores in sequence.objects
                ]
                for name, column in zip(STATISTICS, zip(*objects, strict=True), strict=True):
                    means[f"{measure}_{name}"] = _mean_of(column)
        if {"J_mean", "F_mean"} <= means.keys():
            means["JF_mean"] = (means["J_mean"] + means["F_mean"]) / 2
        return means


@dataclass(frozen=True)
class Published:
    """Scores that others reported.

    Attributes:
        method: As the publication calls it.
        source: Where the figures are from.
        means: Over the whole dataset, by statistic (`"J_mean"`, ...).
        sequences: By sequence and statistic; may be empty, and need not have every sequence.
    """

    method: str
    source: str
    means: Statistics
    sequences: dict[str, Statistics]


@dataclass(frozen=True)
class Difference:
    """How much better `method` is than `other`, on the sequences that both have.

    Attributes:
        method: A run of the dataset.
        other: Another run, or a published method.
        published: Whether `other` is a published method.
        statistic: What is compared, `"J_mean"`.
        sequences: Method minus other, by sequence.
        mean: Over those sequences, weighted as the dataset's protocol averages.
        low: Lower end of the bootstrap interval of the mean; NaN for fewer than two sequences.
        high: Upper end.
        level: Of the interval, 0.95.
    """

    method: str
    other: str
    published: bool
    statistic: str
    sequences: dict[str, float]
    mean: float
    low: float
    high: float
    level: float = 0.95

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Dataset:
    """Annotated sequences under one protocol, and every method that was scored on them.

    Attributes:
        name: Unique within the evaluation; a name for folders.
        root: The folder as it was named.
        flow: Name of the flow; empty if only masks were scored.
        protocol: Every field of the `Protocol`, its `name` (`"davis2016"`, ...) among them.
        average: Over what means are taken.
        measures: What was measured, the one to look at first being the first.
        sequences: Names of all sequences wanted.
        runs: Evaluated methods first, then result folders to compare with, then baselines.
        published: Scores of others on the same dataset.
        differences: First run against all other columns.
    """

    name: str
    root: str
    flow: str
    protocol: dict[str, Any]
    average: Average
    measures: tuple[str, ...]
    sequences: tuple[str, ...]
    runs: tuple[Run, ...]
    published: tuple[Published, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether a run lacks a sequence."""
        return any(run.partial for run in self.runs)


@dataclass(frozen=True)
class Evaluation:
    """All that one call of `eval.py` evaluated.

    Attributes:
        datasets: At least one.
    """

    datasets: tuple[Dataset, ...]

    @property
    def partial(self) -> bool:
        """Whether anything that was asked for is missing."""
        return any(dataset.partial for dataset in self.datasets)


def to_json(evaluation: Any) -> str:
    """The tree, or a part of it, as JSON text; NaN becomes null."""
    return json.dumps(plain(dataclasses.asdict(evaluation)), indent=1) + "\n"


def from_json(text: str) -> Evaluation:
    """The tree from JSON text.

    Raises:
        InputError: The text is no evaluation.
    """
    try:
        values = json.loads(text)
        return Evaluation(tuple(_dataset(value) for value in values["datasets"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"not an evaluation: {error!r}") from error


def sequence_from_dict(values: Mapping[str, Any]) -> SequenceScores:
    """One sequence from its part of the JSON."""
    objects = tuple(
        ObjectScores(
            name=scored["name"],
            scores={key: _numbers(column) for key, column in scored["scores"].items()},
            segment=scored["segment"],
        )
        for scored in values["objects"]
    )
    cuts = tuple(Cut(cut["start"], cut["stop"], tuple(cut["labels"])) for cut in values["cuts"])
    frames, names = tuple(values["frames"]), tuple(values["frame_names"])
    return SequenceScores(
        **{**values, "frames": frames, "frame_names": names, "objects": objects, "cuts": cuts}
    )


def _run(values: Mapping[str, Any]) -> Run:
    parts = {
        "sequences": tuple(map(sequence_from_dict, values["sequences"])),
        "failures": tuple(Failure(**failure) for failure in values["failures"]),
        "missing": tuple(values["missing"]),
    }
    return Run(**{**values, **parts})


def _dataset(values: Mapping[str, Any]) -> Dataset:
    published = [
        {
            **column,
            "means": _known(column["means"]),
            "sequences": {name: _known(row) for name, row in column["sequences"].items()},
        }
        for column in values["published"]
    ]
    differences = [
        {
            **difference,
            "sequences": _known(difference["sequences"]),
            **{key: _number(difference[key]) for key in ("mean", "low", "high")},
        }
        for difference in values["differences"]
    ]
    parts = {
        "measures": tuple(values["measures"]),
        "sequences": tuple(values["sequences"]),
        "runs": tuple(map(_run, values["runs"])),
        "published": tuple(Published(**column) for column in published),
        "differences": tuple(Difference(**difference) for difference in differences),
    }
    return Dataset(**{**values, **parts})


def plain(value: Any) -> Any:
    """Lists and dicts for JSON, in which a number that is not finite is None."""
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _numbers(values: list[float | None]) -> tuple[float, ...]:
    return tuple(map(_number, values))


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {key: _number(value) for key, value in values.items()}


def _nanmean(table: np.ndarray, axis: int) -> np.ndarray:
    """Mean of the numbers that exist; NaN, without a warning, where none does."""
    known = ~np.isnan(table)
    count = known.sum(axis=axis)
    total = np.where(known, table, 0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _statistics(scores: tuple[float, ...]) -> tuple[float, float, float]:
    """Mean, recall and decay over the frames that have a score."""
    known = [score for score in scores if not math.isnan(score)]
    nan = float("nan")
    return sequence_statistics(known) if known else (nan, nan, nan)


def _mean_of(values) -> float:
    return float(_nanmean(np.array(list(values), np.float64), axis=0))
