import json
from dataclasses import replace

import jax
import pytest
from made_up_davis import by_u, run_eval, write_davis

from jaxmotion.errors import InputError
from jaxmotion.experiments import segmentation
from jaxmotion.experiments.evals import evaluation_of
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.models.loading import load_trained
from jaxmotion.training.config import EvalsConfig


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    write_davis(root)
    return EvalsConfig(data=str(root), flow="made")


def test_videos_are_scored_as_by_the_command(untrained_run, videos, tmp_path):
    trained = load_trained(untrained_run)
    config = replace(trained.config, evals=replace(videos, scenes=""))
    scores = segmentation.score_segmentation(config, trained.variables, False)
    run_eval("--checkpoint", untrained_run, "--data", videos.data, "--flow", "made",
             "--baselines", "none", "--out", tmp_path / "out")  # fmt: skip
    expected = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores == {name: expected[name] for name in ("J_mean", "F_mean")}


def test_a_perfect_predictor_takes_any_list(videos):
    scores = segmentation.score_on_videos(videos, by_u)
    assert scores == pytest.approx({"J_mean": 11 / 12, "F_mean": 1.0})  # flow is coarser than masks
    one = replace(videos, split="one")
    assert [sequence.name for sequence in segmentation.videos_of(one)] == ["dog"]
    assert segmentation.score_on_videos(EvalsConfig(), by_u) == {}


def test_a_network_in_training_is_compiled_once(untrained_run, videos, monkeypatch):
    trained = load_trained(untrained_run)
    config = replace(trained.config, evals=EvalsConfig(scenes="easy", frames=2))
    made = []

    def make(*arguments):
        made.append(Segmenter(*arguments))
        return made[-1]

    monkeypatch.setattr(segmentation, "Segmenter", make)
    segmentation._segmenter.cache_clear()
    evaluate = evaluation_of(config)
    first = evaluate(trained.variables)
    seconds = made[0].compilation_seconds
    moved = jax.tree.map(lambda leaf: leaf + 0.3, trained.variables)
    second = evaluate(moved)
    assert len(made) == 1
    assert made[0].compilation_seconds == seconds > 0
    assert evaluate(trained.variables) == first
    assert set(first) == set(second) == {"foreground_iou"}


def test_missing_videos_are_told_before_training(untrained_run, videos):
    config = load_trained(untrained_run).config
    with pytest.raises(InputError, match="no such folder of flows"):
        evaluation_of(replace(config, evals=replace(videos, flow="raft")))
