"""Published scores of the DAVIS 2016 validation sequences, shipped as `published.csv`."""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class PublishedScore(NamedTuple):
    """Mean J and F of one method on one sequence, 0 to 1."""

    J_mean: float
    F_mean: float


@cache
def published_scores() -> dict[str, dict[str, PublishedScore]]:
    """Scores by method and sequence; the sequence `"mean"` is the average over all twenty.

    References:
        Meunier, Unsupervised learning for motion segmentation and motion saliency in videos,
        2023, tables 7.1, 7.8 and 7.14.
    """
    text = files("jaxmotion.evaluation").joinpath("published.csv").read_text(encoding="utf-8")
    scores: dict[str, dict[str, PublishedScore]] = {}
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        score = PublishedScore(float(row["J_mean"]), float(row["F_mean"]))
        scores.setdefault(row["method"], {})[row["sequence"]] = score
    return scores
