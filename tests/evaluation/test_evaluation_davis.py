"""The evaluation of a small made-up DAVIS folder, through the library and through `eval.py`."""

import csv
import json
import re
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from made_up_davis import (
    FLOW_SIZE,
    FRAMES,
    REPOSITORY,
    SIZE,
    by_u,
    ground_truth,
    run_eval,
    write_davis,
)
from PIL import Image

from jaxmotion.evaluation import Protocol, find_sequences, published_scores
from jaxmotion.evaluation.methods import Baseline, Network
from jaxmotion.evaluation.plan import DatasetPlan, Options
from jaxmotion.evaluation.prediction import predict_labels
from jaxmotion.evaluation.run import evaluate
from jaxmotion.evaluation.score import select_by_cut
from jaxmotion.evaluation.sequences import Annotation
from jaxmotion.evaluation.tables import score_table
from jaxmotion.inference.outlines import sharpen
from jaxmotion.metrics.davis import boundary_f, jaccard, sequence_statistics
from jaxmotion.metrics.masks import unpack
from jaxmotion.optical_flow.formats import write_flo
from jaxmotion.report.layers import write_layers


@pytest.fixture
def root(tmp_path):
    return write_davis(tmp_path / "davis")


def evaluate_all(root, out, sequences=(), baselines=(), **options):
    """The last state of an evaluation of `by_u`."""
    plan = DatasetPlan("made", root, "made", Protocol(), tuple(sequences))
    methods = [Network("by_u", lambda: by_u), *map(Baseline, baselines)]
    *_, last = evaluate(out, [plan], methods, Options(**options))
    return last.datasets[0]


def test_sequences_are_those_with_flow_and_masks(root):
    assert [s.name for s in find_sequences(root, "made")] == ["car", "dog"]
    assert [s.name for s in find_sequences(root, "made", ["dog", "car"])] == ["dog", "car"]
    assert [s.name for s in find_sequences(root, "made", split="one")] == ["dog"]


def test_both_flow_formats_are_read_and_the_last_frame_has_no_flow(root):
    for sequence, left in zip(find_sequences(root, "made"), (10, 4), strict=True):
        flow, _, masks = sequence.read()
        assert flow.shape == (FRAMES - 1, *FLOW_SIZE, 2)
        np.testing.assert_array_equal(masks, ground_truth(left)[:-1])
        assert sequence.read_frame(0).shape == (*SIZE, 3)


def test_evaluation_scores_the_upsampled_foreground(root, tmp_path):
    by_u_run, background = evaluate_all(root, tmp_path, baselines=["all_background"]).runs
    for scores, left in zip(by_u_run.sequences, (10, 4), strict=True):
        gt = ground_truth(left)[:-1]
        flow = find_sequences(root, "made", [scores.name])[0].read()[0]
        expected = np.stack([cv2.resize(f, SIZE[::-1]) for f in flow[..., 0] / 3]) > 0.5
        assert 0.8 < jaccard(gt, expected).mean() < 1
        np.testing.assert_array_equal(scores.per_frame("J"), jaccard(gt, expected))
        np.testing.assert_array_equal(scores.per_frame("F"), boundary_f(gt, expected))
        assert scores.frames == (0, 1, 2, 3)
        assert scores.frame_names == ("00000", "00001", "00002", "00003")
        assert [cut.labels for cut in scores.cuts] == [(0,)]  # 1 is the rest, and larger
    for scores in background.sequences:
        np.testing.assert_array_equal(scores.per_frame("J"), 0)


@pytest.mark.parametrize(("cut", "lengths"), [(0, [5]), (1, [1] * 5), (2, [2, 2, 1]), (9, [5])])
def test_each_cut_is_segmented_and_selected_on_its_own(cut, lengths):
    flow, gt = np.zeros((5, *FLOW_SIZE, 2), np.float32), ground_truth(4)
    seen = []

    def names_change_with_every_cut(flow):
        seen.append(len(flow))
        done = sum(seen[:-1])
        part = np.stack([cv2.resize(m.astype(np.float32), FLOW_SIZE[::-1]) for m in gt])
        part = part[done : done + len(flow)]
        return np.stack([part, 1 - part] if len(seen) % 2 else [1 - part, part], axis=-1)

    protocol = Protocol("best_subset", cut)
    labels, num_labels = predict_labels(names_change_with_every_cut, flow, SIZE, protocol)
    annotation = Annotation(np.arange(5), tuple("abcde"), gt.astype(np.uint8))
    packed, cuts = select_by_cut(labels, annotation, protocol)
    foreground = unpack(packed, SIZE[1])
    assert seen == lengths == [cut.stop - cut.start for cut in cuts]
    assert num_labels == 2
    assert jaccard(gt, foreground).min() > 0.8
    assert labels.shape == gt.shape


