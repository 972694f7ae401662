"""`report.html` as text: what is embedded, that it is inert, and how its pictures are made."""

import base64
import io
import json
import re

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_davis import ground_truth, run_eval, write_davis
from PIL import Image
from report_example import (
    FRAMES,
    HOSTILE,
    HOSTILE_METHOD,
    NUM_LABELS,
    SIZE,
    flow,
    segments,
    write_example,
)

from jaxmotion.errors import InputError
from jaxmotion.evaluation import find_sequences
from jaxmotion.evaluation.results import Dataset, Evaluation, Failure, Run
from jaxmotion.evaluation.score import Cut, ObjectScores, SequenceScores
from jaxmotion.optical_flow.colors import flow_to_color
from jaxmotion.report.encoding import svg_path
from jaxmotion.report.layers import MAX_FRAMES, shown_frames, write_layers
from jaxmotion.report.page import write_report


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    evaluation = write_example(folder)
    write_report(folder, evaluation)
    return folder, evaluation, (folder / "report.html").read_text(encoding="utf-8")


def embedded(page, name="data"):
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page)
    assert found
    return json.loads(found[1])


def picture(uri):
    kind, data = uri.split(";base64,")
    assert kind in ("data:image/png", "data:image/webp")
    return Image.open(io.BytesIO(base64.b64decode(data)))


def filled(path, size):
    """The area of an outline, by another rule than the one it was drawn with."""
    polygons = []
    for part in re.findall(r"M([^M]*)z", path):
        start, *steps = part.split("l")
        numbers = [[int(n) for n in re.findall(r"-?\d+", text)] for text in (start, *steps)]
        points = np.concatenate([np.reshape(n, (-1, 2)) for n in numbers]).cumsum(axis=0)
        polygons.append(points.astype(np.int32))
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, polygons, 1)
    return mask.astype(bool)


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def test_outline_encloses_the_object_and_leaves_out_its_holes():
    rows, columns = np.mgrid[:120, :200]
    ring = np.abs(np.hypot(columns - 90, rows - 60) - 35) < 12
    box = (columns > 150) & (rows > 20) & (rows < 50)
    assert overlap(filled(svg_path(ring | box), ring.shape), ring | box) > 0.97
    assert svg_path(np.zeros((4, 5), bool)) == ""
    assert svg_path(np.zeros((4, 5), bool) | (np.arange(20).reshape(4, 5) == 7)) == "M2 1z"


def test_objects_that_touch_have_an_outline_each():
    objects = np.zeros((40, 60), np.uint8)
    objects[10:30, 10:30], objects[10:30, 30:50] = 1, 2
    assert svg_path(objects).count("M") == 2
    assert svg_path(objects > 0).count("M") == 1


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_outline_of_any_blob_is_close(seed):
    noise = np.random.default_rng(seed).normal(size=(90, 160)).astype(np.float32)
    blobs = cv2.GaussianBlur(noise, (0, 0), 8) > 0
    assert overlap(filled(svg_path(blobs), blobs.shape), blobs) > 0.95


def test_pictures_show_the_labels_and_the_flow(example):
    folder = example[0] / "pictures/made/sequence_2"
    layer = json.loads((folder / "method_1/segments.json").read_text())
    labels = segments(2, 1)
    for t, uri in enumerate(layer["pictures"]):
        shown = picture(uri)
        np.testing.assert_array_equal(np.asarray(shown), labels[t])
        colors = np.reshape(shown.getpalette(), (-1, 3))[:NUM_LABELS]
        assert ["#" + bytes(c).hex() for c in colors.astype(np.uint8)] == layer["colors"]
        assert overlap(filled(layer["foreground"][t], SIZE), labels[t] == 1) > 0.9

    layer = json.loads((folder / "flow.json").read_text())
    assert len(layer["pictures"]) == FRAMES
    assert layer["full_color"] == pytest.approx(3, abs=1e-3)
    expected = flow_to_color(flow(2)[0], 3).astype(float)
    shown = np.asarray(picture(layer["pictures"][0]).convert("RGB"), float)
    assert np.abs(shown - expected).mean() < 8  # WebP loses a little, most at edges


def one_sequence(**changes):
    values = {
        "name": "dog",
        "num_frames": 6,
        "num_labels": 2,
        "frames": (1, 4),
        "frame_names": ("00001", "00004"),
        "objects": (ObjectScores("foreground", {"J": (0.5, 1.0)}),),
        "cuts": (Cut(0, 6, (1,)),),
        "pictures": "pictures/d/dog/m",
    }
    return SequenceScores(**{**values, **changes})


