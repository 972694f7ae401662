"""`report.html`: one page with everything there is to see of an evaluation, nothing to load.

The page is a pure function of the evaluation and of the picture files beside it. Python gathers
and escapes; what is shown, and how, is in the files of `report_page/`, which are put into the page.
"""

import base64
import hashlib
import html
import json
import math
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from jaxmotion.evaluation.pictures import flow_wheel, read_pictures
from jaxmotion.evaluation.results import Dataset, Difference, Evaluation, Published, Run
from jaxmotion.files import atomic_path

SCRIPTS = ("elements.js", "tables.js", "charts.js", "player.js", "sequences.js", "page.js")
DIGITS = 4


def write_report(folder: Path, evaluation: Evaluation, *old) -> None:
    """Writes `report.html` into the folder of an evaluation.

    Args:
        folder: Where the evaluation's files are; its pictures are looked for there.
        evaluation: What was evaluated, as far as it got.

    Raises:
        InputError: A file of pictures is damaged, or the page cannot be written.
    """
    if not isinstance(evaluation, Evaluation):
        from jaxmotion.evaluation.old_report import write_report

        write_report(folder, evaluation, *old)
        return
    page = render(evaluation, _pictures(folder, evaluation))
    with atomic_path(folder / "report.html") as path:
        path.write_text(page, encoding="utf-8")


def render(evaluation: Evaluation, pictures: Mapping[tuple[int, int], dict]) -> str:
    """The page.

    Args:
        evaluation: What was evaluated.
        pictures: What `read_pictures` gives, by the index of the dataset and of the sequence in it.
    """
    style = _asset("page.css")
    script = "".join(_asset(name) for name in SCRIPTS)
    data = {"datasets": [_dataset(d) for d in evaluation.datasets], "wheel": flow_wheel()}
    # A sequence's pictures are parsed when they are looked at, not before.
    layers = "\n".join(
        f'<script type="application/json" id="pictures-{d}-{s}">{_json(layer)}</script>'
        for (d, s), layer in pictures.items()
    )
    return Template(_asset("page.html")).substitute(
        title=html.escape(_title(evaluation)),
        partial=_partial(evaluation),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data=_json(data),
        pictures=layers,
    )


def _pictures(folder: Path, evaluation: Evaluation) -> dict[tuple[int, int], dict]:
    found = {}
    for d, dataset in enumerate(evaluation.datasets):
        methods: dict[str, dict[str, Path]] = {}
        for run in dataset.runs:
            for sequence in run.sequences:
                if sequence.pictures is not None:
                    path = folder / sequence.pictures
                    methods.setdefault(sequence.name, {})[run.method] = path
        for s, name in enumerate(dataset.sequences):
            if name in methods:
                parent = next(iter(methods[name].values())).parent
                found[d, s] = read_pictures(parent, methods[name])
    return found


def _title(evaluation: Evaluation) -> str:
    methods = [r.method for d in evaluation.datasets for r in d.runs if r.kind != "baseline"]
    names = list(dict.fromkeys(methods)) or [evaluation.datasets[0].runs[0].method]
    more = f" and {len(names) - 2} more" if len(names) > 3 else ""
    named = ", ".join(names[: 2 if more else 3]) + more
    return f"{named} on {', '.join(dataset.name for dataset in evaluation.datasets)}"


def _partial(evaluation: Evaluation) -> str:
    """What is missing, for a reader without JavaScript too."""
    lines = [
        f"<li><b>{html.escape(run.method)}</b> on {html.escape(dataset.name)} has "
        f"{len(run.sequences)} of {len(dataset.sequences)} sequences"
        + "".join(f"<br>{html.escape(reason)}" for reason in run.reasons)
        + "</li>"
        for dataset in evaluation.datasets
        for run in dataset.runs
        if run.partial
    ]
    if not lines:
        return ""
    return (
        '<div class="partial"><p><b>Partial results.</b> Means are over what was scored so far, and'
        f" compare only where the sequences are the same.</p><ul>{''.join(lines)}</ul></div>"
    )


def _dataset(dataset: Dataset) -> dict[str, Any]:
    columns = [_run(run, dataset) for run in dataset.runs]
    columns += [_published(column, dataset) for column in dataset.published]
    return {
        "name": dataset.name,
        "flow": dataset.flow,
        "protocol": dataset.protocol,
        "average": dataset.average,
        "measures": list(dataset.measures),
        "sequences": list(dataset.sequences),
        "columns": columns,
        "differences": [_difference(difference) for difference in dataset.differences],
    }


def _run(run: Run, dataset: Dataset) -> dict[str, Any]:
    scored = {sequence.name: sequence for sequence in run.sequences}
    sequences: list[dict[str, Any] | None] = []
    for name in dataset.sequences:
        sequence = scored.get(name)
        if sequence is None:
            sequences.append(None)
            continue
        sequences.append(
            {
                "statistics": sequence.statistics(),
                "num_frames": sequence.num_frames,
                "frames": list(sequence.frames),
                "scores": {m: sequence.per_frame(m).tolist() for m in sequence.measures},
                "cuts": [
                    {"start": cut.start, "stop": cut.stop, "labels": list(cut.labels)}
                    for cut in sequence.cuts
                ],
                "objects": {
                    scores.name: scores.segment
                    for scores in sequence.objects
                    if scores.segment is not None
                },
            }
        )
    return {
        "name": run.method,
        "kind": run.kind,
        "source": run.source,
        "count": len(run.sequences),
        "partial": run.partial,
        "means": run.means(dataset.average),
        "sequences": sequences,
    }


def _published(column: Published, dataset: Dataset) -> dict[str, Any]:
    """A publication's scores; its mean is over the sequences evaluated here, where it can be."""
    rows = [column.sequences.get(name) for name in dataset.sequences]
    known = [row for row in rows if row is not None]
    means, count = column.means, None
    if known and dataset.average == "sequence":
        keys = [key for key in known[0] if all(key in row for row in known)]
        means = {key: sum(row[key] for row in known) / len(known) for key in keys}
        count = len(known)
        if {"J_mean", "F_mean"} <= means.keys():
            means["JF_mean"] = (means["J_mean"] + means["F_mean"]) / 2
    return {
        "name": column.method,
        "kind": "published",
        "source": column.source,
        "count": count,
        "partial": False,
        "means": means,
        "sequences": [None if row is None else {"statistics": row} for row in rows],
    }


def _difference(difference: Difference) -> dict[str, Any]:
    return {
        "method": difference.method,
        "other": difference.other,
        "published": difference.published,
        "statistic": difference.statistic,
        "mean": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "level": difference.level,
        "sequences": list(difference.sequences.values()),
        "is_real": difference.is_real,
    }


def _json(value: Any) -> str:
    """JSON that can stand in a script element: no `<` that could end it."""
    return json.dumps(_rounded(value), separators=(",", ":")).replace("<", "\\u003c")


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value


def _asset(name: str) -> str:
    return files("jaxmotion.evaluation").joinpath("report_page", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What the page's security policy names, so that no other script or style has a say."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
