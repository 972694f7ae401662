"""`jaxmotion label`: labels without annotation, in a folder that training reads."""

import dataclasses
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from classifier_run import classifier_config

from jaxmotion.cli import main
from jaxmotion.data import open_source
from jaxmotion.data.sources import FlowSource
from jaxmotion.experiments.experiment import run_experiment
from jaxmotion.experiments.own_labels import write_own_labels
from jaxmotion.inference.instance_segmenter import InstanceSegmenter, TrackMasks
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.optical_flow import write_flow_npz

T, H, W = 6, 40, 64


@pytest.fixture(scope="module")
def flows(tmp_path_factory):
    root = tmp_path_factory.mktemp("flows")
    rng = np.random.default_rng(0)
    for name in ("one", "two", "three"):
        flow = rng.normal(0, 0.1, (T, H, W, 2)).astype(np.float32)
        flow[:, 10:30, 15:40] += 8
        write_flow_npz(root / f"{name}.npz", flow)
    return root


def test_labels_are_written_beside_their_flow_and_can_be_trained_on(
    flows, tmp_path, untrained_run, capsys
):
    out = tmp_path / "own"
    argv = ["label", str(flows), "--checkpoint", str(untrained_run), "--out", str(out)]
    assert main(argv) == 0
    assert capsys.readouterr().out.count("% moves") == 3
    source = open_source(out, fields=("flow", "valid", "labels"))
    assert len(source) == 3 * T
    clip = source[2]
    assert clip["labels"].shape == clip["valid"].shape == (1, H, W)
    before = open_source(flows)[2]
    np.testing.assert_allclose(clip["flow"], before["flow"], atol=0.01)
    # Chosen once for the video, as `salient_segments` chooses.
    assert set(np.unique(clip["labels"])) <= {0, 1}

    assert main(argv) == 2
    assert "holds something" in capsys.readouterr().err

    config = classifier_config()
    data = dataclasses.replace(
        config.data, source=f"scenes:parallax,{out}", validation_clips=4, validation_fraction=0.3
    )
    run_experiment(dataclasses.replace(config, data=data, steps=1, batch_size=4), tmp_path / "run")


def test_parts_of_what_moves_are_objects_of_their_own(tmp_path):
    # Left half and right half of a strip that moves, with a column between them that does not.
    still = np.ones((T, H, W), bool)
    still[:, 10:30, 15:25] = still[:, 10:30, 26:50] = False
    flow = np.repeat(np.where(still, 0, 8.0)[..., None], 2, axis=-1).astype(np.float32)
    write_flow_npz(tmp_path / "flows" / "two.npz", flow)

    class Two:
        def working_size(self, height, width):
            return height, width

        def __call__(self, flow, valid):
            moves = flow[..., 0] > 4
            return np.stack([~moves, moves], axis=-1).astype(np.float32)

    source = open_source(tmp_path / "flows")
    assert isinstance(source, FlowSource)
    for objects, values in ((False, [1, 1]), (True, [2, 1])):  # the larger one first
        out = tmp_path / f"own_{objects}"
        list(write_own_labels(source, cast(Segmenter, Two()), out, objects=objects))
        labels = open_source(out, fields=("flow", "labels"))[3]["labels"][0]
        assert [labels[20, 20], labels[20, 40]] == values
        np.testing.assert_array_equal(labels == 0, still[0])


def test_tracks_that_move_are_objects(tmp_path):
    # Two that move touch each other, as tracks 3 and 1; track 2 is a patch of what rests.
    tracks = np.zeros((T, H, W), int)
    tracks[:, 10:30, 15:25], tracks[:, 10:30, 25:40], tracks[:, 30:, :10] = 3, 1, 2
    flow = np.where(tracks % 2 == 1, 8.0, 0.0)[..., None].repeat(2, axis=-1)
    write_flow_npz(tmp_path / "flows" / "two.npz", flow.astype(np.float32))

    class Tracker:
        def working_size(self, height, width):
            return height, width

        def __call__(self, flow, valid):
            return SimpleNamespace(probabilities=np.eye(4, dtype=np.float32)[tracks])

    source = open_source(tmp_path / "flows")
    assert isinstance(source, FlowSource)
    masks = TrackMasks(cast(InstanceSegmenter, Tracker()))
    for objects, expected in ((False, tracks % 2), (True, np.where(tracks == 2, 0, tracks))):
        out = tmp_path / f"own_{objects}"
        list(write_own_labels(source, masks, out, objects=objects))
        labels = open_source(out, fields=("flow", "labels"))[3]["labels"][0]
        np.testing.assert_array_equal(labels, expected[0])


def test_a_network_of_objects_labels_and_one_of_salient_frames_does_not(
    flows, toy_models, tmp_path, capsys
):
    argv = ["label", str(flows), "--objects", "--out", str(tmp_path / "own")]
    assert main([*argv, "--checkpoint", "saliency"]) == 2
    assert "saliency: expected a network that makes masks" in capsys.readouterr().err
    assert main([*argv, "--checkpoint", "instances"]) == 0
    assert capsys.readouterr().out.count("% moves") == 3


def test_scenes_need_no_labels(tmp_path, capsys):
    assert main(["label", "scenes:easy", "--out", str(tmp_path / "own")]) == 2
    assert "scenes have labels already" in capsys.readouterr().err
