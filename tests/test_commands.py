"""The commands as a stranger types them, right and wrong.

A wrong input is one line that begins with `error:` and names the thing, exit status 2, and nothing
left behind. Most commands run in this process, because each new one imports JAX; three do not.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import jaxmotion as jm
from jaxmotion import cli
from jaxmotion.commands import train
from jaxmotion.data import SceneSource, open_video, read_image, write_image
from jaxmotion.locks import locked
from jaxmotion.optical_flow import write_flo, write_flow_npz

ROOT = Path(__file__).parent.parent
SIZE = (40, 64)
FRAMES = 4
TINY_TRAINING = (
    *("--steps", "4", "--batch-size", "2", "--data.height", "16", "--data.width", "24"),
    *("--data.validation-clips", "2", "--network.widths", "4", "8", "--network.stem", "1"),
)


def status(command, *argv):
    argv = [str(argument) for argument in argv]
    try:
        return cli.main(argv) if command == "jaxmotion" else cli.run(command, argv)
    except SystemExit as leaving:  # how the parser of the command line ends
        return leaving.code


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "xla"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def refused(capsys):
    """Runs a command that must fail; returns its one line."""

    def run(command, *argv):
        assert status(command, *argv) == 2
        return one_error_line(capsys.readouterr().err)

    return run


def one_error_line(text):
    assert "Traceback" not in text
    lines = [line for line in text.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, text
    return lines[0]


def iou(a, b):
    return 1.0 if not (a | b).any() else (a & b).sum() / (a | b).sum()


def leftovers(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """A textured square that moves over a texture that moves the other way."""
    rng = np.random.default_rng(0)
    height, width = SIZE
    far, near = (
        cv2.GaussianBlur(rng.uniform(0, 255, (2 * height, 2 * width, 3)), (0, 0), 1.5)
        for _ in range(2)
    )
    folder = tmp_path_factory.mktemp("frames")
    for t in range(FRAMES):
        image = far[:height, 10 - 2 * t : 10 - 2 * t + width].copy()
        image[12:28, 16 + 2 * t : 36 + 2 * t] = near[12:28, 16:36]
        write_image(folder / f"{t:05d}.png", np.clip(3 * (image - 127) + 127, 0, 255).astype("u1"))
    return folder


@pytest.fixture(scope="module")
def davis(tmp_path_factory):
    """A DAVIS-layout root of one sequence with four masks and three flow fields."""
    root = tmp_path_factory.mktemp("davis")
    mask = np.zeros(SIZE, np.uint8)
    mask[10:30, 20:40] = 255
    flow = np.zeros((FRAMES - 1, *SIZE, 2), np.float32)
    flow[:, mask > 0] = (4, -2)
    write_flow_npz(root / "Flows" / "raft" / "square.npz", flow)
    for t in range(FRAMES):
        write_image(root / "Annotations" / "480p" / "square" / f"{t:05d}.png", mask)
    return root


# ------------------------------------------------------------------------------------- train.py


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["nonsense"], "unknown config 'nonsense': expected one of quickstart, em"),
        (["--steps", "0"], "steps 0: expected a whole number from 1"),
        (["--network.num-masks", "0"], "network.num_masks 0: expected a whole number from 1"),
        (["--network.num-masks", "1"], "network.num_masks 1: expected at least 2 to train"),
        (["--motion.degree", "-1"], "motion: degree must be at least 0"),
        (["--optimizer.learning-rate", "-1"], "optimizer.learning_rate -1.0: expected"),
        (["--seed", "2000000"], "seed 2000000: its scenes are kept for tests"),
        (["--accumulate", "3"], "--accumulate 3: expected parts that divide"),
        (["--data.source", "scenes:impossible"], "scenes:impossible: unknown level"),
        (["--data.source", "nowhere"], "nowhere: no such file or folder"),
        (["--data.validation-fraction", "2"], "data.validation_fraction 2.0: expected"),
        (["em"], "DAVIS: no such file or folder"),
    ],
)
def test_train_names_a_wrong_option(refused, tmp_path, argv, named):
    assert named in refused("train", *argv, "--workdir", "run")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--bogus", "3"], "--bogus"),
        (["--steps", "many"], "--steps"),
        (["--motion.spatial", "cubic"], "cubic"),
    ],
)
def test_train_and_its_parser_name_a_wrong_option(capsys, tmp_path, argv, named):
    assert status("train", *argv, "--workdir", "run") == 2
    error = capsys.readouterr().err
    assert named in " ".join(error.replace("│", "").split())
    assert "Traceback" not in error
    assert leftovers(tmp_path) == []


def test_train_into_a_folder_that_cannot_be(refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    for workdir in ("file", "file/run", "/proc/jaxmotion/run"):
        assert refused("train", "--workdir", workdir).startswith(f"error: {workdir}")
    assert (tmp_path / "file").read_text() == "mine"


def damage_nothing(folder):
    pass


def damage_truncated(folder):
    write_flo(folder / "0000.flo", np.ones((*SIZE, 2), np.float32))
    path = folder / "0001.flo"
    path.write_bytes((folder / "0000.flo").read_bytes()[:-100])


def damage_magic(folder):
    (folder / "0000.flo").write_bytes(b"P6 not a flow" * 10)


def damage_nan(folder):
    flow = np.zeros((2, *SIZE, 2), np.float32)
    flow[1, 3, 4] = np.nan
    np.savez(folder / "clip.npz", flow=flow)


def damage_gap(folder):
    for number in (0, 1, 3, 4):
        write_flo(folder / f"{number:04d}.flo", np.ones((*SIZE, 2), np.float32))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (damage_nothing, "flows: an empty folder"),
        (damage_truncated, "0001.flo: truncated"),
        (damage_magic, "0000.flo: not a .flo file"),
        (damage_nan, "clip.npz"),
        (damage_gap, "0002.flo"),
    ],
)
def test_train_on_damaged_data_names_the_file(refused, tmp_path, damage, named):
    (tmp_path / "flows").mkdir()
    damage(tmp_path / "flows")
    assert named in refused("train", "--data.source", "flows", "--workdir", "run")
    assert not (tmp_path / "run").exists()


# -------------------------------------------------------------------------------------- eval.py


def eval_arguments(data, out="scores"):
    return ("--data", data, "--out", out, "--baselines", "none")


def test_eval_scores_a_checkpoint_and_a_baseline(davis, untrained_run, tmp_path):
    options = ("--checkpoint", untrained_run, "--cut", "2", "--select", "except_largest")
    assert status("eval", *eval_arguments(davis), *options) == 0
    scores = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert scores["method"] == untrained_run.name
    assert set(scores["sequences"]) == {"square"}
    flow = np.load(davis / "Flows" / "raft" / "square.npz")["flow"]
    segmenter = jm.Segmenter.load(untrained_run)
    cuts = [segmenter(cut).argmax(-1) for cut in (flow[:2], flow[2:])]
    moving = np.concatenate([cut != np.bincount(cut.ravel()).argmax() for cut in cuts])
    expected = np.mean([iou(frame, flow[0, ..., 0] > 0) for frame in moving])
    assert 0.01 < scores["J_mean"] < 0.99
    assert scores["J_mean"] == pytest.approx(expected, abs=1e-6)
    assert status("eval", *eval_arguments(davis, "otsu"), "--checkpoint", "otsu") == 0
    otsu = json.loads((tmp_path / "otsu" / "scores.json").read_text())
    assert otsu["J_mean"] == 1  # the square moves, all else rests
    written = set(leftovers(tmp_path / "otsu"))
    pictures = {path for path in written if path.startswith("pictures/")}
    tables = {"scores.json", "scores.csv", "frames.csv", "datasets.csv", "evaluation.json"}
    assert written - pictures == {"report.html", ".jaxmotion.eval.json", *tables}
    assert {path.split("/square/")[1] for path in pictures} == {
        "truth.json",
        "flow.json",
        "otsu/segments.json",
    }


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--flow", "pwc"], "pwc: no such folder of flows, found raft"),
        (["--sequences", "circle"], "circle"),
        (["--split", "val"], "ImageSets/val.txt"),
        (["--select", "best"], "--select best: unknown rule"),
        (["--cut", "-1"], "--cut -1"),
        (["--checkpoint", "nothing"], "no checkpoint 'nothing'"),
        (["--baselines", "magic"], "baseline 'magic' is unknown"),
    ],
)
def test_eval_names_a_wrong_option(refused, davis, tmp_path, argv, named):
    assert named in refused("eval", *eval_arguments(davis), *argv)
    assert leftovers(tmp_path) == []


def test_eval_into_a_folder_that_cannot_be(refused, davis, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in ("file", "file/scores"):
        line = refused("eval", *eval_arguments(davis, out), "--checkpoint", "all_background")
        assert line.startswith("error: file")
    assert (tmp_path / "file").read_text() == "mine"


def test_eval_on_damaged_files_names_them(refused, tmp_path):
    flows = tmp_path / "Flows" / "raft" / "square"
    flows.mkdir(parents=True)
    masks = tmp_path / "Annotations" / "480p" / "square"
    arguments = eval_arguments(tmp_path)
    masks.mkdir(parents=True)
    assert "no sequence has both a flow" in refused("eval", *arguments)
    damage_truncated(flows)
    assert f"{masks}: no masks" in refused("eval", *arguments)
    (masks / "00000.png").write_text("no picture")
    (masks / "00001.png").write_text("no picture")
    assert "0001.flo: truncated" in refused("eval", *arguments)
    (flows / "0001.flo").unlink()
    assert "00000.png: not a picture" in refused("eval", *arguments)
    assert leftovers(tmp_path / "scores") == []


# ------------------------------------------------------------------------------ jaxmotion segment


def test_segment_writes_masks_overlay_and_parameters(frames, untrained_run, tmp_path, capsys):
    assert (
        status("jaxmotion", "segment", frames, "--out", "out", "--checkpoint", untrained_run) == 0
    )
    said = capsys.readouterr().out
    assert "out: index.html, masks, moving, overlay.mp4, theta.npz; " in said
    assert "ms/frame" in said
    assert "jaxmotion weights fetch raft-sintel" in said.splitlines()[-1]
    masks = sorted((tmp_path / "out" / "masks").iterdir())
    assert [path.name for path in masks] == [f"{t:05d}.png" for t in range(FRAMES)]
    assert read_image(masks[0]).shape == (*SIZE, 3)
    video = open_video(tmp_path / "out" / "overlay.mp4")
    assert len(list(video)) == FRAMES
    with np.load(tmp_path / "out" / "theta.npz") as archive:
        assert archive["theta"].shape == (FRAMES - 1, 2, 12)
        assert np.isfinite(archive["theta"]).all()
    assert [name for name in leftovers(tmp_path) if ".part" in name] == []


def test_segment_writes_what_else_is_asked_for(frames, untrained_run, tmp_path, capsys):
    argv = ("segment", frames, "--out", "out", "--checkpoint", untrained_run, "--estimator", "dis")
    more = ("--probabilities", "--saliency", "--export", "colmap", "coco", "--dilate", "2")
    assert status("jaxmotion", *argv, *more) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1  # who chose the estimator needs no advice
    assert "probabilities, saliency, overlay.mp4, theta.npz, colmap, coco.json; " in said[0]
    for kind in ("colmap/masks", "probabilities", "saliency"):
        assert len(list((tmp_path / "out" / kind).iterdir())) == FRAMES


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--dilate", "2"), "dilate 2: widens the masks of the exports colmap and nerfstudio"),
        (("--dilate=-1", "--export", "colmap"), "dilate -1: expected 0 or more pixels"),
        (("--weights", "raft.pth"), "weights are of one network: expected --estimator raft or"),
        (("--estimator", "raft"), "`jaxmotion weights fetch raft-sintel` or --download, or give"),
    ],
)
def test_segment_refuses_before_it_works(refused, options, words, frames, untrained_run, tmp_path):
    argv = ("segment", frames, "--out", "o", "--checkpoint", untrained_run)
    assert words in refused("jaxmotion", *argv, *options)
    assert not (tmp_path / "o").exists()


def test_weights_are_listed_taken_verified_and_removed(refused, tmp_path, capsys):
    assert status("jaxmotion", "weights") == 0
    table = capsys.readouterr().out
    assert [line.split()[3] for line in table.splitlines()] == ["cached", *["no"] * 4]
    (tmp_path / "wrong.pth").write_bytes(b"no weights")
    line = refused("jaxmotion", "weights", "fetch", "raft-small", "--file", "wrong.pth")
    assert "wrong.pth: its digest is sha256:" in line
    for options, words in (
        (("fetch",), "weights fetch: expected a name, see `jaxmotion weights list`"),
        (("list", "raft-small"), "weights list: expected no name"),
        (("fetch", "raft-tiny"), "weights 'raft-tiny': unknown, expected one of raft-sintel, raft"),
        (("verify", "raft-small"), "not there; `jaxmotion weights fetch raft-small` gets it"),
        (("remove", "raft-small"), "nothing to remove"),
        (("remove", "raft-small", "--file", "a"), "--file and --url belong to fetch"),
        (("fetch", "raft-small", "--file", "a", "--url", "b"), "expected --file or --url, not bo"),
    ):
        assert words in refused("jaxmotion", "weights", *options)
    assert leftovers(tmp_path / "cache") == []


@pytest.mark.real
def test_segment_takes_weights_from_the_cache(shared, frames, untrained_run, tmp_path, capsys):
    """As a user with RAFT's own file does, without any download."""
    file = shared / "data" / "raft" / "raft-small.pth"
    assert status("jaxmotion", "weights", "fetch", "raft-small", "--file", file) == 0
    assert status("jaxmotion", "weights", "verify", "raft-small") == 0
    argv = ("segment", frames, "--out", "out", "--checkpoint", untrained_run)
    assert status("jaxmotion", *argv, "--estimator", "raft_small") == 0
    assert "raft_small, weights raft-small.pth" in (tmp_path / "out" / "index.html").read_text()
    assert status("jaxmotion", "weights", "remove", "raft-small") == 0
    assert leftovers(tmp_path / "cache" / "jaxmotion" / "weights") == []


