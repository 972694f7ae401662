"""Results as tables: terminal text, JSON, and CSV per frame, sequence and dataset."""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jaxmotion.evaluation.comparison import MEAN, folder_name
from jaxmotion.evaluation.groups import groups_of
from jaxmotion.evaluation.results import Dataset, Evaluation, Run
from jaxmotion.evaluation.score import STABILITY, SequenceScores
from jaxmotion.evaluation.statistics import STATISTICS, mean_of

PUBLISHED_PREFIX = "published "

Table = dict[str, dict[str, float]]
"""Score by column and row; a score that is not known is left out."""


def score_table(dataset: Dataset, statistic: str, max_published: int | None = None) -> Table:
    """Collects one statistic of every method on every sequence.

    Args:
        dataset: a dataset with at least one run.
        statistic: name of the statistic, such as `"J_mean"`.
        max_published: number of columns of published scores, the first ones; None for all.

    Returns:
        By method, then by sequence and `"mean"` as the protocol averages. Evaluated methods come
        first, then published scores of the same sequences where there are any, then baselines;
        a published mean is over those of the sequences that were published.
    """
    evaluated, baselines = {}, {}
    for index, run in enumerate(dataset.runs):
        column = {
            sequence.name: value
            for sequence in run.sequences
            if (value := sequence.statistics().get(statistic)) is not None
        }
        if column:
            column[MEAN] = run.means(dataset.average)[statistic]
            is_baseline = run.kind == "baseline" and index > 0
            (baselines if is_baseline else evaluated)[run.method] = column
    weights = {
        sequence.name: sequence.weight(dataset.average)
        for run in dataset.runs
        for sequence in run.sequences
    }
    published = {}
    for other in dataset.published:
        column = {
            name: scores[statistic]
            for name in dataset.sequences
            if statistic in (scores := other.sequences.get(folder_name(name), {}))
        }
        if column:
            share = [weights.get(name, 1.0) for name in column]
            column[MEAN] = float(np.average(list(column.values()), weights=share))
            published[PUBLISHED_PREFIX + other.method] = column
    return evaluated | dict(list(published.items())[:max_published]) | baselines


