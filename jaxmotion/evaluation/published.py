"""Scores that others reported, shipped as `published.csv`."""

import csv
from functools import cache
from importlib.resources import files

import numpy as np

from jaxmotion.evaluation.results import Published
from jaxmotion.evaluation.sequence_scores import Statistics

MEAN = "mean"
SOURCE = "Meunier 2023, table "
# Datasets whose rows are objects, SEQUENCE_OBJECT.
BY_OBJECT = ("DAVIS2017-motion-val",)


@cache
def published_scores(dataset: str = "DAVIS2016-val") -> tuple[Published, ...]:
    """What was reported on a dataset.

    Args:
        dataset: As `Protocol.published` names it; an unknown one has no scores.

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
    """How `published.csv` writes the name of a sequence."""
    return sequence.lower().replace(" ", "_")


def _mean_over_objects(objects: list[Statistics]) -> Statistics:
    return {name: float(np.mean([scores[name] for scores in objects])) for name in objects[0]}
