"""Comparisons of the first method: scores that others reported, and paired differences.

The reported scores are shipped as `published.csv`.
"""

import csv
from dataclasses import replace
from functools import cache
from importlib.resources import files

import numpy as np

from jaxmotion.evaluation.protocol import Average
from jaxmotion.evaluation.results import Difference, Evaluation, Published, Run
from jaxmotion.evaluation.score import Statistics
from jaxmotion.metrics.bootstrap import LEVEL, bootstrap_interval

MEAN = "mean"
SOURCE = "Meunier 2023, table "
# Datasets whose rows are objects, SEQUENCE_OBJECT.
BY_OBJECT = ("DAVIS2017-motion-val",)


@cache
def published_scores(dataset: str = "DAVIS2016-val") -> tuple[Published, ...]:
    """Reads the scores that others reported on a dataset.

    Args:
        dataset: name of the dataset, as `Protocol.published` has it; an unknown one has no scores.

    Returns:
        Methods with scores per sequence first. The scores of a sequence with several objects are
        the means over them, those of a dataset are averaged as its protocol does.

    References:
        Meunier, Unsupervised learning for motion segmentation and motion saliency in videos,
        2023, the table that `source` names, and the publications that the table names.
    """
    text = files("jaxmotion.evaluation").joinpath("published.csv").read_text(encoding="utf-8")
    rows: dict[tuple[str, str], dict[str, list[Statistics]]] = {}
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        if row.pop("dataset") != dataset:
            continue
        method, sequence = row.pop("method"), row.pop("sequence")
        if dataset in BY_OBJECT and sequence != MEAN:
            sequence = sequence.rsplit("_", 1)[0]
        key = (method, row.pop("table"))
        scores = {name: float(value) for name, value in row.items() if value}
        rows.setdefault(key, {}).setdefault(sequence, []).append(scores)
    return tuple(
        Published(
            method=method,
            source=SOURCE + table,
            means=sequences[MEAN][0],
            sequences={
                name: _mean_over_objects(objects)
                for name, objects in sequences.items()
                if name != MEAN
            },
        )
        for (method, table), sequences in rows.items()
    )


def folder_name(sequence: str) -> str:
    """The name of a sequence as `published.csv` writes it."""
    return sequence.lower().replace(" ", "_")


def _mean_over_objects(objects: list[Statistics]) -> Statistics:
    return {name: float(np.mean([scores[name] for scores in objects])) for name in objects[0]}


def with_differences(evaluation: Evaluation) -> Evaluation:
    """An evaluation with the paired differences of every dataset added."""
    datasets = (
        replace(d, differences=paired_differences(d.runs, d.published, d.measures, d.average))
        for d in evaluation.datasets
    )
    return Evaluation(tuple(datasets))


def paired_differences(
    runs: tuple[Run, ...],
    published: tuple[Published, ...],
    measures: tuple[str, ...],
    average: Average,
) -> tuple[Difference, ...]:
    """Compares the first run with every other column, sequence by sequence.

    Args:
        runs: runs of the dataset, the evaluated one first.
        published: published scores; those without scores per sequence, or of other sequences, are
            left out.
        measures: names of the measures, such as `"J"`; their means are compared.
        average: unit of the means over the dataset: sequences weigh by their frames, by their
            objects, or all the same.

    Returns:
        A difference for every column and measure that both have on some sequence.
    """
    if not runs:
        return ()
    first, *others = runs
    weights = {sequence.name: sequence.weight(average) for sequence in first.sequences}
    own = _statistics_of(first)
    columns = [(run.method, False, _statistics_of(run)) for run in others]
    columns += [(column.method, True, column.sequences) for column in published]
    found = []
    for name, is_published, scores in columns:
        for measure in measures:
            statistic = f"{measure}_mean"
            pairs = {
                sequence: own[sequence][statistic] - other[statistic]
                for sequence in own
                if statistic in own[sequence]
                and statistic in (other := scores.get(_key(sequence, is_published), {}))
            }
            if pairs:
                interval = bootstrap_interval(pairs, weights)
                found.append(
                    Difference(first.method, name, is_published, statistic, pairs, *interval, LEVEL)
                )
    return tuple(found)


def _statistics_of(run: Run) -> dict[str, Statistics]:
    """The statistics of every sequence of a run that has scores."""
    return {sequence.name: sequence.statistics() for sequence in run.sequences if sequence.objects}


def _key(sequence: str, is_published: bool) -> str:
    return folder_name(sequence) if is_published else sequence