def test_segment_needs_a_video(refused, untrained_run, tmp_path):
    (tmp_path / "text.mp4").write_text("this is no film\n" * 100)
    (tmp_path / "empty").mkdir()
    for video in ("missing.mp4", "text.mp4", "empty", "/dev/null"):
        argv = ("segment", video, "--out", "out", "--checkpoint", untrained_run)
        assert video in refused("jaxmotion", *argv)
        assert leftovers(tmp_path / "out") == []


def test_segment_takes_as_many_masks_as_the_video_needs(
    refused, frames, slots_run, untrained_run, tmp_path, capsys
):
    argv = ("segment", frames, "--num-masks", "auto")
    assert status("jaxmotion", *argv, "--out", "out", "--checkpoint", slots_run) == 0
    said = capsys.readouterr().out.splitlines()
    with np.load(tmp_path / "out" / "theta.npz") as archive:
        count = archive["theta"].shape[1]
        assert archive["moving"].shape == (count,)
    assert 2 <= count <= 6
    assert f"{count} segments describe it most briefly" in said
    line = refused("jaxmotion", *argv, "--out", "again", "--checkpoint", untrained_run)
    assert f"{untrained_run}: segments into 2 always; expected a network with slots" in line
    assert not (tmp_path / "again").exists()


def test_segment_needs_two_frames(refused, frames, untrained_run, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "0.png").write_bytes((frames / "00000.png").read_bytes())
    argv = ("segment", "one", "--out", "out", "--checkpoint", untrained_run)
    assert "one" in refused("jaxmotion", *argv)


