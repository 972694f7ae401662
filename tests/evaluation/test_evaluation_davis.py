"""The evaluation of a small made-up DAVIS folder, through the library and through `eval.py`."""

import csv
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from jaxmotion.cli import run_command
from jaxmotion.errors import InputError
from jaxmotion.evaluation import (
    Protocol,
    evaluate,
    find_sequences,
    published_scores,
    score_table,
)
from jaxmotion.evaluation.protocol import segment
from jaxmotion.evaluation.scores import boundary_f, jaccard, sequence_statistics
from jaxmotion.optical_flow.formats import write_flo

REPOSITORY = Path(__file__).parent.parent.parent
SIZE, FLOW_SIZE, FRAMES = (24, 40), (12, 20), 5


def ground_truth(left):
    masks = np.zeros((FRAMES, *SIZE), bool)
    for t in range(FRAMES):
        masks[t, 6:18, left + t : left + t + 12] = True
    return masks


def write_sequence(root, name, left, as_flo=False):
    """Masks, frames, and a flow of 3 px to the right on the object, 1 px down elsewhere."""
    masks = ground_truth(left)
    for kind, suffix in (("Annotations", "png"), ("JPEGImages", "jpg")):
        folder = root / kind / "480p" / name
        folder.mkdir(parents=True)
        for t, mask in enumerate(masks):
            grey = mask.astype(np.uint8) * 255
            picture = grey if suffix == "png" else np.stack([grey, grey // 2, grey // 4], -1)
            Image.fromarray(picture).save(folder / f"{t:05d}.{suffix}")
    flow = np.stack(
        [cv2.resize(mask.astype(np.float32), FLOW_SIZE[::-1]) for mask in masks[:-1]]
    )[..., None] > 0.5  # fmt: skip
    flow = np.where(flow, np.float32([3, 0]), np.float32([0, 1])).astype(np.float32)
    flows = root / "Flows" / "made"
    flows.mkdir(parents=True, exist_ok=True)
    if as_flo:
        (flows / name).mkdir()
        for t, frame in enumerate(flow):
            write_flo(flows / name / f"{t:05d}.flo", frame)
    else:
        np.savez(flows / f"{name}.npz", flow=flow.astype(np.float16))


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "davis"
    write_sequence(root, "dog", left=4)
    write_sequence(root, "car", left=10, as_flo=True)
    write_sequence(root, "unused", left=0)
    (root / "Flows/made/unused.npz").unlink()
    (root / "ImageSets").mkdir()
    (root / "ImageSets/one.txt").write_text("dog\n")
    return root


def by_u(flow):
    """Two masks: what moves to the right, and the rest."""
    right = np.clip(flow[..., 0] / 3, 0, 1)
    return np.stack([right, 1 - right], axis=-1)


def test_sequences_are_those_with_flow_and_masks(root):
    assert [s.name for s in find_sequences(root, "made")] == ["car", "dog"]
    assert [s.name for s in find_sequences(root, "made", ["dog", "car"])] == ["dog", "car"]
    assert [s.name for s in find_sequences(root, "made", split="one")] == ["dog"]


def test_both_flow_formats_are_read_and_the_last_frame_has_no_flow(root):
    for sequence, left in zip(find_sequences(root, "made"), (10, 4), strict=True):
        flow, masks = sequence.read()
        assert flow.shape == (FRAMES - 1, *FLOW_SIZE, 2)
        np.testing.assert_array_equal(masks, ground_truth(left)[:-1])
        assert sequence.read_frame(0).shape == (*SIZE, 3)


def test_evaluation_scores_the_upsampled_foreground(root):
    results = list(
        evaluate("by_u", by_u, find_sequences(root, "made"), Protocol(), ["all_background"])
    )
    for result, left in zip(results, (10, 4), strict=True):
        gt = ground_truth(left)[:-1]
        flow = find_sequences(root, "made", [result.name])[0].read()[0]
        expected = np.stack([cv2.resize(f, SIZE[::-1]) for f in flow[..., 0] / 3]) > 0.5
        assert 0.8 < jaccard(gt, expected).mean() < 1
        scores = result.scores["by_u"]
        np.testing.assert_array_equal(scores.jaccard, jaccard(gt, expected))
        np.testing.assert_array_equal(scores.boundary_f, boundary_f(gt, expected))
        np.testing.assert_array_equal(result.scores["all_background"].jaccard, 0)
        assert result.picture.dtype == np.uint8


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

    labels, foreground = segment(
        names_change_with_every_cut, flow, gt, Protocol("best_subset", cut)
    )
    assert seen == lengths
    assert jaccard(gt, foreground).min() > 0.8
    assert labels.shape == gt.shape


def test_official_frames_leave_out_the_first():
    assert Protocol(frames="official").scored(4) == slice(1, 4)
    assert Protocol(frames="flow").scored(4) == slice(0, 4)
    assert Protocol(frames="official").scored(1) == slice(0, 1)


def test_published_scores_average_to_the_published_mean():
    scores = published_scores()
    assert set(scores) == {"EM", "ST-MS", "LT-MS-K4"}
    for sequences in scores.values():
        assert len(sequences) == 21
        for measure in ("J_mean", "F_mean"):
            values = [getattr(s, measure) for name, s in sequences.items() if name != "mean"]
            assert np.mean(values) == pytest.approx(getattr(sequences["mean"], measure), abs=1e-3)


def test_table_shows_published_scores_of_known_sequences_only(root):
    shutil.copytree(root / "Annotations/480p/dog", root / "Annotations/480p/nobody")
    shutil.copy(root / "Flows/made/dog.npz", root / "Flows/made/nobody.npz")
    sequences = find_sequences(root, "made", ["dog", "nobody"])
    table = score_table(list(evaluate("by_u", by_u, sequences, Protocol(), ())), "J_mean")
    assert list(table) == ["by_u", "published EM", "published ST-MS", "published LT-MS-K4"]
    assert table["published EM"] == {"dog": 0.808, "mean": 0.808}
    assert table["by_u"]["mean"] == np.mean([table["by_u"]["dog"], table["by_u"]["nobody"]])
    only_new = list(evaluate("by_u", by_u, sequences[1:], Protocol(), ()))
    assert list(score_table(only_new, "J_mean")) == ["by_u"]


def run_eval(*args):
    specification = importlib.util.spec_from_file_location("eval_command", REPOSITORY / "eval.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["eval_command"] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return run_command(module.main, [str(arg) for arg in args])


def test_eval_writes_scores_table_and_report(root, tmp_path, capsys):
    out = tmp_path / "out"
    baselines = ["--baselines", "all_background", "upper_bound"]
    assert run_eval("--data", root, "--flow", "made", "--out", out, *baselines) == 0
    assert sorted(path.name for path in (out / "pictures").iterdir()) == ["car.png", "dog.png"]
    assert sorted(path.name for path in out.iterdir()) == [
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

    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert not re.search(r'(src|href)="(?!data:)', page)  # nothing to load
    printed = capsys.readouterr().out
    table = [line for line in printed.splitlines() if line.startswith("|")]
    assert len({len(line) for line in table[: len(table) // 2]}) == 1  # aligned
    assert f"{scores['J_mean']:.3f}" in table[4]


def damage(root, what):
    masks = root / "Annotations/480p/dog"
    if what == "mask with three channels":
        Image.new("RGB", SIZE[::-1]).save(masks / "00001.png")
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
        for t in (2, 3, 4):
            (masks / f"0000{t}.png").unlink()
        return root / "Flows/made/dog.npz"
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
        "no masks",
        "damaged flow",
        "no flow",
    ],
)
def test_a_bad_file_is_named_and_the_results_so_far_are_kept(root, tmp_path, capsys, what):
    at_fault, out = damage(root, what), tmp_path / "out"
    named = ["--sequences", "car", "dog", "--baselines", "none"]
    assert run_eval("--data", root, "--flow", "made", "--out", out, *named) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert str(at_fault) in errors[0]
    if what in ("no flow", "no masks"):  # seen before anything is computed
        assert not out.exists()
        return
    scores = json.loads((out / "scores.json").read_text())
    assert list(scores["sequences"]) == ["car"]
    assert scores["partial"]
    assert "Partial" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--flow", "none"], r"Flows/none: no such folder of flows, found made"),
        (["--select", "largest"], r"--select largest: unknown rule, expected except_largest"),
        (["--cut", "-1"], r"--cut -1: expected"),
        (["--checkpoint", "nowhere"], r"no checkpoint 'nowhere'"),
        (["--baselines", "magic"], r"baseline 'magic' is unknown, expected some of all_back"),
        (["--sequences", "cat"], r"cat: no such folder of masks"),
        (["--split", "val"], r"val\.txt: cannot be read"),
        (["--split", "one", "--sequences", "dog"], r"either sequences or a split"),
        (["--data", "nowhere"], r"^error: nowhere: no such folder"),
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


def test_frames_are_shown_only_when_asked_for(root):
    sequences = find_sequences(root, "made", ["dog"])
    heights = [
        next(evaluate("m", by_u, sequences, Protocol(), (), include_frames=frames)).picture.shape[0]
        for frames in (False, True)
    ]
    assert heights[1] > heights[0]
    shutil.rmtree(root / "JPEGImages")
    with pytest.raises(InputError, match="frame 1 is wanted"):
        next(
            evaluate(
                "m", by_u, find_sequences(root, "made", ["dog"]), Protocol(), (),
                include_frames=True,
            )
        )  # fmt: skip


def test_eval_runs_as_a_program(root, tmp_path):
    command = [sys.executable, "eval.py", "--data", root, "--flow", "none", "--out", tmp_path]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


@pytest.mark.real
def test_otsu_on_real_flow_is_the_bar_it_was_measured_to_be(shared):
    # The first 25 frames, every sixth: 0.645 in the study that set the bar.
    from jaxmotion.evaluation.baselines import otsu
    from jaxmotion.evaluation.protocol import upsample_foreground

    scores = []
    for sequence in find_sequences(shared / "data/davis", "raft", split="dev"):
        flow, gt = sequence.read()
        found = upsample_foreground(otsu(flow[:25:6]), gt.shape[1:])
        scores.append(sequence_statistics(jaccard(gt[:25:6], found))[0])
    assert len(scores) == 8
    assert np.mean(scores) == pytest.approx(0.645, abs=0.01)
