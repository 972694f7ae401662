"""The results of an evaluation: one tree of plain values, kept as JSON.

::

    Evaluation                      one call of `jaxmotion eval`, one or several datasets
      datasets: Dataset             a folder of annotated sequences under one protocol
        runs: Run                   one method on it: a checkpoint, a result folder, a baseline
          sequences: SequenceScores one video: which frames were scored, how it was cut
            objects: ObjectScores   per frame J, F, ... of the foreground, or of one object
        published: Published        scores that others reported on the same dataset
        differences: Difference     paired differences of two columns, with an interval

Nothing here computes a score or reads a mask: tables, CSV files and the report are pure functions
of this tree and of the picture files beside it. Numbers that do not exist are NaN in memory and
null in JSON.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.evaluation.protocol import Average
from jaxmotion.evaluation.score import SequenceScores, Statistics
from jaxmotion.evaluation.statistics import mean_of, statistics_of
from jaxmotion.options import Figure, from_json, to_json

Kind = Literal["checkpoint", "results", "baseline"]
"""The kind of a method: a network, a folder of masks, or something that needs no training."""


@dataclass(frozen=True)
class Failure:
    """A sequence that could not be scored.

    Attributes:
        sequence: name of the sequence.
        reason: one line that names the file at fault.
    """

    sequence: str
    reason: str


@dataclass(frozen=True)
class Run:
    """One method on one dataset.

    Attributes:
        method: name of the method; unique within the dataset.
        kind: kind of method: network, result folder or baseline.
        source: the checkpoint or folder as it was named; empty for a baseline.
        sequences: the sequences that were scored, in the order of the dataset.
        failures: the sequences that went wrong.
        missing: names of the sequences that were not reached.
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
        """The reasons why it is partial, a line each."""
        lines = [f"{failure.sequence}: {failure.reason}" for failure in self.failures]
        if self.missing:
            lines.append(f"not reached: {', '.join(self.missing)}")
        return tuple(lines)

    def means(self, average: Average) -> Statistics:
        """Statistics over the sequences that were scored.

        Args:
            average: `"sequence"`: mean of the sequences' statistics. `"object"`: mean of the
                objects' statistics. `"frame"`: means over all scored frames; a recall is over
                them as well, a decay, which needs a sequence, stays the mean over sequences.
        """
        scored = [sequence for sequence in self.sequences if sequence.objects]
        if not scored:
            return {}
        tables = [sequence.statistics() for sequence in scored]
        names = dict.fromkeys(name for table in tables for name in table)
        means = {name: mean_of(table.get(name, math.nan) for table in tables) for name in names}
        for measure in scored[0].measures:
            if average == "frame":
                frames = np.concatenate([sequence.per_frame(measure) for sequence in scored])
                known = frames[~np.isnan(frames)]
                means[f"{measure}_mean"] = mean_of(known)
                means[f"{measure}_recall"] = mean_of(known > 0.5)
            elif average == "object":
                objects = (scores for sequence in scored for scores in sequence.objects)
                for name, column in statistics_of(scores.scores[measure] for scores in objects):
                    means[f"{measure}_{name}"] = mean_of(column)
        return with_joint_mean(means)


@dataclass(frozen=True)
class Published:
    """Scores that others reported.

    Attributes:
        method: name of the method, as the publication has it.
        source: publication or table that the figures are from.
        means: statistics over the whole dataset (`"J_mean"`, ...).
        sequences: statistics by sequence; may be empty, and need not have every sequence.
    """

    method: str
    source: str
    means: Statistics
    sequences: dict[str, Statistics]


@dataclass(frozen=True)
class Difference:
    """The difference between `method` and `other`, on the sequences that both have.

    Attributes:
        method: name of a run of the dataset.
        other: name of another run, or of a published method.
        published: whether `other` is a published method.
        statistic: name of the statistic that is compared, such as `"J_mean"`.
        sequences: difference of the statistic, method minus other, by sequence.
        mean: mean over those sequences, weighted as the dataset's protocol averages.
        low: lower end of the bootstrap interval of the mean; NaN for fewer than two sequences.
        high: upper end of the interval.
        level: confidence level of the interval.
    """

    method: str
    other: str
    published: bool
    statistic: str
    sequences: Statistics
    mean: Figure
    low: Figure
    high: Figure
    level: float = 0.95

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval leaves out zero.

        The interval is that of one pair of methods. It is not corrected for the number of columns:
        of twenty that are as good as the first, one is expected to leave out zero by chance.
        """
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Dataset:
    """Annotated sequences under one protocol, and every method that was scored on them.

    Attributes:
        name: name for folders; unique within the evaluation.
        root: name of the folder as the user gave it.
        flow: name of the flow; empty if only masks were scored.
        protocol: every field of the `Protocol`, its `name` (`"davis2016"`, ...) among them.
        average: unit of the means over the dataset.
        measures: names of the measures, the one to look at first being the first.
        sequences: names of all sequences wanted.
        runs: runs of the evaluated methods, then of result folders to compare with, then of
            baselines.
        published: scores of others on the same dataset.
        differences: paired differences of the first run to all other columns.
        by: groups that the scores are told apart by, names of `groups.GROUPS`.
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
    by: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether a run lacks a sequence."""
        return any(run.partial for run in self.runs)


@dataclass(frozen=True)
class Evaluation:
    """The results of one call of `jaxmotion eval`.

    Attributes:
        datasets: the datasets, at least one.
    """

    datasets: tuple[Dataset, ...]

    @property
    def partial(self) -> bool:
        """Whether anything that was asked for is missing."""
        return any(dataset.partial for dataset in self.datasets)


def with_joint_mean(means: Statistics) -> Statistics:
    """Means with that of J and F, `JF_mean`, where there are both."""
    if not {"J_mean", "F_mean"} <= means.keys():
        return means
    return means | {"JF_mean": (means["J_mean"] + means["F_mean"]) / 2}


def dumps(part: Any) -> str:
    """The tree, or a part of it, as JSON text."""
    return json.dumps(to_json(part), indent=1) + "\n"


def loads(text: str) -> Evaluation:
    """The tree from JSON text; an `InputError` where it is none."""
    try:
        return from_json(Evaluation, json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InputError(f"not an evaluation: {error}") from error
