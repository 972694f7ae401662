"""`jaxmotion events` on a made-up video: files, timeline, and bars under the player."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxmotion.answer.events import follow_moving
from jaxmotion.answer.kept import Kept
from jaxmotion.answer.timeline import draw_timeline, timeline_rows
from jaxmotion.cli import main
from jaxmotion.data import write_image
from jaxmotion.data.video import open_video
from jaxmotion.events import KINDS, Event, Following, follow
from jaxmotion.optical_flow import write_flow_npz

HEIGHT, WIDTH, FRAMES = 45, 63, 30


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A square that goes to the right before noise."""
    root = tmp_path_factory.mktemp("clip")
    rng = np.random.default_rng(1)
    flow = rng.normal(0, 0.1, (FRAMES - 1, HEIGHT, WIDTH, 2)).astype(np.float32)
    for t in range(FRAMES):
        picture = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        write_image(root / "clip" / f"shot_{t:04d}.jpg", picture)
        if t < FRAMES - 1:
            flow[t, 10:35, 5 + t : 25 + t, 0] += 4
    write_flow_npz(root / "flow.npz", flow)
    return root


def film(folder, height, width):
    """A folder of black frames."""
    for t in range(FRAMES):
        write_image(folder / f"{t:02d}.png", np.zeros((height, width, 3), np.uint8))
    return folder