def format_table(table: Mapping[str, Mapping[str, float]], title: str) -> str:
    """Formats a table as markdown with aligned columns, best read in a terminal.

    Args:
        table: scores by column, then by row.
        title: heading of the first column.
    """
    rows = dict.fromkeys(row for column in table.values() for row in column if row != MEAN)
    if any(MEAN in column for column in table.values()):
        rows[MEAN] = None
    cells = [[title, *(name.replace(PUBLISHED_PREFIX, "publ. ") for name in table)]]
    for row in rows:
        scores = [column.get(row, float("nan")) for column in table.values()]
        cells.append([row, *("-" if np.isnan(s) else f"{s:.3f}" for s in scores)])
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]

    def join(line):
        first, *rest = line
        padded = [first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join(
        "-" * (width + 2) if i == 0 else "-" * (width + 1) + ":" for i, width in enumerate(widths)
    )
    lines = [join(cells[0]), rule + "|", *map(join, cells[1:])]
    return "\n".join(lines)


def format_differences(dataset: Dataset, statistic: str) -> str:
    """Formats paired differences of the first run to all others, a line each; empty for none.

    Args:
        dataset: a dataset with its differences.
        statistic: name of the statistic, such as `"J_mean"`.
    """
    lines = []
    for difference in dataset.differences:
        if difference.statistic != statistic:
            continue
        other = (PUBLISHED_PREFIX if difference.published else "") + difference.other
        line = f"{difference.method} - {other}: {difference.mean:+.3f}"
        if not np.isnan(difference.low):
            line += f" [{difference.low:+.3f}, {difference.high:+.3f}]"
            line += "" if difference.excludes_zero else ", no clear difference"
        lines.append(f"{line} ({len(difference.sequences)} sequences)")
    return "\n".join(lines)


def group_tables(dataset: Dataset, statistic: str) -> dict[str, Table]:
    """Collects one statistic by what ``dataset.by`` names.

    Args:
        dataset: a dataset with at least one run.
        statistic: name of the statistic, such as `"J_mean"`.

    Returns:
        By unit (``"sequences"``, ``"frames"``) a table of the evaluated methods and baselines whose
        rows are the groups, with their sizes.
    """
    tables: dict[str, Table] = {}
    for run in dataset.runs:
        for group in groups_of(run, dataset):
            row = f"{group.name}: {group.about} ({group.count})"
            value = group.inside.get(statistic, math.nan)
            tables.setdefault(group.unit, {}).setdefault(run.method, {})[row] = value
    return tables


def scores_dict(evaluation: Evaluation) -> dict[str, Any]:
    """The scores as `scores.json` has them.

    Returns:
        `J_mean`, `F_mean`, all other means and `sequences` of the first run of the first dataset;
        the same of every baseline under `baselines` and of every other run under `others`; and what
        was evaluated: `method`, `dataset`, `flow`, `protocol`, `partial` with its `reasons`. Of
        several datasets, the same of each under `datasets`.
    """
    first, *rest = evaluation.datasets
    content = _dataset_dict(first)
    if rest:
        content["datasets"] = {d.name: _dataset_dict(d) for d in evaluation.datasets}
        content["partial"] = evaluation.partial
    return content


def _dataset_dict(dataset: Dataset) -> dict[str, Any]:
    first, *rest = dataset.runs
    return {
        **_run_dict(first, dataset),
        "method": first.method,
        "dataset": dataset.name,
        "flow": dataset.flow,
        "protocol": dataset.protocol,
        "partial": dataset.partial,
        "reasons": list(dict.fromkeys(line for run in dataset.runs for line in run.reasons)),
        "baselines": {r.method: _run_dict(r, dataset) for r in rest if r.kind == "baseline"},
        "others": {r.method: _run_dict(r, dataset) for r in rest if r.kind != "baseline"},
    }


def _run_dict(run: Run, dataset: Dataset) -> dict[str, Any]:
    means = dict.fromkeys(("J_mean", "F_mean"), float("nan")) | run.means(dataset.average)
    row: dict[str, Any] = {"sequences": {s.name: _row_of(s) for s in run.sequences}}
    if dataset.by:
        row["groups"] = {group.name: group.values() for group in groups_of(run, dataset)}
    return means | row


def _row_of(scores: SequenceScores) -> dict[str, Any]:
    row: dict[str, Any] = dict(scores.statistics())
    if scores.objects and scores.objects[0].segment is not None:
        row["objects"] = {
            scored.name: {
                "segment": scored.segment,
                **{f"{measure}_mean": mean_of(values) for measure, values in scored.scores.items()},
            }
            for scored in scores.objects
        }
    return row


def frame_csv(evaluation: Evaluation) -> str:
    """Every measure of every object in every scored frame."""
    measures = _measures(evaluation)
    rows = []
    for dataset, run, scores in _each(evaluation):
        for scored in scores.objects:
            segment = "" if scored.segment is None else str(scored.segment)
            place = [dataset.name, run.method, scores.name, scored.name, segment]
            for i, frame in enumerate(scores.frames):
                values = [scored.scores.get(measure, ()) for measure in measures]
                texts = [_text(column[i]) if column else "" for column in values]
                rows.append([*place, frame, scores.frame_names[i], *texts])
    header = ["dataset", "method", "sequence", "object", "segment", "frame", "name", *measures]
    return _csv(header, rows)


def sequence_csv(evaluation: Evaluation) -> str:
    """The statistics of every sequence."""
    statistics = _statistics(evaluation)
    rows = []
    for dataset, run, scores in _each(evaluation):
        values = _texts(scores.statistics(), statistics)
        rows.append([run.method, scores.name, len(scores.frames), *values, dataset.name])
    return _csv(["method", "sequence", "frames", *statistics, "dataset"], rows)


def dataset_csv(evaluation: Evaluation) -> str:
    """The means of every dataset."""
    statistics = _statistics(evaluation)
    rows = []
    for dataset in evaluation.datasets:
        for run in dataset.runs:
            counts = [len(run.sequences), sum(len(scores.frames) for scores in run.sequences)]
            values = _texts(run.means(dataset.average), statistics)
            protocol = dataset.protocol["name"]
            rows.append([dataset.name, protocol, run.method, *counts, *values, run.partial])
    header = ["dataset", "protocol", "method", "sequences", "frames", *statistics, "partial"]
    return _csv(header, rows)


def _measures(evaluation: Evaluation) -> list[str]:
    return list(dict.fromkeys(m for dataset in evaluation.datasets for m in dataset.measures))


def _statistics(evaluation: Evaluation) -> list[str]:
    names = [f"{measure}_{name}" for measure in _measures(evaluation) for name in STATISTICS]
    measured = any(not math.isnan(scores.stability) for _, _, scores in _each(evaluation))
    return [*names, STABILITY] if measured else names


def _each(evaluation: Evaluation) -> Iterable[tuple[Dataset, Run, SequenceScores]]:
    for dataset in evaluation.datasets:
        for run in dataset.runs:
            for scores in run.sequences:
                yield dataset, run, scores


def _csv(header: list[str], rows: Iterable[list]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _text(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6f}"


def _texts(values: Mapping[str, float], names: Iterable[str]) -> list[str]:
    return [_text(values.get(name, math.nan)) for name in names]
