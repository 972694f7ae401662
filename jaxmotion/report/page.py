"""`report.html`: one page with everything there is to see of an evaluation, nothing to load.

The page is a pure function of the evaluation and of the picture files beside it. Python gathers
and escapes; what is shown, and how, is in the files of `web/`, which are put into the page.
"""

import html
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jaxmotion.evaluation.comparison import MEAN, folder_name
from jaxmotion.evaluation.groups import groups_of
from jaxmotion.evaluation.results import (
    Dataset,
    Difference,
    Evaluation,
    Published,
    Run,
    with_joint_mean,
)
from jaxmotion.evaluation.tables import PUBLISHED_PREFIX, score_table
from jaxmotion.files import atomic_path
from jaxmotion.report.document import asset, document, inert
from jaxmotion.report.encoding import flow_wheel
from jaxmotion.report.layers import SHARED_LAYERS, read_layer

SCRIPTS = (
    *("elements.js", "sortable.js", "tables.js", "charts.js", "panels.js", "transport.js"),
    *("player.js", "sequences.js", "page.js"),
)


def write_report(folder: Path, evaluation: Evaluation) -> None:
    """Writes `report.html` into the folder of an evaluation.

    Args:
        folder: the folder where the evaluation's files are; its pictures are looked for there.
        evaluation: results of the evaluation, as far as it got.

    Raises:
        InputError: a file of pictures is damaged, or the page cannot be written.
    """
    layers, heading = Layers(), _title(evaluation)
    datasets = [_dataset(dataset, folder, layers) for dataset in evaluation.datasets]
    page = document(
        asset("page.html"),
        heading,
        list(map(asset, SCRIPTS)),
        {"datasets": datasets, "wheel": flow_wheel(), "megabytes": layers.megabytes()},
        title=f"{heading} · motion segmentation",
        layers=layers.elements(),
        partial=_partial(evaluation),
    )
    with atomic_path(folder / "report.html") as path:
        path.write_text(page, encoding="utf-8")


class Layers:
    """The pictures that go into the page: each once, though two datasets may share a video."""

    def __init__(self):
        self._numbers: dict[str, int] = {}

    def add(self, path: Path) -> int | None:
        """The number by which the page finds a file of pictures; None where there is none."""
        text = read_layer(path)
        return None if text is None else self._numbers.setdefault(text, len(self._numbers))

    def megabytes(self) -> float:
        """Size of them together, nearly that of the page."""
        return sum(map(len, self._numbers)) / 1e6

    def elements(self) -> str:
        """One element each, so that the page parses a sequence when it is looked at, not before."""
        return "".join(
            f'<script type="application/json" id="layer-{number}">{inert(text)}</script>\n'
            for text, number in self._numbers.items()
        )


def _title(evaluation: Evaluation) -> str:
    methods = [r.method for d in evaluation.datasets for r in d.runs if r.kind != "baseline"]
    names = list(dict.fromkeys(methods)) or [evaluation.datasets[0].runs[0].method]
    more = f" and {len(names) - 2} more" if len(names) > 3 else ""
    named = ", ".join(names[: 2 if more else 3]) + more
    return f"{named} on {', '.join(dataset.name for dataset in evaluation.datasets)}"