def test_segment_without_a_checkpoint_says_how_to_get_one(refused, frames, tmp_path):
    line = refused("jaxmotion", "segment", frames, "--out", "out", "--checkpoint", "none")
    assert "no checkpoint 'none'" in line
    assert "python train.py" in line
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.jpg").write_text("")
    (tmp_path / "notes.txt").write_text("")
    for other in ("holiday", "notes.txt"):
        argv = ("segment", frames, "--out", "out", "--checkpoint", other)
        assert other in refused("jaxmotion", *argv)
    assert leftovers(tmp_path / "out") == []


def test_segment_names_what_else_is_wrong(refused, frames, untrained_run, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "gap").mkdir()
    damage_gap(tmp_path / "gap")
    argv = ("segment", frames, "--checkpoint", untrained_run)
    assert "estimator 'magic'" in refused("jaxmotion", *argv, "--out", "o", "--estimator", "magic")
    assert "0002.flo: missing" in refused("jaxmotion", *argv, "--out", "o", "--flow", "gap")
    assert "nowhere" in refused("jaxmotion", *argv, "--out", "o", "--flow", "nowhere")
    write_flow_npz(tmp_path / "short.npz", np.ones((1, *SIZE, 2), np.float32))
    line = refused("jaxmotion", *argv, "--out", "o", "--flow", "short.npz")
    assert "1 flow fields for the 4 frames" in line
    for name, option, words in (
        ("b", "--backward", "backward flow with a gap of 1"),
        ("g", "--gap=2", "forward flow with a gap of 2"),
    ):
        assert status("jaxmotion", "flow", frames, "--out", name, option, "--format", "npz") == 0
        line = refused("jaxmotion", *argv, "--out", "o", "--flow", f"{name}/flow.npz")
        assert f"{words} (flow.json), expected forward flow with a gap of 1" in line
    for out in ("file", "file/out"):
        assert refused("jaxmotion", *argv, "--out", out).startswith("error: file")
    assert leftovers(tmp_path / "o") == []


