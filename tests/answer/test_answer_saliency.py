"""`jaxmotion saliency` on a made-up video, and the table and pictures that it writes."""

import csv
import json
import re

import numpy as np
import pytest
from classifier_run import write_classifier
from PIL import Image

from jaxmotion.cli import main
from jaxmotion.data import write_image
from jaxmotion.optical_flow import write_flow_npz

HEIGHT, WIDTH, FRAMES = 45, 63, 5


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    root = tmp_path_factory.mktemp("clip")
    rng = np.random.default_rng(1)
    flow = rng.normal(0, 0.1, (FRAMES - 1, HEIGHT, WIDTH, 2)).astype(np.float32)
    for t in range(FRAMES):
        picture = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        write_image(root / "clip" / f"shot_{t:04d}.jpg", picture)
        if t < FRAMES - 1:
            flow[t, 10:35, 5 + 3 * t : 30 + 3 * t] += 6
    write_flow_npz(root / "flow.npz", flow)
    return root


def answer(clip, run, out, *options):
    flow = ["--flow", str(clip / "flow.npz"), "--out", str(out)]
    return main(["saliency", str(clip / "clip"), "--checkpoint", str(run), *flow, *options])


@pytest.mark.parametrize("bias", [5.0, -50.0])
def test_a_table_pictures_and_a_page(clip, tmp_path, capsys, bias):
    run = write_classifier(tmp_path / "run", bias)
    assert answer(clip, run, tmp_path / "out") == 0
    salient = FRAMES - 1 if bias > 0 else 0
    assert f"something moves on its own in {salient} of {FRAMES - 1} frames" in (
        capsys.readouterr().out
    )
    with (tmp_path / "out" / "frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == [f"shot_{t:04d}" for t in range(FRAMES)]
    assert all((float(row["probability"]) > 0.5) == (bias > 0) for row in rows)
    assert all(0 <= float(row["lost_share"]) <= 1.001 for row in rows)
    for kind in ("moving", "saliency", "relevance"):
        pictures = sorted((tmp_path / "out" / kind).iterdir())
        assert len(pictures) == FRAMES
        values = np.stack([np.asarray(Image.open(picture)) for picture in pictures])
        assert values.shape == (FRAMES, HEIGHT, WIDTH)
        assert values.any() <= (bias > 0)
    page = (tmp_path / "out" / "index.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    np.testing.assert_allclose(
        data["likely"], [float(row["probability"]) for row in rows[:-1]], rtol=1e-4, atol=1e-9
    )
    assert data["settings"]["Regions"] == "layers of affine motion"


def test_segments_of_a_network_are_judged(clip, tmp_path, untrained_run):
    run = write_classifier(tmp_path / "run", 5.0)
    options = ("--segments", str(untrained_run), "--rule", "above_largest")
    assert answer(clip, run, tmp_path / "out", *options) == 0
    assert answer(clip, run, tmp_path / "out", *options) == 0  # in the place of the first


def test_what_is_not_ours_is_kept_and_a_segmenter_is_no_classifier(
    clip, tmp_path, untrained_run, capsys
):
    run = write_classifier(tmp_path / "run")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "frames.csv").write_text("mine")
    assert answer(clip, run, tmp_path / "out") == 2
    assert answer(clip, untrained_run, tmp_path / "other") == 2
    said = capsys.readouterr().err
    assert "frames.csv" in said
    assert "expected one that classifies frames" in said