def test_annotation_is_that_of_the_scored_frames_without_void(tmp_path):
    gt = np.zeros((2, 20, 30), np.uint8)
    gt[1, 5:10, 5:10], gt[1, 5:10, 10:15] = 1, 255
    labels = np.zeros((6, 20, 30), np.uint8)
    write_layers(tmp_path / "dog/m", one_sequence(), None, labels, labels > 0, gt)
    layer = json.loads((tmp_path / "dog/truth.json").read_text())
    assert layer["size"] == [20, 30]
    assert layer["shown"] == [0, 1, 2, 3, 4, 5]
    assert layer["outlines"] == [None, "", None, None, svg_path(gt[1] == 1), None]
    assert not (tmp_path / "dog/flow.json").exists()


def test_a_long_video_is_shown_in_steps_with_every_rare_annotation():
    assert shown_frames(MAX_FRAMES, range(MAX_FRAMES)) == list(range(MAX_FRAMES))
    shown = shown_frames(800, range(800))
    assert shown == list(range(0, 800, 7))
    assert shown_frames(800, (0, 20, 799)) == sorted({*shown, 20, 799})


def test_flow_scale_leaves_out_unknown_vectors(tmp_path):
    unknown = np.zeros((6, 20, 30, 2), np.float32)
    unknown[:, :10] = 1e10
    unknown[:, 10:, :, 0] = 2
    labels = np.zeros((6, 20, 30), np.uint8)
    gt = np.zeros((2, 20, 30), np.uint8)
    write_layers(tmp_path / "dog/m", one_sequence(), unknown, labels, labels > 0, gt)
    assert json.loads((tmp_path / "dog/flow.json").read_text())["full_color"] == 2
    unknown[:] = 1e10
    write_layers(tmp_path / "dog/m", one_sequence(), unknown, labels, labels > 0, gt)
    assert json.loads((tmp_path / "dog/flow.json").read_text())["full_color"] > 0


def test_frames_are_embedded_only_when_asked_for(tmp_path):
    evaluation = write_example(tmp_path, include_frames=True)
    write_report(tmp_path, evaluation)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    shared = embedded(page)["datasets"][0]["pictures"][0]
    frames = embedded(page, f"layer-{shared['frames']}")["pictures"]
    assert len(frames) == FRAMES
    shown = np.asarray(picture(frames[3]).convert("RGB"), float)
    assert np.abs(shown - (60, 100, 200)).max() < 6
    write_report(tmp_path, write_example(tmp_path))  # the same folder, now without
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert {shared["frames"] for shared in embedded(page)["datasets"][0]["pictures"]} == {None}