def test_the_error_is_the_last_thing_on_the_terminal(
    frames, untrained_run, tmp_path, capsys, monkeypatch
):
    """Neither glued to a progress bar nor followed by one."""
    for t in range(FRAMES - 1):
        write_flo(tmp_path / "flow" / f"{t:05d}.flo", np.ones((*SIZE, 2), np.float32))
    write_flo(tmp_path / "flow" / f"{FRAMES - 2:05d}.flo", np.ones((20, 32, 2), np.float32))
    argv = ("segment", frames, "--out", "o", "--checkpoint", untrained_run, "--flow", "flow")
    assert status("jaxmotion", *argv) == 2
    *_, last = capsys.readouterr().err.rstrip("\n").split("\n")
    assert last.startswith("error: flow/00002.flo: flow of shape")

    def far(self, image0, image1):
        return np.full((*SIZE, 2), 600, np.float32)

    monkeypatch.setattr("jaxmotion.optical_flow.estimators.DIS.__call__", far)
    assert status("jaxmotion", "flow", frames, "--out", "f", "--format", "png") == 2
    *_, last = capsys.readouterr().err.rstrip("\n").split("\n")
    assert last.startswith("error: f/00000.png: ")
    assert "512" in last


def test_two_commands_into_one_folder(refused, frames, untrained_run, tmp_path):
    with locked(tmp_path / "o"):
        for argv in (
            ("segment", frames, "--out", "o", "--checkpoint", untrained_run),
            ("flow", frames, "--out", "o"),
        ):
            assert "o: another run is writing there" in refused("jaxmotion", *argv)
    assert leftovers(tmp_path) == []