def test_labels_are_those_of_the_upsampled_probabilities():
    rng = np.random.default_rng(0)
    masks = rng.dirichlet(np.ones(5), size=(2, *FLOW_SIZE)).astype(np.float32)
    flow = np.zeros((2, *FLOW_SIZE, 2), np.float32)
    labels, num_labels = predict_labels(lambda flow: masks, flow, SIZE, Protocol())
    assert num_labels == 5
    for frame, found in zip(masks, labels, strict=True):
        planes = [cv2.resize(np.ascontiguousarray(frame[..., k]), SIZE[::-1]) for k in range(5)]
        np.testing.assert_array_equal(found, np.argmax(planes, axis=0))


def test_outlines_follow_the_frames_of_the_video_whatever_the_cut():
    rng = np.random.default_rng(0)
    masks = rng.dirichlet(np.ones(3), size=(5, *FLOW_SIZE)).astype(np.float32)
    frames = rng.integers(0, 256, (5, *SIZE, 3)).astype(np.uint8)
    flow = np.zeros((5, *FLOW_SIZE, 2), np.float32)
    flow[..., 0] = np.arange(5)[:, None, None]
    labels, _ = predict_labels(
        lambda flow: masks[flow[:, 0, 0, 0].astype(int)],
        flow,
        SIZE,
        Protocol("best_subset", 2),
        frame=lambda number: frames[number],
    )
    expected = [sharpen(*pair).argmax(axis=-1) for pair in zip(masks, frames, strict=True)]
    np.testing.assert_array_equal(labels, expected)


def test_an_evaluation_reads_the_frames_that_outlines_follow(root, tmp_path):
    plan = DatasetPlan("made", root, "made", Protocol(), ("dog",))
    methods = [Network("plain", lambda: by_u), Network("sharp", lambda: by_u, sharpened=True)]
    *_, last = evaluate(tmp_path / "a", [plan], methods, Options())
    plain, sharp = (run.sequences[0].statistics() for run in last.datasets[0].runs)
    assert plain != sharp
    shutil.rmtree(root / "JPEGImages/480p/dog")
    *_, last = evaluate(tmp_path / "b", [plan], methods, Options())
    assert [len(run.sequences) for run in last.datasets[0].runs] == [1, 0]
    assert [failure.reason for failure in last.datasets[0].runs[1].failures] == [
        "dog: no frames, expected some for outlines to follow"
    ]


def test_official_frames_leave_out_the_first():
    assert list(Protocol(frames="official").scored(range(5), 5, 4)) == [1, 2, 3]
    assert list(Protocol(frames="flow").scored(range(5), 5, 4)) == [0, 1, 2, 3]
    assert list(Protocol(frames="official").scored(range(2), 2, 1)) == [0]


def test_published_scores_average_to_the_published_mean():
    scores = [column for column in published_scores() if column.sequences]
    assert {"EM", "ST-MS", "LT-MS-K4"} <= {column.method for column in scores}
    for column in scores:
        assert len(column.sequences) == 20
        for statistic, mean in column.means.items():
            values = [sequence[statistic] for sequence in column.sequences.values()]
            assert np.mean(values) == pytest.approx(mean, abs=1e-3)


