"""What an evaluation gives: one tree of plain values, kept as JSON by `results_json`.

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

The pictures are written while a sequence's arrays are in memory (`pictures.write_pictures`), the
scores from time to time and when the run ends, early or not, the report when it ends.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from jaxmotion.evaluation.sequence_scores import (
    STATISTICS,
    Average,
    SequenceScores,
    Statistics,
    mean_of,
    statistics_of,
)

Kind = Literal["checkpoint", "results", "baseline"]
"""What was evaluated: a network, a folder of masks, or something that needs no training."""


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
        means = {key: mean_of(table[key] for table in tables) for key in tables[0]}
        for measure in scored[0].measures:
            if average == "frame":
                frames = np.concatenate([sequence.per_frame(measure) for sequence in scored])
                known = frames[~np.isnan(frames)]
                means[f"{measure}_mean"] = mean_of(known)
                means[f"{measure}_recall"] = mean_of(known > 0.5)
            elif average == "object":
                objects = [
                    statistics_of(scores.scores[measure])
                    for sequence in scored
                    for scores in sequence.objects
                ]
                for name, column in zip(STATISTICS, zip(*objects, strict=True), strict=True):
                    means[f"{measure}_{name}"] = mean_of(column)
        return with_joint_mean(means)


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


def with_joint_mean(means: Statistics) -> Statistics:
    """Means with that of J and F, `JF_mean`, where there are both."""
    if not {"J_mean", "F_mean"} <= means.keys():
        return means
    return means | {"JF_mean": (means["J_mean"] + means["F_mean"]) / 2}