# ----------------------------------------------------------------- models that come along, or go


def test_segment_uses_a_shipped_model(refused, frames, toy_models, tmp_path, monkeypatch):
    assert status("jaxmotion", "segment", frames, "--out", "out") == 0
    assert len(leftovers(tmp_path / "out" / "masks")) == FRAMES
    monkeypatch.setattr("jaxmotion.models.FOLDER", tmp_path / "out")
    line = refused("jaxmotion", "segment", frames, "--out", "again")
    assert "no checkpoint 'lt-ms-k4'" in line
    assert "(none is installed)" in line
    assert "no model is installed" in refused("jaxmotion", "models")


def test_models_are_listed_exported_and_scored(toy_models, davis, untrained_run, tmp_path, capsys):
    assert status("jaxmotion", "models") == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "method", "K", "parameters", "size", "metrics"]
    kinds = dict.fromkeys(("em-k2", "lt-ms-k4", "st-ms-k4"), "EM")
    kinds |= dict.fromkeys(("instances", "instances-video"), "instances")
    kinds |= dict.fromkeys(("foreground", "foreground-davis"), "foreground")
    kinds = dict(sorted((kinds | {"events": "events", "saliency": "classification"}).items()))
    rows, sentences = rows[: len(kinds)], rows[len(kinds) :]
    assert [row.split()[:2] for row in rows] == list(map(list, kinds.items()))
    assert [line.partition(":")[0] for line in sentences] == [f"{n} was trained on" for n in kinds]
    argv = ("export", untrained_run, "--out", "mine.safetensors", "--provenance", "two words")
    assert status("jaxmotion", *argv, "--command", "python train.py em") == 0
    assert "mine.safetensors: " in capsys.readouterr().out
    argv = (*eval_arguments(davis), "--checkpoint", "em-k2", "mine.safetensors")
    assert status("eval", *argv) == 0
    results = json.loads((tmp_path / "scores" / "evaluation.json").read_text())
    runs = {run["method"]: run for run in results["datasets"][0]["runs"]}
    assert list(runs) == ["em-k2", "mine"]
    assert runs["em-k2"]["source"] == "em-k2"  # no path of this machine
    scores = [run["sequences"][0]["objects"] for run in runs.values()]
    assert scores[0] == scores[1]  # one network under two names


