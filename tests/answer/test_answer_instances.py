"""`jaxmotion instances` on a made-up video, and the tables and pictures that it writes."""

import csv

import jax
import numpy as np
import pytest
from PIL import Image

from jaxmotion.cli import main
from jaxmotion.data import DataConfig, write_image
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.optical_flow import write_flow_npz
from jaxmotion.options import to_json
from jaxmotion.tasks.instances_config import ClusteringConfig, InstancesConfig
from jaxmotion.training.checkpoints import Checkpoints
from jaxmotion.training.config import Config

HEIGHT, WIDTH, FRAMES = 45, 63, 6


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    root = tmp_path_factory.mktemp("clip")
    rng = np.random.default_rng(1)
    for t in range(FRAMES):
        picture = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        write_image(root / "clip" / f"shot_{t:04d}.jpg", picture)
    flow = rng.normal(0, 0.1, (FRAMES - 1, HEIGHT, WIDTH, 2)).astype(np.float32)
    flow[:, 10:35, 5:30] += 6
    write_flow_npz(root / "flow.npz", flow)
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder with a network of random parameters whose seeds are all good enough."""
    task = InstancesConfig(
        network=NetworkConfig(widths=(4, 8), kernel=(1, 3, 3)),
        clustering=ClusteringConfig(least_seed=0.0, min_seed=0.0, max_instances=2),
        inference=InferenceConfig(window=3, overlap=1),
    )
    config = Config(data=DataConfig(height=16, width=24, clip_length=3), task=task)
    clip = {"flow": np.zeros((1, 3, 16, 24, 2), np.float32)}
    params = jax.jit(task.build(config.data).init)(jax.random.key(0), clip)["params"]
    folder = tmp_path_factory.mktemp("run")
    checkpoints = Checkpoints(folder, to_json(config))
    checkpoints.best.save(3, {"params": params}, {"loss": 0.5, "quality": 0.5})
    checkpoints.close()
    return folder


def test_masks_tracks_motions_and_a_page(clip, run, tmp_path, capsys):
    flow = ["--flow", str(clip / "flow.npz"), "--out", str(tmp_path / "out")]
    options = [*flow, "--checkpoint", str(run), "--export", "coco"]
    assert main(["instances", str(clip / "clip"), *options]) == 0
    with (tmp_path / "out" / "tracks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert f"{len(rows)} object" in capsys.readouterr().out
    assert [int(row["track"]) for row in rows] == list(range(1, 1 + len(rows)))
    assert all(1 <= int(row["frames"]) <= FRAMES - 1 for row in rows)
    for name, highest in (("masks", len(rows)), ("moving", 255)):
        pictures = sorted((tmp_path / "out" / name).iterdir())
        assert [picture.stem for picture in pictures] == [f"shot_{t:04d}" for t in range(FRAMES)]
        values = np.stack([np.asarray(Image.open(picture)) for picture in pictures])
        assert values.shape == (FRAMES, HEIGHT, WIDTH)
        assert values.max() <= highest
    with np.load(tmp_path / "out" / "theta.npz") as motions:
        assert motions["theta"].shape[1] == 1 + len(rows)
        assert motions["start"].tolist() == [0, 2]
    assert (tmp_path / "out" / "coco.json").is_file()
    assert 'id="data"' in (tmp_path / "out" / "index.html").read_text()


def test_segment_refuses_what_objects_do_not_have(clip, run, tmp_path, capsys):
    options = ["--checkpoint", str(run), "--out", str(tmp_path / "out"), "--latents"]
    assert main(["segment", str(clip / "clip"), *options]) == 2
    assert "--latents: expected without it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_segmenter_finds_no_instances(clip, untrained_run, tmp_path, capsys):
    options = ["--checkpoint", str(untrained_run), "--out", str(tmp_path / "out")]
    assert main(["instances", str(clip / "clip"), *options]) == 2
    assert "expected one of instances" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