def _partial(evaluation: Evaluation) -> str:
    """The list of what is missing, for a reader without JavaScript too."""
    lines = [
        f"<li><b>{html.escape(run.method)}</b> on {html.escape(dataset.name)} has "
        f"{len(run.sequences)} of {len(dataset.sequences)} sequences"
        + "".join(f"<br>{html.escape(reason)}" for reason in _reasons(run))
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


def _reasons(run: Run) -> list[str]:
    """Why sequences are missing, a line for all that have the same reason."""
    names: dict[str, list[str]] = {}
    for failure in run.failures:
        names.setdefault(failure.reason, []).append(failure.sequence)
    if run.missing:
        names["not reached"] = list(run.missing)
    return [f"{', '.join(sequences)}: {reason}" for reason, sequences in names.items()]


def _dataset(dataset: Dataset, folder: Path, layers: Layers) -> dict[str, Any]:
    runs = [_run(run, dataset, folder, layers) for run in dataset.runs]
    evaluated = [i == 0 or run.kind != "baseline" for i, run in enumerate(dataset.runs)]
    columns = [run for run, wanted in zip(runs, evaluated, strict=True) if wanted]
    columns += [_published(column, dataset) for column in dataset.published if _of(dataset, column)]
    columns += [run for run, wanted in zip(runs, evaluated, strict=True) if not wanted]
    return {
        "name": dataset.name,
        "flow": dataset.flow,
        "protocol": dataset.protocol,
        "average": dataset.average,
        "measures": list(dataset.measures),
        "sequences": list(dataset.sequences),
        "pictures": _shared_pictures(dataset, folder, layers),
        "columns": columns,
        "groups": [group.values() for group in groups_of(dataset.runs[0], dataset)],
        "differences": [_difference(difference) for difference in dataset.differences],
    }


def _shared_pictures(dataset: Dataset, folder: Path, layers: Layers) -> list[dict[str, Any]]:
    """For every sequence, what all methods have in common."""
    parents = {
        sequence.name: (folder / sequence.pictures).parent
        for run in dataset.runs
        for sequence in run.sequences
        if sequence.pictures is not None
    }
    return [
        {layer: layers.add(parents[name] / f"{layer}.json") for layer in SHARED_LAYERS}
        if name in parents
        else {}
        for name in dataset.sequences
    ]


def _run(run: Run, dataset: Dataset, folder: Path, layers: Layers) -> dict[str, Any]:
    scored = {sequence.name: sequence for sequence in run.sequences}
    reasons = dict.fromkeys(run.missing, "not reached")
    reasons |= {failure.sequence: failure.reason for failure in run.failures}
    sequences: list[dict[str, Any] | None] = []
    for name in dataset.sequences:
        sequence = scored.get(name)
        if sequence is None:
            sequences.append(None)
            continue
        sequences.append(
            {
                "statistics": sequence.statistics(),
                "segments": sequence.pictures
                and layers.add(folder / sequence.pictures / "segments.json"),
                "num_frames": sequence.num_frames,
                "frames": list(sequence.frames),
                "scores": {m: sequence.per_frame(m).tolist() for m in sequence.measures},
                "cuts": [asdict(cut) for cut in sequence.cuts],
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
        "reasons": [reasons.get(name) for name in dataset.sequences],
        "means": run.means(dataset.average),
        "groups": {group.name: group.values() for group in groups_of(run, dataset)},
        "sequences": sequences,
    }


def _of(dataset: Dataset, column: Published) -> bool:
    """Whether a publication is of the sequences at hand, as far as it tells."""
    names = {folder_name(name) for name in dataset.sequences}
    return not column.sequences or not names.isdisjoint(column.sequences)


def _published(column: Published, dataset: Dataset) -> dict[str, Any]:
    """A publication's scores; its means are over the sequences at hand, where it tells them."""
    rows = [column.sequences.get(folder_name(name)) for name in dataset.sequences]
    known = [row for row in rows if row is not None]
    means = column.means
    if known:
        title = PUBLISHED_PREFIX + column.method
        tables = {key: score_table(dataset, key) for key in known[0]}
        means = with_joint_mean({key: table[title][MEAN] for key, table in tables.items()})
    return {
        "name": column.method,
        "kind": "published",
        "source": column.source,
        "count": len(known) or None,
        "partial": False,
        "means": means,
        "sequences": [None if row is None else {"statistics": row} for row in rows],
    }


def _difference(difference: Difference) -> dict[str, Any]:
    return {**asdict(difference), "excludes_zero": difference.excludes_zero}