def test_export_names_what_is_wrong(refused, untrained_run, tmp_path):
    (tmp_path / "taken.safetensors").write_text("mine")
    (tmp_path / "words.json").write_text('{"quality": "good"}')
    assert "no checkpoint 'none'" in refused(
        "jaxmotion", "export", "none", "--out", "a.safetensors"
    )
    argv = ("export", untrained_run, "--out")
    assert "a.pth: expected" in refused("jaxmotion", *argv, "a.pth")
    line = refused("jaxmotion", *argv, "taken.safetensors")
    assert "taken.safetensors: is there and no model file" in line
    for metrics, named in (("words.json", "no numbers"), ("none.json", "not a readable JSON")):
        line = refused("jaxmotion", *argv, "a.safetensors", "--metrics", metrics)
        assert metrics in line
        assert named in line
    assert refused("jaxmotion", *argv, "/proc/a.safetensors").startswith("error: /proc")
    assert (tmp_path / "taken.safetensors").read_text() == "mine"
    assert leftovers(tmp_path) == ["taken.safetensors", "words.json"]


@pytest.mark.slow
def test_train_starts_from_a_shipped_model(toy_models, monkeypatch, capsys):
    monkeypatch.setattr(train, "TEST_FRAMES", 4)
    monkeypatch.setattr(train, "TUNING_FRAMES", 4)
    argv = ("--workdir", "run", *TINY_TRAINING, "--network.input", "scaled", "--start", "em-k2")
    assert status("train", *argv) == 0
    assert "starting from the parameters of step 3" in capsys.readouterr().err