@pytest.fixture(scope="module")
def out(clip, untrained_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "out"
    options = ["--flow", clip / "flow.npz", "--checkpoint", untrained_run, "--classifier", "none"]
    words = ["events", clip / "clip", "--out", out, *options, "--fps", "10", "--head", "rules"]
    assert main([str(word) for word in words]) == 0
    return out


def test_the_files_tell_the_same_events(out):
    content = json.loads((out / "events.json").read_text())
    events = content["events"]
    assert (content["fps"], content["frames"]) == (10, FRAMES)
    assert (content["height"], content["width"]) == (HEIGHT, WIDTH)
    assert events
    for event in events:
        assert event["kind"] in KINDS
        assert event["track"] >= 1
        assert event["stop_s"] == pytest.approx(event["stop"] / 10)
        assert len(event["boxes"]) == event["stop"] - event["start"]
        known = np.array([box for box in event["boxes"] if box is not None])
        assert (known >= 0).all()
        assert (known <= (WIDTH, HEIGHT, WIDTH, HEIGHT)).all()
    with (out / "events.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["kind"], r["track"], r["start"]) for r in rows] == [
        (e["kind"], str(e["track"]), str(e["start"])) for e in events
    ]
    assert (out / "boris.xlsx").is_file()
    assert (out / "boris.csv").is_file()
    with Image.open(out / "timeline.png") as picture:
        assert picture.size[0] == 1400


def test_the_page_has_a_row_for_each_kind_of_a_track(out):
    text = (out / "index.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    events = json.loads((out / "events.json").read_text())["events"]
    told = [
        (row["track"], row["kind"], *span[:2]) for row in data["events"] for span in row["spans"]
    ]
    assert sorted(told) == sorted((e["track"], e["kind"], e["start"], e["stop"]) for e in events)
    assert "function withEvents" in text


def test_segment_writes_no_events(clip, untrained_run, tmp_path):
    options = ["--flow", clip / "flow.npz", "--checkpoint", untrained_run, "--classifier", "none"]
    words = ["segment", clip / "clip", "--out", tmp_path / "o", *options]
    assert main([str(word) for word in words]) == 0
    assert not (tmp_path / "o" / "events.json").exists()


@pytest.mark.parametrize("fps", ["0", "-3", "inf"])
def test_a_wrong_rate_is_refused(clip, untrained_run, tmp_path, capsys, fps):
    words = ["events", clip / "clip", "--out", tmp_path / "o", "--checkpoint", untrained_run]
    assert main([*map(str, words), "--fps", fps]) == 2
    assert "expected a number above 0" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_what_moves_is_followed_on_disk_as_in_memory(tmp_path):
    rng, frames = np.random.default_rng(0), 25
    masks = np.zeros((frames, 40, 60, 3), np.float32)
    flow = rng.normal(0, 0.05, (frames, 40, 60, 2)).astype(np.float16).astype(np.float32)
    for t in range(frames):
        masks[t, 10:20, 5 + t : 17 + t, 1 + t % 2] = 1  # another segment in every frame
        flow[t, 10:20, 5 + t : 17 + t, 0] += 1
    masks[..., 0] = 1 - masks.sum(axis=-1)
    with Kept(tmp_path) as kept:
        for t in range(frames):
            kept.add(flow[t], masks[t], np.ones((40, 60)))
        video = open_video(film(tmp_path / "film", 40, 60))
        shutil.rmtree(tmp_path / "film")
        labels, tracks = follow_moving(
            tmp_path, video, kept, lambda frame: frame.masks.argmax(axis=-1) > 0, Following()
        )
    np.testing.assert_array_equal(labels, follow((masks.argmax(axis=-1) > 0).astype(int), flow))
    np.testing.assert_array_equal(labels, masks[..., 0] == 0)
    assert tracks.labels.tolist() == [1]
    assert list(tmp_path.iterdir()) == []


def test_vectors_count_pixels_of_the_video(clip, untrained_run, tmp_path):
    """Four times the frames with four times the vectors: what happens is the same."""
    flow, events = np.load(clip / "flow.npz")["flow"], []
    for times in (1, 4):
        root = tmp_path / str(times)
        film(root / "film", times * HEIGHT, times * WIDTH)
        write_flow_npz(root / "flow.npz", times * flow)
        options = ["--checkpoint", untrained_run, "--classifier", "none", "--fps", "10"]
        options += ["--head", "rules"]
        words = ["events", root / "film", "--flow", root / "flow.npz", "--out", root / "out"]
        assert main([str(word) for word in (*words, *options)]) == 0
        events.append(json.loads((root / "out" / "events.json").read_text())["events"])
    assert events[0]
    for small, large in zip(*events, strict=True):
        boxes = [[box and [4 * x for x in box] for box in small["boxes"]], large["boxes"]]
        known = [[np.nan] * 4 if box is None else box for box in boxes[0] + boxes[1]]
        np.testing.assert_allclose(known[: len(boxes[0])], known[len(boxes[0]) :], atol=4)
        names = ("kind", "track", "start", "stop")
        assert [small[name] for name in names] == [large[name] for name in names]


def test_bars_are_where_their_events_are():
    events = [Event("go", 1, 0, 50, 1.0), Event("stop", 1, 50, 100, 1.0), Event("go", 3, 25, 75, 1)]
    assert timeline_rows(events) == [(1, "go"), (1, "stop"), (3, "go")]
    picture = draw_timeline(events, 100, 10.0)
    colored = np.ptp(picture.astype(int), axis=-1) > 60
    rows = [16 + 11, 16 + 22 + 11, 16 + 2 * 22 + 12 + 11]
    for row, (start, stop) in zip(rows, ((0, 0.5), (0.5, 1), (0.25, 0.75)), strict=True):
        columns = np.flatnonzero(colored[row, 170:]) / (1400 - 170 - 24)
        assert columns.min() == pytest.approx(start, abs=0.01)
        assert columns.max() == pytest.approx(stop, abs=0.01)
    assert draw_timeline([], 10, 25.0).shape[1] == 1400


def test_a_head_that_tells_no_events_is_refused_in_time(clip, untrained_run, tmp_path, capsys):
    for head, words in ((untrained_run, "expected one that tells events"), ("no", "no checkpoint")):
        command = ["events", clip / "clip", "--out", tmp_path / "out", "--head", head]
        assert main([str(word) for word in command]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
