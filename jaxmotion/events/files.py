"""Events in files: `events.json`, `events.csv`, and two tables for BORIS.

BORIS (https://www.boris.unito.it) is the program that behavioral scientists mark events with. Its
version 9 imports events from a spreadsheet with the columns time, subject, code, modifier and
comment, a row where an event begins and one where it ends (`write_boris`). What it exports as
aggregated events, and scripts in R and Python read, is one row an event (`write_boris_table`).
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from jaxmotion.events.rules import Event
from jaxmotion.events.tracks import Tracks
from jaxmotion.files import atomic_path

_COLUMNS = ("kind", "track", "start", "stop", "start_s", "stop_s", "score")


@dataclass(frozen=True)
class Film:
    """The video that events are of.

    Attributes:
        name: name of its file or folder.
        fps: frames per second.
        frames: number of frames.
        height: number of rows.
        width: number of columns.
    """

    name: str
    fps: float
    frames: int
    height: int
    width: int

    def seconds(self, frame: float) -> float:
        """Time at which a frame begins."""
        return round(frame / self.fps, 4)


def write_json(path: Path, film: Film, events: Sequence[Event], tracks: Tracks) -> None:
    """Writes everything: the video, and each event with the box of its track in each frame.

    Args:
        path: file to write.
        film: the video.
        events: its events.
        tracks: its tracks, of which the boxes are.

    Raises:
        InputError: the file cannot be written.
    """
    places = {label: place for place, label in enumerate(tracks.labels.tolist())}
    sides = np.array([film.width, film.height, film.width, film.height])
    rows = []
    for event in events:
        boxes = tracks.box[places[event.track], event.start : event.stop] * sides
        where = [
            None if np.isnan(box).any() else np.rint(box).astype(int).tolist() for box in boxes
        ]
        rows.append({**_row(film, event), "boxes": where})
    content = {
        "video": film.name,
        "fps": film.fps,
        "frames": film.frames,
        "height": film.height,
        "width": film.width,
        "events": rows,
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def write_csv(path: Path, film: Film, events: Sequence[Event]) -> None:
    """Writes a row for each event; `stop` is one past the last frame.

    Args:
        path: file to write.
        film: the video.
        events: its events.

    Raises:
        InputError: the file cannot be written.
    """
    _write_table(path, _COLUMNS, (_row(film, event) for event in events))


def write_boris_table(path: Path, film: Film, events: Sequence[Event]) -> None:
    """Writes what BORIS exports as aggregated events, as far as it is known here.

    Args:
        path: file to write.
        film: the video.
        events: its events.

    Raises:
        InputError: the file cannot be written.
    """
    rows = [
        {
            "Observation id": film.name,
            "Observation type": "Media file",
            "Source": film.name,
            "Time offset (s)": 0,
            "Media duration (s)": film.seconds(film.frames),
            "FPS (frame/s)": film.fps,
            "Subject": f"track {event.track}",
            "Observation duration by subject by observation": film.seconds(film.frames),
            "Behavior": event.kind,
            "Behavioral category": "",
            "Behavior type": "STATE",
            "Start (s)": film.seconds(event.start),
            "Stop (s)": film.seconds(event.stop),
            "Duration (s)": film.seconds(event.stop - event.start),
            "Media file name": film.name,
            "Image index start": event.start,
            "Image index stop": event.stop,
            "Comment start": f"score {event.score:.3f}",
            "Comment stop": "",
        }
        for event in events
    ]
    _write_table(path, _BORIS, rows)


_BORIS = (
    *("Observation id", "Observation type", "Source", "Time offset (s)", "Media duration (s)"),
    *("FPS (frame/s)", "Subject", "Observation duration by subject by observation", "Behavior"),
    *("Behavioral category", "Behavior type", "Start (s)", "Stop (s)", "Duration (s)"),
    *("Media file name", "Image index start", "Image index stop", "Comment start", "Comment stop"),
)


def write_boris(path: Path, film: Film, events: Sequence[Event]) -> None:
    """Writes the spreadsheet (.xlsx) that BORIS imports into an observation.

    Args:
        path: file to write.
        film: the video.
        events: its events; of two of one kind and track that overlap, BORIS would see one that
            ends when the other begins: they are joined.

    Raises:
        InputError: the file cannot be written.
    """
    rows: list[tuple[Any, ...]] = []
    for (kind, track), spans in _apart(events).items():
        for start, stop, score in spans:
            comment = f"score {score:.3f}"
            rows.append((film.seconds(start), f"track {track}", kind, "", comment))
            rows.append((film.seconds(stop), f"track {track}", kind, "", ""))
    header = ("time", "subject", "code", "modifier", "comment")
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, text in _PARTS.items():
            archive.writestr(name, _XML + text)
        sheet = "".join(_sheet_row(n, row) for n, row in enumerate([header, *sorted(rows)], 1))
        archive.writestr(
            "xl/worksheets/sheet1.xml",
            f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>{sheet}</sheetData></worksheet>',
        )


def _apart(events: Iterable[Event]) -> dict[tuple[str, int], list[tuple[int, int, float]]]:
    found: dict[tuple[str, int], list[tuple[int, int, float]]] = {}
    for event in sorted(events, key=lambda event: event.start):
        spans = found.setdefault((event.kind, event.track), [])
        if spans and event.start <= spans[-1][1]:
            start, stop, score = spans.pop()
            spans.append((start, max(stop, event.stop), max(score, event.score)))
        else:
            spans.append((event.start, event.stop, event.score))
    return found


def _row(film: Film, event: Event) -> dict[str, Any]:
    times = (film.seconds(event.start), film.seconds(event.stop))
    values = (event.kind, event.track, event.start, event.stop, *times, round(event.score, 4))
    return dict(zip(_COLUMNS, values, strict=True))


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(rows)


def _sheet_row(number: int, values: tuple[Any, ...]) -> str:
    cells = []
    for column, value in zip("ABCDE", values, strict=True):
        place = f'r="{column}{number}"'
        if isinstance(value, str):
            cells.append(f'<c {place} t="inlineStr"><is><t>{escape(value)}</t></is></c>')
        else:
            cells.append(f"<c {place}><v>{value}</v></c>")
    return f'<row r="{number}">{"".join(cells)}</row>'


_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPES}.worksheet+xml"/>'
    "</Types>",
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
    f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
    '<sheet name="events" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    "</Relationships>",
}