# --------------------------------------------------------------------------------- jaxmotion flow


def test_flow_of_a_folder_of_frames(frames, tmp_path):
    assert status("jaxmotion", "flow", frames, "--out", "flow") == 0
    assert len(list((tmp_path / "flow").glob("*.flo"))) == FRAMES - 1
    assert [name for name in leftovers(tmp_path) if ".part" in name] == []


def test_flow_names_what_is_wrong(refused, frames, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "missing.mp4" in refused("jaxmotion", "flow", "missing.mp4", "--out", "flow")
    line = refused("jaxmotion", "flow", frames, "--out", "flow", "--estimator", "magic")
    assert "estimator 'magic'" in line
    assert refused("jaxmotion", "flow", frames, "--out", "file/x").startswith("error: file")
    assert leftovers(tmp_path) == ["file"]


# ---------------------------------------------------------------------------- as separate programs


SCRIPT = "import sys; from jaxmotion.cli import main; sys.exit(main())"


AND_SAYS_WHAT_IT_IMPORTED = """
import sys
from jaxmotion.cli import main
try:
    status = main()
except SystemExit as leaving:
    status = leaving.code
print([name for name in ("jax", "flax", "cv2", "grain", "numpy") if name in sys.modules])
sys.exit(status)
"""


def program(*argv, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *argv], cwd=cwd, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        ([ROOT / "train.py", "nonsense"], "nonsense"),
        ([ROOT / "eval.py", "--data", "nowhere", "--out", "out"], "nowhere"),
        (
            ["-c", SCRIPT, "segment", "a.mp4", "--out", "out", "--checkpoint", "missing"],
            "missing",
        ),
    ],
)
def test_programs_end_with_one_line_and_status_2(tmp_path, argv, named):
    result = program(*map(str, argv), cwd=tmp_path)
    assert result.returncode == 2
    assert named in one_error_line(result.stderr)
    assert leftovers(tmp_path) == []


def test_progress_in_a_log_is_no_flood(tmp_path):
    counting = """
import sys, time
from jaxmotion.cli import run_command
def main(argv):
    from tqdm import tqdm
    for _ in tqdm(range(30)):
        time.sleep(0.02)
sys.exit(run_command(main, []))
"""
    result = program("-c", counting, cwd=tmp_path)
    assert result.returncode == 0
    assert "30/30" in result.stderr
    # As it starts, and as it ends; without, every 0.1 s.
    assert len(result.stderr.split("it/s")) <= 3


@pytest.mark.skipif(os.name == "nt", reason="there a pipe that nobody reads is another error")
@pytest.mark.parametrize(
    "argv", [["--help"], ["models", "--help"], ["train", "em", "--help"], ["models"]]
)
def test_output_that_nobody_reads_ends_a_command_without_a_word(argv):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stdout:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *argv], stdout=stdout, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (cli.READER_GONE, "")


@pytest.mark.parametrize(
    ("argv", "status", "named"),
    [
        (["--help"], 0, "usage: jaxmotion COMMAND"),
        ([], 2, "error: no command: expected one of demo, train, eval"),
        (["segmnt"], 2, "error: unknown command 'segmnt': did you mean 'segment'?"),
        (["--bogus"], 2, "error: unknown command '--bogus': expected one of demo"),
        *(((name, "--help"), 0, f"usage: jaxmotion {name}") for name in cli.COMMANDS),
        *(((name, "--hlep"), 2, f"jaxmotion {name}") for name in cli.COMMANDS),
        (["train", "lt_ms", "--network.num-masks", "0"], 2, "network.num_masks 0: expected"),
        (["train", "lt_ms", "--network.nmu-masks", "4"], 2, "--network.num-masks"),
        (["train", "ltms"], 2, "unknown config 'ltms'"),
        (["segment", "video", "--out", "o", "--overlp", "3"], 2, "--overlap"),
    ],
)
def test_the_command_line_is_answered_without_jax(tmp_path, argv, status, named):
    result = program("-c", AND_SAYS_WHAT_IT_IMPORTED, *argv, cwd=tmp_path)
    assert result.returncode == status
    *said, imported = result.stdout.splitlines()
    assert named in " ".join([*said, result.stderr])
    assert imported == ("['numpy']" if "train" in argv else "[]")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", ["train", "eval"])
