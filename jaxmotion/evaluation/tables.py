"""Scores as tables and files: terminal text, `scores.json`, `scores.csv`."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.evaluation.published import published_scores
from jaxmotion.evaluation.runner import SequenceResult
from jaxmotion.files import atomic_path

STATISTICS = ("J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay")
MEAN = "mean"
PUBLISHED_PREFIX = "published "

Table = dict[str, dict[str, float]]
"""Score by column and row; a score that is not known is left out."""


def score_table(results: Sequence[SequenceResult], statistic: str) -> Table:
    """One statistic of every method on every sequence.

    Args:
        results: At least one.
        statistic: One of `STATISTICS`.

    Returns:
        By method, then by sequence and `"mean"` over the sequences. The evaluated method comes
        first, then published scores of the same sequences where there are any, then baselines;
        a published mean is over those of the sequences that were published.
    """
    names = [result.name for result in results]
    columns = {
        method: {result.name: result.scores[method].statistics()[statistic] for result in results}
        for method in results[0].scores
    }
    method, *baselines = columns
    table = {method: columns[method]}
    for label, scores in published_scores().items():
        column = {
            name: getattr(scores[name], statistic)
            for name in names
            if name in scores and statistic in scores[name]._fields
        }
        if column:
            table[PUBLISHED_PREFIX + label] = column
    table |= {name: columns[name] for name in baselines}
    return {name: column | {MEAN: _mean(column.values())} for name, column in table.items()}


def format_table(table: Mapping[str, Mapping[str, float]], title: str) -> str:
    """A table as markdown with aligned columns, best read in a terminal.

    Args:
        table: Score by column and row.
        title: Heading of the first column.
    """
    rows = list(next(iter(table.values())))
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


def scores_dict(
    results: Sequence[SequenceResult], protocol: Protocol, flow: str, partial: bool
) -> dict:
    """All scores of a run, as `scores.json` has them.

    Args:
        results: At least one.
        protocol: What was scored.
        flow: Name of the flow.
        partial: Whether sequences are still missing.

    Returns:
        `J_mean`, `F_mean` and `sequences` of the evaluated method; the same of each baseline under
        `baselines`; and what was evaluated: `method`, `flow`, `protocol`, `partial`.
    """
    method, *baselines = results[0].scores
    return {
        **_method_scores(results, method),
        "method": method,
        "flow": flow,
        "protocol": asdict(protocol),
        "partial": partial,
        "baselines": {name: _method_scores(results, name) for name in baselines},
    }


def write_scores(
    folder: Path,
    results: Sequence[SequenceResult],
    protocol: Protocol,
    flow: str,
    partial: bool = False,
) -> None:
    """Writes `scores.json` and `scores.csv` (a row per method and sequence) into a folder.

    Args:
        folder: Where to; made where it is missing.
        results: At least one.
        protocol: What was scored.
        flow: Name of the flow.
        partial: Whether sequences are still missing.

    Raises:
        InputError: The folder cannot be written to.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "sequence", "frames", *STATISTICS])
    for method in results[0].scores:
        for result in results:
            scores = result.scores[method]
            values = [f"{value:.6f}" for value in scores.statistics().values()]
            writer.writerow([method, result.name, len(scores.jaccard), *values])
    content = scores_dict(results, protocol, flow, partial)
    with atomic_path(folder / "scores.csv") as path:
        path.write_text(text.getvalue(), encoding="utf-8")
    with atomic_path(folder / "scores.json") as path:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _method_scores(results: Sequence[SequenceResult], method: str) -> dict:
    sequences = {result.name: result.scores[method].statistics() for result in results}
    return {
        "J_mean": _mean(scores["J_mean"] for scores in sequences.values()),
        "F_mean": _mean(scores["F_mean"] for scores in sequences.values()),
        "sequences": sequences,
    }


def _mean(values) -> float:
    return float(np.mean(list(values)))
