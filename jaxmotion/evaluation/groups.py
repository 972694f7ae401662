"""Scores by groups: sequences by the attributes of DAVIS, frames by the strata of any video.

Everything here is a pure function of results; `strata` finds the strata while a video is scored.
"""

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxmotion.evaluation.comparison import folder_name
from jaxmotion.evaluation.results import Dataset, Run, with_joint_mean
from jaxmotion.evaluation.score import Statistics
from jaxmotion.evaluation.statistics import mean_of
from jaxmotion.evaluation.strata import STRATA, recovery

ATTRIBUTES = {
    "AC": "appearance changes",
    "BC": "background clutter",
    "CS": "camera shake",
    "DB": "dynamic background",
    "DEF": "deformation",
    "EA": "edge ambiguity",
    "FM": "fast motion",
    "HO": "heterogeneous object",
    "IO": "interacting objects",
    "LR": "low resolution",
    "MB": "motion blur",
    "OCC": "occlusion",
    "OV": "out of view",
    "ROT": "rotation",
    "SC": "shape complexity",
    "SV": "scale variation",
}
"""The attributes of the sequences of DAVIS 2016 (Perazzi et al., CVPR 2016, table 1)."""

# Strata after which a network has to find its object again.
_LOST = ("occluded", "at rest")


class Group(NamedTuple):
    """The scores of a method inside of a group, and on the rest.

    Attributes:
        name: name of the attribute or stratum.
        about: what its sequences or frames have in common.
        unit: ``"sequences"`` or ``"frames"``.
        count: number of them inside.
        inside: means over those inside, by statistic.
        outside: means over the others.
        recovery: median number of frames until J is above one half again, after each stay in a
            stratum in which the object is lost; infinite where it mostly does not, NaN where there
            is no such stay.
    """

    name: str
    about: str
    unit: Literal["sequences", "frames"]
    count: int
    inside: Statistics
    outside: Statistics
    recovery: float = float("nan")

    def values(self) -> dict[str, Any]:
        """The fields by name; an infinite recovery, which JSON does not have, as ``lost``."""
        return self._asdict() | {"lost": math.isinf(self.recovery)}


@cache
def davis_attributes() -> dict[str, frozenset[str]]:
    """The attributes of the 50 sequences of DAVIS 2016, by the name of the sequence."""
    return {name: marks & ATTRIBUTES.keys() for name, marks in _davis_marks().items()}


def is_stability_measured(sequence: str) -> bool:
    """Whether temporal stability says something: DAVIS leaves out its occluded sequences.

    Args:
        sequence: name of the sequence; all of other data sets are measured.
    """
    return "T" in _davis_marks().get(folder_name(sequence), {"T"})


@cache
def _davis_marks() -> dict[str, frozenset[str]]:
    """The columns of `attributes.csv` that a sequence has a 1 in."""
    text = files("jaxmotion.evaluation").joinpath("attributes.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {
        row.pop("sequence"): frozenset(name for name, value in row.items() if value == "1")
        for row in rows
    }


def groups_of(run: Run, dataset: Dataset) -> list[Group]:
    """The scores of a method by everything that ``dataset.by`` names; no empty group.

    Args:
        run: a method on the dataset.
        dataset: the dataset.
    """
    return [group for by in dataset.by for group in GROUPS[by](run, dataset) if group.count]


def by_attributes(run: Run, dataset: Dataset) -> Iterator[Group]:
    """Means over the sequences with each attribute, and over those without, of those that have any.

    Args:
        run: a method on the dataset.
        dataset: the dataset, which says what means are taken over.
    """
    known = davis_attributes()
    sequences = [sequence for sequence in run.sequences if folder_name(sequence.name) in known]
    for name, about in ATTRIBUTES.items():
        inside = [s for s in sequences if name in known[folder_name(s.name)]]
        outside = [s for s in sequences if name not in known[folder_name(s.name)]]
        means, others = (
            replace(run, sequences=tuple(part)).means(dataset.average) for part in (inside, outside)
        )
        yield Group(name, about, "sequences", len(inside), means, others)


def by_strata(run: Run, dataset: Dataset) -> Iterator[Group]:
    """Means over the frames of each stratum, and over the other frames of all sequences.

    Args:
        run: a method on the dataset.
        dataset: the dataset.
    """
    scored = [sequence for sequence in run.sequences if sequence.objects and sequence.strata]
    for name, about in STRATA.items():
        told = [sequence for sequence in scored if name in sequence.strata]
        member = np.concatenate([[], *(sequence.strata[name] for sequence in told)]).astype(bool)
        inside, outside = {}, {}
        for measure in dataset.measures:
            values = np.concatenate([[], *(sequence.per_frame(measure) for sequence in told)])
            inside[f"{measure}_mean"] = mean_of(values[member])
            outside[f"{measure}_mean"] = mean_of(values[~member])
        waits: list[float] = []
        if name in _LOST:
            first = dataset.measures[0]
            for sequence in told:
                waits += recovery(sequence.per_frame(first), sequence.strata, name)
        yield Group(
            name,
            about,
            "frames",
            int(member.sum()),
            with_joint_mean(inside),
            with_joint_mean(outside),
            float(np.median(waits)) if waits else float("nan"),
        )


GROUPS: dict[str, Callable[[Run, Dataset], Iterator[Group]]] = {
    "attributes": by_attributes,
    "strata": by_strata,
}
"""What scores can be told apart by, and how."""