def test_nothing_is_loaded_from_anywhere(example):
    page = example[2]
    assert "http:" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in page
    assert "<link" not in page
    assert not re.search(r"""\s(src|href)\s*=\s*["'](?!data:)""", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert policy[1].startswith("default-src 'none'; img-src data:;")


def test_names_are_no_markup(example):
    page = example[2]
    assert HOSTILE not in page
    assert HOSTILE_METHOD not in page
    scripts = page.count("<script")
    assert scripts == page.count("</script>") == page.count("<script type=") + 1
    data = embedded(page)["datasets"][0]
    assert data["sequences"][1] == HOSTILE
    assert data["columns"][1]["name"] == HOSTILE_METHOD


def test_partial_results_are_marked_without_javascript_too(example, tmp_path):
    _, evaluation, page = example
    assert "Partial results." in page
    assert "3 of 4 sequences<br>car 9: not reached" in page
    whole = Evaluation(evaluation.datasets[1:])
    write_report(tmp_path, whole)
    assert "Partial results." not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_scores_are_those_of_the_evaluation(example):
    _, evaluation, page = example
    shown, dataset = embedded(page)["datasets"][0], evaluation.datasets[0]
    columns = {column["name"]: column for column in shown["columns"]}
    for run in dataset.runs:
        column = columns[run.method]
        assert column["means"] == pytest.approx(run.means("sequence"), abs=1e-4)
        for row, scores in zip(column["sequences"], run.sequences, strict=False):
            assert row["scores"]["J"] == pytest.approx(scores.per_frame("J"), abs=1e-4)
            assert row["statistics"] == pytest.approx(scores.statistics(), abs=1e-4)
    assert shown["columns"][1]["sequences"][3] is None


def test_published_mean_is_over_the_sequences_at_hand(example):
    columns = embedded(example[2])["datasets"][0]["columns"]
    column, whole = (column for column in columns if column["kind"] == "published")
    assert (whole["name"], whole["count"], whole["means"]) == ("RCF", None, {"J_mean": 0.8})
    assert (column["name"], column["count"]) == ("LT-MS", 2)
    assert column["means"] == pytest.approx({"J_mean": 0.5, "F_mean": 0.4, "JF_mean": 0.45})


def test_two_datasets_of_one_video_embed_it_once(example):
    page = example[2]
    first, second = embedded(page)["datasets"]
    assert first["pictures"] == second["pictures"]
    layers = len(re.findall(r'id="layer-\d+"', page))
    assert layers == 4 * 2 + 4 + 3  # truth and flow, and the segments of two methods


def test_missing_numbers_are_null_and_reasons_told_once(tmp_path):
    scores = one_sequence(
        objects=(ObjectScores("1", {"J": (float("nan"), 1.0)}, segment=-1),), pictures=None
    )
    failures = (Failure("cat", "no < flow"), Failure("cow", "no < flow"))
    run = Run("m", "results", "folder", (scores,), failures)
    dataset = Dataset("d", "root", "", {}, "frame", ("J",), ("dog", "cat", "cow"), (run,))
    write_report(tmp_path, Evaluation((dataset,)))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    row = embedded(page)["datasets"][0]["columns"][0]["sequences"][0]
    assert row["scores"]["J"] == [None, 1.0]
    assert row["segments"] is None
    assert "1 of 3 sequences<br>cat, cow: no &lt; flow</li>" in page


def test_eval_writes_a_page_with_what_was_annotated_found_and_missing(tmp_path):
    root, out = write_davis(tmp_path / "davis"), tmp_path / "out"
    (root / "Annotations/480p/dog/00002.png").write_text("hello")
    options = ["--flow", "made", "--out", out, "--baselines", "none", "--include-frames"]
    assert run_eval("--data", root, *options) == 2
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "1 of 2 sequences" in page
    assert "00002.png: not a picture of a known kind" in page
    dataset = embedded(page)["datasets"][0]
    car, dog = (dataset["sequences"].index(name) for name in ("car", "dog"))
    column = dataset["columns"][0]
    assert "00002.png" in column["reasons"][dog]
    shared = {name: embedded(page, f"layer-{n}") for name, n in dataset["pictures"][car].items()}
    assert shared["truth"]["outlines"] == [svg_path(mask) for mask in ground_truth(10)[:-1]]
    assert len(shared["frames"]["pictures"]) == len(shared["flow"]["pictures"]) == 4
    segments = embedded(page, f"layer-{column['sequences'][car]['segments']}")
    for path, mask in zip(segments["foreground"], ground_truth(10), strict=False):
        assert overlap(filled(path, mask.shape), mask) > 0.7


def test_a_damaged_file_of_pictures_is_named(tmp_path):
    evaluation = write_example(tmp_path)
    path = tmp_path / "pictures/made/sequence_1/flow.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(InputError, match=r"sequence_1/flow\.json: damaged"):
        write_report(tmp_path, evaluation)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.real
def test_a_page_of_eight_videos_with_frames_stays_small(shared, tmp_path):
    sequence = find_sequences(shared / "data/davis", "raft", ["scooter-black"])[0]
    flow, _, gt = sequence.read()
    flow, gt = flow[::6], gt[::6]
    scores = one_sequence(num_labels=4, frames=tuple(range(len(gt))))
    # Segments as ragged as flow makes them: the speed in four steps.
    speed = cv2.GaussianBlur(np.hypot(flow[..., 0], flow[..., 1]).transpose(1, 2, 0), (0, 0), 1.5)
    levels = np.digitize(speed, np.percentile(speed, [25, 50, 75])).astype(np.uint8)
    labels = cv2.resize(levels, gt.shape[:0:-1], interpolation=cv2.INTER_NEAREST)
    labels = labels.transpose(2, 0, 1)
    for method in "mn":
        write_layers(
            tmp_path / "dog" / method, scores, flow, labels, labels > 1, gt.astype(np.uint8),
            lambda t: sequence.read_frame(6 * t),
        )  # fmt: skip
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.json"))
    assert size / len(flow) * 8 * 70 < 20e6
