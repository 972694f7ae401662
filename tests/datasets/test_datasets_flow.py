"""The flow of a record: from files with what made them, or estimated while building, resumed."""

import hashlib
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from original_layouts import FLOW_SIZE, make_davis2016, make_video_flow
from raft_files import random_small, write_npz

from jaxmotion.data import open_source
from jaxmotion.optical_flow import write_flo

TWO = {"train": ("bear",), "val": ("dog",)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of random weights of the small RAFT network."""
    path = tmp_path_factory.mktemp("weights") / "random.npz"
    write_npz(path, random_small())
    return path


def test_the_trainer_sees_the_same_clips_as_from_the_original_files(original, tmp_path, build):
    archive = original("davis2016")
    sequence = archive / "Flows/made/car.npz"  # unknown pixels have to stay unknown
    known = np.random.default_rng(0).random((3, *FLOW_SIZE)) > 0.3
    np.savez(sequence, flow=np.load(sequence)["flow"], valid=known)
    status, _, err = build("davis2016", archive)
    assert status == 0, err
    spec = f"tfds:{tmp_path}/built/davis2016/files"
    for options in (
        {"clip_length": 2},
        {"clip_length": 2, "intervals": (1, -1), "size": (4, 10)},
        {"clip_length": 3, "size": (12, 16)},
    ):
        ours = open_source(spec, **options)
        theirs = open_source(archive, **options)
        assert len(ours) == len(theirs) > 4
        for i in range(len(theirs)):
            assert ours[i]["name"] == theirs[i]["name"]
            np.testing.assert_array_equal(ours[i]["flow"], theirs[i]["flow"])
            np.testing.assert_array_equal(ours[i]["valid"], theirs[i]["valid"])
    names = {ours[i]["name"].split("/")[0] for i in range(len(ours))}
    assert names == {"bear", "bus", "car", "dog", "goat"}
    validation = open_source(spec, split="validation", clip_length=3)
    assert [validation[i]["name"] for i in range(2)] == ["dog/00000", "goat/00000"]
    train, held_out = open_source(spec, clip_length=3).hold_out(0.4)
    assert len(train) == 3
    assert len(held_out) == 2


@pytest.mark.parametrize(("gap", "direction", "sign"), [(1, "forward", 1), (2, "backward", -1)])
def test_what_flow_json_says_of_files_is_kept(gap, direction, sign, tmp_path, build, records):
    make_video_flow(tmp_path / "videos")
    folder = tmp_path / "videos/Flows/made/walk"
    folder.with_suffix(".npz").unlink()
    first = gap if direction == "backward" else 0  # a field has the number of its frame
    for t in range(4 - gap):
        write_flo(folder / f"{first + t}.flo", np.full((*FLOW_SIZE, 2), t, np.float32))
    settings = {"weights": "w.pth", "weights_sha256": "0a1b", "iterations": 3}
    origin = {"estimator": "raft", "settings": settings, "gap": gap, "direction": direction}
    (folder / "flow.json").write_text(json.dumps(origin))
    status, _, err = build("video_flow", tmp_path / "videos")
    assert status == 0, err
    found = records("video_flow/files", "train")
    record = found["walk"]
    assert record["flow"].shape == (4 - gap, *FLOW_SIZE, 2)
    assert (record["frame_gap"], record["flow_sign"]) == (gap, sign)
    assert record["estimator"] == b"raft"
    assert json.loads(record["estimator_settings"]) == settings
    assert record["weights_sha256"] == b"0a1b"
    assert found["run"]["estimator"] == b"files"


@pytest.mark.parametrize("text", ["{", "[]", '{"estimator": "dis", "settings": {}, "gap": 0}'])
def test_a_damaged_flow_json_is_named(text, tmp_path, build):
    make_video_flow(tmp_path / "videos")
    folder = tmp_path / "videos/Flows/made/walk"
    folder.with_suffix(".npz").unlink()
    for t in range(3):
        write_flo(folder / f"{t}.flo", np.zeros((*FLOW_SIZE, 2), np.float32))
    (folder / "flow.json").write_text(text)
    status, _, err = build("video_flow", tmp_path / "videos")
    assert status == 2
    assert f"error: {folder / 'flow.json'}: damaged" in err


def test_dis_flow_is_estimated_while_building(tmp_path, build, records):
    make_davis2016(tmp_path / "DAVIS", TWO, pairs=False)
    status, _, err = build("davis2016", tmp_path, "--flow", "dis")
    assert status == 0, err
    assert "dis bear" in err  # a progress bar for each sequence
    record = records("davis2016/dis", "validation")["dog"]
    assert record["flow"].shape == (3, 128, 224, 2)
    inner = record["flow"][:, 20:-20, 40:-40].astype(np.float32)
    assert np.abs(np.median(inner, axis=(0, 1, 2)) - [2, 0]).max() < 0.2  # as the texture moves
    assert record["estimator"] == b"dis"
    assert json.loads(record["estimator_settings"]) == {"preset": "fine"}
    assert not list((tmp_path / "built/.unfinished").iterdir())


@pytest.mark.parametrize("name", ["davis2017_motion", "flying_things3d", "moca", "segtrack_v2"])
def test_estimated_flow_needs_no_other_flow(name, original, tmp_path, build):
    root = original(name)
    for folder in (root / "Flows", root / "optical_flow"):
        if folder.exists():
            folder.rename(tmp_path / "away")
    status, _, err = build(name, root, "--flow", "dis")
    assert status == 0, err


def test_a_build_that_broke_off_goes_on_at_the_very_frame(
    tmp_path, build, records, monkeypatch, break_dis_off
):
    root = tmp_path / "DAVIS"
    make_davis2016(root, TWO, num_frames=6)
    calls = break_dis_off(4)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert build("davis2016", root, "--flow", "dis")[0] == 130
    assert not list((tmp_path / "built/davis2016/dis").glob("*"))
    kept = sorted((tmp_path / "built/.unfinished/davis2016-dis").rglob("*.npy"))
    assert len(kept) == 3
    kept[1].write_bytes(kept[1].read_bytes()[:200])  # a damaged one is made again

    status, _, err = build("davis2016", root, "--flow", "dis")
    assert status == 0, err
    assert len(calls) == 4 + 1 + 2 + 5
    resumed = records("davis2016/dis", "train")["bear"]["flow"]
    (tmp_path / "built").rename(tmp_path / "first")
    assert build("davis2016", root, "--flow", "dis")[0] == 0
    np.testing.assert_array_equal(resumed, records("davis2016/dis", "train")["bear"]["flow"])


@pytest.mark.slow
def test_a_build_that_was_killed_goes_on(tmp_path, records, killed_in_dis):
    make_davis2016(tmp_path / "DAVIS", TWO, num_frames=12)
    arguments = ["--manual-dir", tmp_path, "--data-dir", tmp_path / "built", "--flow", "dis"]
    arguments = ["build", "davis2016", *arguments]
    program = "runpy.run_module('jaxmotion_datasets', run_name='__main__')"
    killed = subprocess.run(killed_in_dis(program, *arguments), capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "built/.unfinished").rglob("[0-9]*.npy"))) == 3
    command = [sys.executable, "-m", "jaxmotion_datasets", *arguments]
    assert not (tmp_path / "built/davis2016/dis/1.0.0").exists()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "1 in train, 1 in validation" in done.stdout
    assert records("davis2016/dis", "train")["bear"]["flow"].shape == (11, 128, 224, 2)
    assert [path.name for path in (tmp_path / "built/davis2016/dis").iterdir()] == ["1.0.0"]


def test_what_an_estimator_lacks_is_said_before_the_archive_is_read(tmp_path, build):
    make_davis2016(tmp_path / "DAVIS", TWO)
    (tmp_path / "DAVIS/ImageSets/480p/val.txt").unlink()
    for options, words in (
        ((), "needs weights"),
        (("--weights", tmp_path / "none.pth"), "none.pth: cannot be read"),
    ):
        status, _, err = build("davis2016", tmp_path, "--flow", "raft_small", *options)
        assert status == 2
        assert words in err.strip().splitlines()[-1]


def test_raft_flow_is_estimated_while_building(weights, tmp_path, build, records):
    make_davis2016(tmp_path / "DAVIS", TWO, num_frames=3)
    options = ("--flow", "raft_small", "--weights", weights, "--iterations", 1)
    status, _, err = build("davis2016", tmp_path, *options)
    assert status == 0, err
    assert "raft_small dog" in err
    record = records("davis2016/raft_small", "validation")["dog"]
    assert record["flow"].shape == (2, 128, 224, 2)
    assert np.isfinite(record["flow"]).all()
    assert np.abs(record["flow"]).max() > 0
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert record["estimator"] == b"raft_small"
    assert record["weights_sha256"].decode() == digest
    assert json.loads(record["estimator_settings"])["iterations"] == 1
