"""Files of events: what is written is read back, and BORIS's rows pair."""

import csv
import json
import xml.etree.ElementTree as ET
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from jaxmotion.events import Event, describe_tracks
from jaxmotion.events.files import Film, write_boris, write_boris_table, write_csv, write_json

FILM = Film("a & b.mp4", fps=25.0, frames=50, height=20, width=40)
EVENTS = [
    Event("go", 1, 0, 10, 0.9),
    Event("stop", 1, 10, 25, 0.75),
    Event("go", 1, 8, 20, 0.5),
    Event("go", 2, 25, 50, 0.8),
]


@pytest.fixture(scope="module")
def tracks():
    labels = np.zeros((50, 20, 40), int)
    labels[:, 5:10, 5:15], labels[30:, 12:18, 20:40] = 1, 2
    return describe_tracks(labels, np.zeros((50, 20, 40, 2)))


def test_json_has_the_boxes_of_every_frame(tmp_path, tracks):
    write_json(tmp_path / "events.json", FILM, EVENTS, tracks)
    content = json.loads((tmp_path / "events.json").read_text())
    assert (content["video"], content["fps"], content["frames"]) == ("a & b.mp4", 25.0, 50)
    first, *_, last = content["events"]
    assert (first["kind"], first["track"], first["start"], first["stop"]) == ("go", 1, 0, 10)
    assert first["stop_s"] == 0.4
    assert first["boxes"] == [[5, 5, 15, 10]] * 10
    assert last["boxes"] == [None] * 5 + [[20, 12, 40, 18]] * 20


def test_csv_has_a_row_for_each_event(tmp_path):
    write_csv(tmp_path / "events.csv", FILM, EVENTS)
    with (tmp_path / "events.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Event(r["kind"], *(int(r[k]) for k in ("track", "start", "stop")), float(r["score"]))
            for r in rows] == EVENTS  # fmt: skip
    assert [float(row["start_s"]) for row in rows] == [0, 0.4, 0.32, 1]


def test_the_table_has_the_columns_of_aggregated_events(tmp_path):
    write_boris_table(tmp_path / "boris.csv", FILM, EVENTS)
    with (tmp_path / "boris.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, event in zip(rows, EVENTS, strict=True):
        assert row["Behavior"] == event.kind
        assert row["Subject"] == f"track {event.track}"
        assert row["Behavior type"] == "STATE"
        start, stop, lasts = (float(row[f"{k} (s)"]) for k in ("Start", "Stop", "Duration"))
        assert (round(start * 25), round(stop * 25)) == (event.start, event.stop)
        assert lasts == pytest.approx(stop - start)
        assert int(row["Image index start"]) == event.start


def read_sheet(path):
    """Rows of the first sheet of a spreadsheet, by its XML."""
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            ET.fromstring(archive.read(name))
        sheet = ET.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    rows = []
    for row in sheet.iter(f"{space}row"):
        texts = [("".join(cell.itertext()), cell.get("t")) for cell in row]
        rows.append([text if kind == "inlineStr" else float(text) for text, kind in texts])
    return rows


def test_the_spreadsheet_has_a_row_at_each_end(tmp_path):
    write_boris(tmp_path / "boris.xlsx", FILM, EVENTS)
    header, *rows = read_sheet(tmp_path / "boris.xlsx")
    assert header == ["time", "subject", "code", "modifier", "comment"]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    # The two that overlap are one: every second row of a kind and subject ends what one began.
    ends = {}
    for time, subject, code, *_ in rows:
        ends.setdefault((subject, code), []).append(time)
    assert ends == {
        ("track 1", "go"): [0, 0.8],
        ("track 1", "stop"): [0.4, 1.0],
        ("track 2", "go"): [1.0, 2.0],
    }


def test_other_programs_open_the_spreadsheet(tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="needs openpyxl")
    film = replace(FILM, name="x")
    write_boris(tmp_path / "boris.xlsx", film, EVENTS)
    sheet = openpyxl.load_workbook(tmp_path / "boris.xlsx").worksheets[0]
    assert [cell.value for cell in sheet[1]] == ["time", "subject", "code", "modifier", "comment"]
    assert sheet.max_row == 7


def test_nothing_is_an_empty_table(tmp_path, tracks):
    write_json(tmp_path / "events.json", FILM, [], tracks)
    write_boris(tmp_path / "boris.xlsx", FILM, [])
    assert json.loads((tmp_path / "events.json").read_text())["events"] == []
    assert len(read_sheet(tmp_path / "boris.xlsx")) == 1
