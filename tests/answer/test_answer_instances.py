"""`jaxmotion instances` on a made-up video, and the tables and pictures that it writes."""

import csv
import weakref

import jax
import numpy as np
import pytest
from PIL import Image

from jaxmotion.answer.events import EventAnswer
from jaxmotion.answer.instances import segment_instances
from jaxmotion.answer.kept import KeptTracks
from jaxmotion.cli import main
from jaxmotion.data import DataConfig, write_image
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.inference.instance_segmenter import InstanceSegmenter
from jaxmotion.inference.tracks import TrackedFrame
from jaxmotion.networks import Attention
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


def test_what_stops_is_still_there_for_events(clip, run, tmp_path, monkeypatch):
    """An object that rests is none of the network any more, but a track of the events."""
    segmenter = InstanceSegmenter.load(run)
    seen = 16  # frames in which it moves

    def track(fields):
        for t, (flow, _) in enumerate(fields):
            labels = np.zeros(flow.shape[:2], np.int32)
            if t < seen:
                labels[5:12, 3:10] = 4
            yield TrackedFrame(labels, labels, np.ones(labels.shape, np.float32), labels > 0)

    monkeypatch.setattr(segmenter, "track", track)
    told = []
    wanted = EventAnswer(fps=10.0, tell=lambda tracks: told.append(tracks) or [])
    flow, number = np.zeros((20, HEIGHT, WIDTH, 2), np.float32), 21
    flow[:seen, 10:35, 5:30, 1] = 0.01
    for t in range(number):
        write_image(tmp_path / "film" / f"{t:02d}.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    write_flow_npz(tmp_path / "flow.npz", flow)
    given = (tmp_path / "film", segmenter, tmp_path / "out", tmp_path / "flow.npz")
    segment_instances(*given, events=wanted, every_track=True)
    (tracks,) = told
    assert tracks.labels.tolist() == [1]
    assert np.isfinite(tracks.box).all()
    with (tmp_path / "out" / "tracks.csv").open(newline="") as file:
        assert [row["frames"] for row in csv.DictReader(file)] == [str(seen)]


def test_a_segmenter_finds_no_instances(clip, untrained_run, tmp_path, capsys):
    options = ["--checkpoint", str(untrained_run), "--out", str(tmp_path / "out")]
    assert main(["instances", str(clip / "clip"), *options]) == 2
    assert "expected one of instances" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("gate", [False, True])
def test_what_waits_on_disk_comes_back_as_it_was(tmp_path, gate):
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(3):
        flow, valid = rng.normal(size=(6, 8, 2)), rng.random((6, 8)) > 0.2
        labels, nearest = rng.integers(0, 9, (2, 6, 8)).astype(np.int32)
        weights = Attention(np.float32(1.5), rng.random((3, 4))) if gate else None
        found = TrackedFrame(labels, nearest, *rng.random((2, 6, 8)), weights)
        frames.append((flow, valid, found))
    with KeptTracks(tmp_path) as kept:
        for flow, valid, found in frames:
            kept.add(flow, valid.astype(np.float32), found)
        assert len(kept) == 3
        for index, again in [*enumerate(kept), (1, kept[1]), (0, kept[0])]:
            flow, valid, found = frames[index]
            np.testing.assert_array_equal(again.flow, np.float32(np.float16(flow)))
            np.testing.assert_array_equal(again.valid, valid)
            np.testing.assert_array_equal(again.found.labels, found.labels)
            np.testing.assert_array_equal(again.found.nearest, found.nearest)
            np.testing.assert_array_equal(again.found.probability, np.float16(found.probability))
            assert (again.found.attention is None) == (found.attention is None)
            for a, b in zip(again.found.attention or (), found.attention or (), strict=True):
                np.testing.assert_array_equal(a, b)
        assert list(tmp_path.iterdir()) == []  # its file has no name


def test_only_a_few_frames_are_in_memory(run, tmp_path, monkeypatch):
    """Of the flow that comes, and of the objects that are found in it."""
    alive, most = {"flow": 0, "objects": 0}, {"flow": 0, "objects": 0}

    def counted(kind, array):
        def gone():
            alive[kind] -= 1

        alive[kind] += 1
        most[kind] = max(most[kind], alive[kind])
        weakref.finalize(array, gone)
        return array

    def fields(video, flow, size):
        rng = np.random.default_rng(0)
        made = (rng.normal(size=(*size, 2)).astype(np.float32) for _ in range(80))
        return ((counted("flow", field), np.ones(size, np.float32)) for field in made), ()

    class Counting(KeptTracks):
        def add(self, flow, valid, found):
            super().add(flow, valid, found)
            counted("objects", found.labels)

    for t in range(81):
        write_image(tmp_path / "clip" / f"{t:04d}.png", np.full((24, 36, 3), t, np.uint8))
    monkeypatch.setattr("jaxmotion.answer.instances.open_fields", fields)
    monkeypatch.setattr("jaxmotion.answer.instances.KeptTracks", Counting)
    segmenter = InstanceSegmenter.load(run)
    found = segment_instances(tmp_path / "clip", segmenter, tmp_path / "out", tmp_path)
    assert found.frames == 80
    assert 1 <= most["flow"] <= 20
    assert 1 <= most["objects"] <= 20
