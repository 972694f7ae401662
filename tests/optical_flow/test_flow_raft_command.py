"""RAFT by name, and `jaxmotion flow` with it: from a raw video to flow, and on to an overlay."""

import hashlib
import json
import os
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
from raft_files import random_small, write_npz

from jaxmotion import cli
from jaxmotion.data import VideoWriter, open_video, write_image
from jaxmotion.errors import InputError
from jaxmotion.optical_flow import flo_size, make_estimator
from jaxmotion.optical_flow.raft import RAFTEstimator

PROGRAM = [sys.executable, "-c", "import sys; from jaxmotion.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of random weights of the small network."""
    path = tmp_path_factory.mktemp("weights") / "random.npz"
    write_npz(path, random_small())
    return path


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "xla"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def moving_texture(count, height, width):
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (height, width + 2 * count, 3)), (0, 0), 2)
    texture = np.clip(4 * (texture - 127) + 127, 0, 255).astype(np.uint8)
    return [np.ascontiguousarray(texture[:, 2 * t : 2 * t + width]) for t in range(count)]


def run(*argv):
    return cli.main([str(argument) for argument in argv])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "raft_small needs weights: get the official ones with `jaxmotion w"),
        (("--weights", "none.pth"), "none.pth: cannot be read"),
        (("--weights", "RANDOM", "--iterations", "0"), "iterations 0: expected at least 1"),
        (("--weights", "RANDOM", "--correlation", "no"), "correlation 'no': expected one of auto"),
        (("--weights", "RANDOM", "--estimator", "raft"), "weights of the small RAFT network"),
        (("--weights", "RANDOM", "--estimator", "dis"), "has no setting 'weights', expected pres"),
    ],
)
def test_wrong_options_are_one_line(options, words, weights, tmp_path, capsys):
    for t, frame in enumerate(moving_texture(2, 20, 30)):
        write_image(tmp_path / "frames" / f"{t}.png", frame)
    options = [weights if option == "RANDOM" else option for option in options]
    assert run("flow", "frames", "--out", "out", "--estimator", "raft_small", *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_settings_that_are_none_are_left_to_the_estimator(weights):
    estimator = make_estimator("raft_small", weights=weights, iterations=None, correlation=None)
    assert isinstance(estimator, RAFTEstimator)
    assert estimator.name == "raft_small"
    assert estimator.settings == {
        "weights": "random.npz",
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "iterations": 20,
    }
    assert estimator.network(480, 854).correlation == "all_pairs"
    assert estimator.network(1080, 1920).correlation == "on_demand"
    assert make_estimator("dis", weights=None).name == "dis"
    with pytest.raises(InputError, match="expected one size"):
        estimator(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 72, 3), np.uint8))


def test_flow_of_a_folder_and_again(weights, tmp_path, capsys):
    for t, frame in enumerate(moving_texture(3, 40, 70)):
        write_image(tmp_path / "frames" / f"{t}.png", frame)
    options = ("--estimator", "raft_small", "--weights", weights, "--iterations", 1)
    assert run("flow", "frames", "--out", "out", *options, "--color") == 0
    out = tmp_path / "out"
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*.*"))
    assert [f for f in files if ".part" in f] == []
    assert files == [
        "0.flo",
        "1.flo",
        "color/0.png",
        "color/1.png",
        "fields.jsonl",
        "flow.json",
    ]
    assert flo_size(tmp_path / "out" / "0.flo") == (40, 70)
    described = json.loads((tmp_path / "out" / "flow.json").read_text())
    assert described["estimator"] == "raft_small"
    assert described["settings"]["iterations"] == 1
    assert "2 flow fields (.flo)" in capsys.readouterr().out
    assert run("flow", "frames", "--out", "out", *options) == 0
    assert "2 of them there before" in capsys.readouterr().out
    assert run("flow", "frames", "--out", "out", *options[:-1], 2) == 2
    assert "holds flow with settings" in capsys.readouterr().err


def film(path, count, height, width):
    with VideoWriter(path, fps=25) as writer:
        for frame in moving_texture(count, height, width):
            writer.write(frame)


def segments_into_an_overlay(count, untrained_run, tmp_path):
    options = ("--checkpoint", untrained_run, "--flow", "flow")
    assert run("segment", "film.mp4", "--out", "segments", *options) == 0
    out = tmp_path / "segments"
    assert len(list(open_video(out / "overlay.mp4"))) == count
    assert len(list((out / "masks").iterdir())) == count
    assert [path for path in out.iterdir() if ".part" in path.name] == []


def test_from_a_raw_video_over_an_interrupt_to_an_overlay(
    untrained_run, tmp_path, break_dis_off, capfd
):
    count = 6
    film(tmp_path / "film.mp4", count, 40, 64)
    calls = break_dis_off(3)
    assert run("flow", "film.mp4", "--out", "flow") == 130
    assert len(list((tmp_path / "flow").glob("*.flo"))) == 2
    capfd.readouterr()
    assert run("flow", "film.mp4", "--out", "flow") == 0
    assert len(calls) == 3 + (count - 1 - 2)
    said = capfd.readouterr()
    assert f"{count - 1} flow fields (.flo), 2 of them there before" in said.out
    assert f"{count - 1}/{count - 1}" in said.err  # the progress bar
    segments_into_an_overlay(count, untrained_run, tmp_path)


@pytest.mark.slow
def test_from_a_raw_video_over_a_kill_to_an_overlay(untrained_run, tmp_path, killed_in_dis):
    count = 60
    film(tmp_path / "film.mp4", count, 240, 320)
    arguments = ["flow", "film.mp4", "--out", "flow", "--estimator", "dis"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    first = subprocess.run(
        killed_in_dis(PROGRAM[-1], *arguments), env=environment, capture_output=True
    )
    assert first.returncode == -signal.SIGKILL
    command = [*PROGRAM, *arguments]
    kept = sorted((tmp_path / "flow").glob("[0-9]*.flo"))
    assert len(kept) == 3
    assert all(flo_size(path) == (240, 320) for path in kept)  # none of them half-written
    second = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"{count - 1} flow fields (.flo), {len(kept)} of them there before" in second.stdout
    assert f"{count - 1}/{count - 1}" in second.stderr  # the progress bar
    segments_into_an_overlay(count, untrained_run, tmp_path)


@pytest.mark.slow
def test_segment_estimates_its_flow_with_raft(weights, untrained_run, tmp_path):
    for t, frame in enumerate(moving_texture(3, 48, 64)):
        write_image(tmp_path / "frames" / f"{t}.png", frame)
    options = ("--checkpoint", untrained_run, "--estimator", "raft_small", "--weights", weights)
    assert run("segment", "frames", "--out", "out", *options) == 0
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 3
    assert len(list(open_video(tmp_path / "out" / "overlay.mp4"))) == 3