def test_table_shows_published_scores_of_known_sequences_only(root, tmp_path):
    shutil.copytree(root / "Annotations/480p/dog", root / "Annotations/480p/nobody")
    shutil.copy(root / "Flows/made/dog.npz", root / "Flows/made/nobody.npz")
    table = score_table(evaluate_all(root, tmp_path, ["dog", "nobody"]), "J_mean")
    assert list(table)[:4] == ["by_u", "published EM", "published ST-MS", "published LT-MS-K4"]
    assert table["published EM"] == {"dog": 0.808, "mean": 0.808}
    assert table["by_u"]["mean"] == np.mean([table["by_u"]["dog"], table["by_u"]["nobody"]])
    assert list(score_table(evaluate_all(root, tmp_path, ["nobody"]), "J_mean")) == ["by_u"]


def test_eval_writes_scores_table_and_report(root, tmp_path, capsys):
    out = tmp_path / "out"
    baselines = ["--baselines", "all_background", "upper_bound"]
    assert run_eval("--data", root, "--flow", "made", "--out", out, *baselines) == 0
    assert sorted(path.name for path in out.iterdir() if path.name[0] != ".") == [
        "datasets.csv",
        "evaluation.json",
        "frames.csv",
        "pictures",
        "report.html",
        "scores.csv",
        "scores.json",
    ]
    scores = json.loads((out / "scores.json").read_text())
    assert set(scores["sequences"]) == {"car", "dog"}
    for sequence in scores["sequences"].values():
        assert list(sequence) == ["J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay"]
    for measure in ("J_mean", "F_mean"):
        values = [sequence[measure] for sequence in scores["sequences"].values()]
        assert scores[measure] == pytest.approx(np.mean(values))
    assert scores["method"] == "otsu"
    assert scores["J_mean"] > 0.8
    assert scores["baselines"]["all_background"]["J_mean"] == 0
    assert not scores["partial"]
    with open(out / "scores.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 2
    assert (rows[1]["method"], rows[1]["sequence"], rows[1]["frames"]) == ("otsu", "dog", "4")
    assert float(rows[1]["J_mean"]) == pytest.approx(scores["sequences"]["dog"]["J_mean"], abs=1e-6)

    assert (out / "report.html").stat().st_size
    printed = capsys.readouterr().out
    table = [line for line in printed.splitlines() if line.startswith("|")]
    assert len({len(line) for line in table[: len(table) // 2]}) == 1  # aligned
    assert f"{scores['J_mean']:.3f}" in table[4]


def damage(root, what):
    masks = root / "Annotations/480p/dog"
    if what == "mask with three channels":
        Image.new("RGB", SIZE[::-1], (200, 0, 0)).save(masks / "00001.png")
        return masks / "00001.png"
    if what == "truncated mask":
        path = masks / "00002.png"
        path.write_bytes(path.read_bytes()[:60])
        return path
    if what == "mask that is no picture":
        (masks / "00002.png").write_text("hello")
        return masks / "00002.png"
    if what == "mask of another size":
        Image.new("L", (7, 5)).save(masks / "00003.png")
        return masks / "00003.png"
    if what == "more flows than masks":
        shutil.rmtree(root / "JPEGImages")
        for t in (2, 3, 4):
            (masks / f"0000{t}.png").unlink()
        return root / "Flows/made/dog.npz"
    if what == "fewer masks than frames":
        for t in (3, 4):
            (masks / f"0000{t}.png").unlink()
        return masks / "00003.png"
    if what == "fewer flows than frames":
        path = root / "Flows/made/dog.npz"
        np.savez(path, flow=np.load(path)["flow"][:3])
        return path
    if what == "flow on its side":
        path = root / "Flows/made/dog.npz"
        np.savez(path, flow=np.load(path)["flow"].transpose(0, 2, 1, 3))
        return path
    if what == "flow of one more place":
        (root / "Flows/made/dog").mkdir()
        write_flo(root / "Flows/made/dog/00000.flo", np.zeros((*FLOW_SIZE, 2), np.float32))
        return root / "Flows/made/dog"
    if what == "two series of masks":
        (masks / "00000.png").rename(masks / "b_00000.png")
        return masks
    if what == "missing mask":
        (masks / "00001.png").unlink()
        return masks / "00001.png"
    if what == "no masks":
        shutil.rmtree(masks)
        return masks
    if what == "damaged flow":
        path = root / "Flows/made/dog.npz"
        path.write_bytes(path.read_bytes()[:100])
        return path
    (root / "Flows/made/dog.npz").unlink()
    return root / "Flows/made/dog.npz"


@pytest.mark.parametrize(
    "what",
    [
        "mask with three channels",
        "truncated mask",
        "mask that is no picture",
        "mask of another size",
        "more flows than masks",
        "fewer masks than frames",
        "fewer flows than frames",
        "flow on its side",
        "flow of one more place",
        "two series of masks",
        "no masks",
        "damaged flow",
        "no flow",
        "missing mask",
    ],
)
def test_a_bad_file_is_named_and_the_results_so_far_are_kept(root, tmp_path, capsys, what):
    at_fault, out = damage(root, what), tmp_path / "out"
    named = ["--sequences", "car", "dog", "--baselines", "none"]
    assert run_eval("--data", root, "--flow", "made", "--out", out, *named) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert str(at_fault) in errors[0]
    scores = json.loads((out / "scores.json").read_text())
    assert list(scores["sequences"]) == ["car"]
    assert scores["partial"]
    assert len(scores["reasons"]) == 1
    assert str(at_fault) in scores["reasons"][0]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--flow", "none"], r"Flows/none: no such folder of flows, found made"),
        (["--select", "largest"], r"--select largest: unknown rule, expected salient, except_l"),
        (["--cut", "-1"], r"--cut -1: expected"),
        (["--checkpoint", "nowhere"], r"no checkpoint 'nowhere'"),
        (["--baselines", "magic"], r"baseline 'magic' is unknown, expected some of all_back"),
        (["--sequences", "cat"], r"cat: no such folder of masks"),
        (["--split", "val"], r"ImageSets/val\.txt: cannot be read \(no such list, there are one\)"),
        (["--protocol", "davis"], r"--protocol davis: unknown, expected davis2016, segtrack_v2"),
        (["--split", "one", "--sequences", "dog"], r"either sequences or a split"),
        (["--data", "nowhere"], r"^error: nowhere: no such folder"),
        (["--results", "masks", "--sharpen"], r"--sharpen: expected with --checkpoint"),
    ],
)
def test_a_wrong_option_gets_one_line(root, tmp_path, capsys, options, complaint):
    options = ["--data", root, "--flow", "made", "--out", tmp_path / "out", *options]
    assert run_eval(*options) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert re.search(complaint, error)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_reported_before_anything_is_computed(root, tmp_path):
    (tmp_path / "file").write_text("")
    assert run_eval("--data", root, "--flow", "made", "--out", tmp_path / "file" / "out") == 2


@pytest.mark.parametrize("left", [0, 1])
def test_a_video_with_a_frame_missing_is_not_shown_and_one_without_any_is_scored(
    root, tmp_path, left
):
    for picture in sorted((root / "JPEGImages/480p/dog").iterdir())[left:]:
        picture.unlink()
    plan = DatasetPlan("made", root, "made", Protocol(), ("dog",))
    options = Options(write_pictures=write_layers, include_frames=True)
    *_, last = evaluate(tmp_path, [plan], [Network("by_u", lambda: by_u)], options)
    run = last.datasets[0].runs[0]
    assert len(run.sequences) == 1 - left
    assert [failure.reason for failure in run.failures] == [
        "dog: no picture of frame 00001 in JPEGImages/480p/dog, which has 1"
    ][:left]


def test_eval_runs_as_a_program(root, tmp_path):
    command = [sys.executable, "eval.py", "--data", root, "--flow", "none", "--out", tmp_path]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


@pytest.mark.real
def test_otsu_on_real_flow_is_the_bar_it_was_measured_to_be(shared):
    # The first 25 frames, every sixth: 0.645 in the study that set the bar.
    from jaxmotion.baselines.threshold import otsu
    from jaxmotion.evaluation.methods import upsample_foreground

    scores = []
    for sequence in find_sequences(shared / "data/davis", "raft", split="dev"):
        flow, _, gt = sequence.read()
        found = upsample_foreground(otsu(flow[:25:6]), gt.shape[1:])
        scores.append(sequence_statistics(jaccard(gt[:25:6], found))[0])
    assert len(scores) == 8
    assert np.mean(scores) == pytest.approx(0.645, abs=0.01)
