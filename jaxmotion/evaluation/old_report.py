"""`report.html`: one page with the tables and a picture strip per sequence, nothing to load."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from jaxmotion.data.pictures import write_image
from jaxmotion.evaluation.baselines import UPPER_BOUND
from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.evaluation.runner import SequenceResult
from jaxmotion.evaluation.tables import MEAN, PUBLISHED_PREFIX, Table, score_table
from jaxmotion.files import atomic_path

_STYLE = """
:root { color-scheme: light; --ink: #1c2126; --soft: #5c6670; --line: #e3e7ea; --bar: #bcd9f2;
        --bar2: #e6e9ec; --accent: #c8500f; }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 1080px;
       margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem } h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem }
p { margin: .25rem 0 .75rem; color: var(--soft) } b { color: var(--ink) }
.warning { color: var(--accent); font-weight: 600 }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100% }
th, td { padding: .28rem .6rem; text-align: right; border-bottom: 1px solid var(--line);
         white-space: nowrap }
th { font-weight: 600; font-size: .82rem; color: var(--soft); vertical-align: bottom }
th:first-child, td:first-child { text-align: left }
td.score { background: linear-gradient(to right, var(--bar2) var(--width), transparent 0)
           no-repeat left .3rem bottom .12rem / calc(100% - .6rem) 3px }
td.own { font-weight: 600; background-image:
         linear-gradient(to right, #2f7fc1 var(--width), transparent 0) }
tr.mean td { border-top: 2px solid var(--ink); border-bottom: 0; font-weight: 600 }
figure { margin: 0 0 2rem } figcaption { margin-bottom: .35rem }
figcaption span { color: var(--soft); margin-left: .75rem; font-variant-numeric: tabular-nums }
img { width: 100%; max-width: 972px; display: block; border-radius: 4px }
.swatch { display: inline-block; width: .8em; height: .8em; border-radius: 2px;
          vertical-align: -.05em; border: 1px solid #999 }
"""

_COLUMN_TITLES = {
    "all_background": "all back-<br>ground",
    "otsu": "Otsu",
    "em_1": "EM,<br>1 start",
    "em_10": "EM,<br>10 starts",
    UPPER_BOUND: "upper<br>bound *",
}


def write_report(
    folder: Path,
    results: Sequence[SequenceResult],
    protocol: Protocol,
    flow: str,
    partial: bool = False,
) -> None:
    """Writes `report.html` into a folder, and its pictures as `pictures/SEQUENCE.png`.

    Args:
        folder: Where to; made where it is missing.
        results: At least one.
        protocol: What was scored.
        flow: Name of the flow.
        partial: Whether sequences are still missing.

    Raises:
        InputError: The folder cannot be written to.
    """
    with atomic_path(folder / "report.html") as path:
        path.write_text(_page(results, protocol, flow, partial), encoding="utf-8")
    for result in results:
        write_image(folder / "pictures" / f"{result.name}.png", result.picture)


def _page(results: Sequence[SequenceResult], protocol: Protocol, flow: str, partial: bool) -> str:
    method = next(iter(results[0].scores))
    name = html.escape(method)
    j, f = score_table(results, "J_mean"), score_table(results, "F_mean")
    together = f"{protocol.cut} frames" if protocol.cut else "the whole sequence"
    if protocol.frames == "official":
        counted = "first and last frame left out, as in the official benchmark"
    else:
        counted = "every frame that has a flow"
    parts = [
        f"<h1>Motion segmentation by <em>{name}</em></h1>",
        f"<p>{len(results)} sequences, flow <b>{html.escape(flow)}</b>; foreground chosen by "
        f"<b>{protocol.select}</b> over {together}; scored: {counted}.</p>",
    ]
    if partial:
        parts.append('<p class="warning">Partial: the run did not reach every sequence.</p>')
    parts += [
        "<h2>Region: Jaccard index J</h2>",
        "<p>Overlap of the foreground with the annotated object, mean over the frames; 1 is "
        "perfect.</p>",
        _html_table(j),
        "<h2>Boundary: F-measure</h2>",
        "<p>How much of the two outlines lies close together, mean over the frames.</p>",
        _html_table(f),
        f"<p>* sees the ground truth: two quadratic motions fitted to the object and to the rest. "
        f"The other columns right of <em>{name}</em> need no training or are published scores"
        " (which chose segments as their papers say, from their own flow).</p>",
        "<h2>Sequences</h2>",
        "<p>Rows: flow (hue is direction), segments, and the foreground "
        '<span class="swatch" style="background:#e1e4e8"></span> with the outline of the ground '
        'truth <span class="swatch" style="background:#ff6f3c"></span>.</p>',
    ]
    parts += [_figure(result, method) for result in results]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{name}: motion segmentation</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _html_table(table: Table) -> str:
    method, *_ = table
    titles = "".join(f"<th>{_title(name)}</th>" for name in table)
    lines = [f'<div class="wide"><table><tr><th>sequence</th>{titles}</tr>']
    for row in table[method]:
        cells = [f"<td>{html.escape(row)}</td>"]
        for name, column in table.items():
            score = column.get(row, float("nan"))
            if np.isnan(score):
                cells.append("<td>–</td>")
                continue
            kind = "score own" if name == method else "score"
            cells.append(f'<td class="{kind}" style="--width:{score:.1%}">{score:.3f}</td>')
        kind = ' class="mean"' if row == MEAN else ""
        lines.append(f"<tr{kind}>{''.join(cells)}</tr>")
    return "\n".join(lines) + "</table></div>"


def _title(name: str) -> str:
    if name.startswith(PUBLISHED_PREFIX):
        return "published<br>" + html.escape(name.removeprefix(PUBLISHED_PREFIX))
    return _COLUMN_TITLES.get(name, html.escape(name))


def _figure(result: SequenceResult, method: str) -> str:
    buffer = io.BytesIO()
    Image.fromarray(result.picture).quantize(256).save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    statistics = result.scores[method].statistics()
    text = f"J {statistics['J_mean']:.3f} &nbsp; F {statistics['F_mean']:.3f}"
    name = html.escape(result.name)
    return (
        f"<figure><figcaption><b>{name}</b><span>{text}</span></figcaption>"
        f'<img alt="Flow, segments and foreground of {name}" '
        f'src="data:image/png;base64,{data}"></figure>'
    )