def test_a_program_of_a_checkout_is_the_command(name, capsys):
    lines = (ROOT / f"{name}.py").read_text().splitlines()
    assert len(lines) <= 15
    assert f'run("{name}", sys.argv[1:], prog="{name}.py")' in lines[-1]
    for argv in ((name, "--out", "o", "--bogus", "3"), (name, "--out")):
        assert status("jaxmotion", *argv) == 2
        ours = capsys.readouterr().err
        with pytest.raises(SystemExit, match="2"):
            cli.run(name, argv[1:], prog=f"{name}.py")
        assert f"jaxmotion {name}" in ours
        assert f"{name}.py" in capsys.readouterr().err


@pytest.mark.parametrize(("ending", "expected"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_that_meets_a_destructor_still_ends_the_command(ending, expected):
    """Python ignores what a destructor raises, an interrupt too."""
    meeting = f"""
import signal, sys, time
from jaxmotion.cli import run_command
signal.signal(signal.SIGINT, signal.default_int_handler)
class Last:
    def __del__(self):
        signal.raise_signal({int(ending)})
def command(argv):
    Last()
    for _ in range(200):
        time.sleep(0.05)
sys.exit(run_command(command, []))
"""
    done = subprocess.run([sys.executable, "-c", meeting], capture_output=True, text=True)
    assert done.returncode == expected, done.stderr
    assert done.stderr.strip() in ("terminated", "interrupted")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_process_told_to_end_leaves_nothing_behind(frames, untrained_run, tmp_path, ending):
    argv = ("segment", frames, "--out", "out", "--checkpoint", untrained_run)
    # A shell that starts the tests in the background has them ignore these signals.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    heeding += "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", heeding + SCRIPT, *map(str, argv)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not (tmp_path / "out" / ".jaxmotion.segment.part").is_dir():
        time.sleep(0.05)
    process.send_signal(ending)
    _, error = process.communicate()
    assert process.returncode == {signal.SIGINT: 130}.get(ending, 128 + ending), error
    *_, last = error.rstrip("\n").split("\n")
    assert last == ("interrupted" if ending == signal.SIGINT else "terminated")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_train_ends_with_a_table_and_its_folder_takes_no_other_run(
    refused, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(train, "TEST_FRAMES", 4)
    monkeypatch.setattr(train, "TUNING_FRAMES", 4)
    assert "nowhere" in refused("train", "--workdir", "run", "--data.source", "nowhere")
    assert status("train", "--workdir", "run", *TINY_TRAINING) == 0
    output = capsys.readouterr().out
    for row in ("network", "otsu", "em_10", "upper_bound"):
        assert row in output
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["steps"] == 4
    clips = SceneSource("default", 1, (16, 24), train.TEST_SEED, 4)
    segmenter, scores = jm.Segmenter.load(tmp_path / "run"), []
    for clip in (clips[index] for index in range(4)):
        labels = segmenter(clip["flow"]).argmax(-1)
        moving = labels != np.bincount(labels.ravel()).argmax()
        scores.append(iou(moving, clip["labels"] > 0))
    assert summary["foreground_iou"] == pytest.approx(np.mean(scores), abs=1e-6)
    assert summary["upper_bound"] > max(0.5, summary["otsu"])
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 4

    before = leftovers(tmp_path / "run")
    line = refused("train", "--workdir", "run", *TINY_TRAINING, "--seed", "5")
    assert "seed: 0 → 5" in line
    assert "another --workdir" in line
    assert leftovers(tmp_path / "run") == before
