"""The demo: its commands in order, and a page that leads to what they made."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from jaxmotion import cli
from jaxmotion.data import write_image
from jaxmotion.data.video import open_video

NAMES = ("flow", "segment", "instances", "events")


def checked(out, frames):
    page = (out / "index.html").read_text()
    links = re.findall(r'href="([^"]+)"', page)
    assert [link.split("/")[0] for link in dict.fromkeys(links)] == [*NAMES]
    assert all((out / link).exists() for link in links)
    assert page.count("data:image/webp") == len(NAMES)
    assert "film.mp4 --out" in page
    assert open_video(out / "film.mp4").num_frames == frames


@pytest.fixture
def quick(monkeypatch):
    """The commands, each of which only leaves what the page leads to."""
    calls = []

    def command(name):
        def main(argv):
            video, option, out = argv[:3]
            calls.append((name, video, option))
            out = Path(out)
            out.mkdir(exist_ok=True)
            (out / "index.html").write_text(name)
            for number in range(5):
                for kind in ("color", "moving", "masks"):
                    write_image(out / kind / f"{number:05d}.png", np.zeros((240, 320), np.uint8))
            write_image(out / "timeline.png", np.zeros((90, 400, 3), np.uint8))

        return main

    for name in NAMES:
        module = importlib.import_module(f"jaxmotion.commands.{name}")
        monkeypatch.setattr(module, "main", command(name))
    return calls


def test_the_demo_runs_the_commands_and_links_to_them(quick, tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    out = tmp_path / "demo"
    for _ in range(2):  # its own results are replaced
        assert cli.run("demo", ["--out", str(out), "--frames", "6"]) == 0
    checked(out, 6)
    assert quick == 2 * [(name, str(out / "film.mp4"), "--out") for name in NAMES]
    assert f"{out / 'index.html'}: look here first" in capsys.readouterr().out
    assert opened == []
    assert cli.run("demo", ["--out", str(out), "--frames", "6", "--open"]) == 0
    assert opened == [(out / "index.html").resolve().as_uri()]


def test_a_file_of_somebody_else_is_kept(quick, tmp_path, capsys):
    (tmp_path / "index.html").write_text("mine")
    assert cli.run("demo", ["--out", str(tmp_path), "--frames", "6"]) == 2
    assert "index.html: is there and was not written by jaxmotion demo" in capsys.readouterr().err
    assert (tmp_path / "index.html").read_text() == "mine"
    assert quick == []


def test_too_few_frames(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run("demo", ["--frames", "3"]) == 2
    assert "frames 3: expected 4 or more" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_demo_as_it_is(tmp_path):
    assert cli.run("demo", ["--out", str(tmp_path), "--frames", "12"]) == 0
    checked(tmp_path, 12)
