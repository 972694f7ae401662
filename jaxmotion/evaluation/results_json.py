"""The tree of results as JSON and back: `evaluation.json`, and the kept results of a suite."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from jaxmotion.errors import InputError
from jaxmotion.evaluation.results import (
    Dataset,
    Difference,
    Evaluation,
    Failure,
    Published,
    Run,
)
from jaxmotion.evaluation.sequence_scores import Cut, ObjectScores, SequenceScores

FORMAT = 1


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


def plain(value: Any, digits: int | None = None) -> Any:
    """Lists and dicts for JSON, in which a number that is not finite is None.

    Args:
        value: Built of mappings, lists, tuples and what JSON knows.
        digits: To round numbers to; None leaves them as they are.
    """
    if isinstance(value, Mapping):
        return {key: plain(part, digits) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part, digits) for part in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return value if digits is None else round(value, digits)
    return value


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _numbers(values: list[float | None]) -> tuple[float, ...]:
    return tuple(map(_number, values))


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {key: _number(value) for key, value in values.items()}
