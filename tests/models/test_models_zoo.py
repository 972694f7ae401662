"""Trained networks as files and by name, and those that the package ships."""

import json
import re
import shutil

import numpy as np
import pytest
from record_shipped_masks import FILE, sample_masks, segmenters

import jaxmotion as jm
from jaxmotion.experiments.frames import salient_frames, scene_frames
from jaxmotion.models import shipped_models
from jaxmotion.models.files import model_paths
from jaxmotion.models.loading import find_trained, load_trained
from jaxmotion.models.zoo import export_model, format_models

LARGEST = 10_000_000  # bytes
LARGEST_FILE = 2_000_000  # what a repository without large-file storage keeps well


def some_flow(frames=2, height=40, width=64):
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 0.1, (frames, height, width, 2)).astype(np.float32)
    flow[:, 10:25, 20:40] += 3
    return flow


# ---------------------------------------------------------------------------------------- export


def test_an_exported_run_segments_as_the_run(untrained_run, tmp_path):
    path = tmp_path / "mine.safetensors"
    export_model(untrained_run, path)
    run, file = jm.Segmenter.load(untrained_run), jm.Segmenter.load(path)
    assert file.config == run.config
    assert file.step == run.step == 3
    # Parameters of about 0.2 are rounded by up to 1e-4.
    np.testing.assert_allclose(file(some_flow()), run(some_flow()), atol=5e-3)


@pytest.fixture
def run(untrained_run, tmp_path):
    return shutil.copytree(untrained_run, tmp_path / "run")


def test_an_export_says_what_is_known(run, tmp_path):
    path = tmp_path / "mine.safetensors"
    figures = {"steps": 9, "validation_loss": 0.5, "foreground_iou": 0.75}
    (run / "summary.json").write_text(json.dumps(figures))
    scores = {"J_mean": 0.6, "F_mean": 0.5, "method": "x", "partial": False, "sequences": {}}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    export_model(
        run,
        path,
        trained_on="random numbers",
        command="python train.py",
        metrics=(f"{tmp_path}/scores.json", f"cut10={tmp_path}/scores.json"),
    )
    trained = load_trained(path)
    again = {"cut10_J_mean": 0.6, "cut10_F_mean": 0.5}
    assert trained.metrics == figures | {"J_mean": 0.6, "F_mean": 0.5} | again
    assert trained.provenance["trained_on"] == "random numbers"
    assert trained.provenance["command"] == "python train.py"
    assert re.match(r"jaxmotion \d+\.\d+\.\d+", trained.provenance["exported_by"])
    export_model(path, tmp_path / "again.safetensors", command="unknown")
    again = load_trained(tmp_path / "again.safetensors")
    assert again.metrics == trained.metrics
    assert again.provenance == {**trained.provenance, "command": "unknown"}


@pytest.mark.parametrize("folder", ["", "best"])
def test_a_summary_of_other_parameters_does_not_count(run, tmp_path, folder):
    path = tmp_path / "mine.safetensors"
    for loss, count in ((0.5, 2), (0.4, 1)):
        (run / "summary.json").write_text(json.dumps({"validation_loss": loss, "J": 1}))
        assert len(export_model(run / folder, path).metrics) == count


# ----------------------------------------------------------------------------------------- names


def test_a_shipped_model_is_known_by_name(toy_models):
    assert find_trained("em-k2") == toy_models / "em-k2.safetensors"
    trained = load_trained("em-k2")
    assert trained.provenance["trained_on"] == "nothing"
    assert jm.Segmenter.load("em-k2")(some_flow()).shape == (2, 40, 64, 2)


def test_a_path_of_that_name_goes_first(toy_models, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run.rename("em-k2")
    assert not load_trained("em-k2").provenance  # that of the run
    shutil.rmtree("em-k2/best")
    with pytest.raises(jm.InputError, match=r"^em-k2: a folder .* hides the shipped model"):
        load_trained("em-k2")
    shutil.rmtree("em-k2")
    export_model("lt-ms-k4", "mine.safetensors", trained_on="something else")
    (tmp_path / "mine.safetensors").rename("em-k2")
    assert load_trained("em-k2").provenance["trained_on"] == "something else"


def test_an_unknown_name_lists_the_known_in_their_order(toy_models):
    known = ", ".join(shipped_models())
    assert known.startswith(
        "em-k2, events, foreground, foreground-davis, instances, instances-video"
    )
    with pytest.raises(jm.InputError, match=rf"'em-k3'.*\({known}\)"):
        jm.Segmenter.load("em-k3")


# ------------------------------------------------------------------------------- what is shipped


@pytest.mark.parametrize("name", shipped_models())
def test_a_shipped_model_is_whole(name):
    files = model_paths(shipped_models()[name])
    assert sum(path.stat().st_size for path in files) <= LARGEST
    assert max(path.stat().st_size for path in files) <= LARGEST_FILE
    trained = load_trained(name)
    assert np.isfinite(trained.metrics["validation_loss"])
    assert all(trained.provenance[key] for key in ("trained_on", "command", "exported_by"))
    said = json.dumps(
        [trained.config.data.source, trained.config.start, *trained.provenance.values()]
    )
    assert not re.search(r"(^|[\s\"'=,])/\w", said)  # no path of the machine it was made on
    assert name in format_models(shipped_models())
    assert f"{name} was trained on: {trained.provenance['trained_on']}" in format_models(
        shipped_models()
    )


@pytest.mark.parametrize("name", segmenters())
def test_a_shipped_segmenter_segments(name):
    num_masks = load_trained(name).config.task.network.num_masks
    assert name.endswith(f"-k{num_masks}")
    masks = jm.Segmenter.load(name)(some_flow())
    assert masks.shape == (2, 40, 64, num_masks)
    np.testing.assert_allclose(masks.sum(-1), 1, atol=1e-5)


def test_the_shipped_classifier_tells_a_scene_with_an_object_from_one_without():
    """On a few of the frames that it is tested on: 0.9 of 500 are told rightly."""
    frames = scene_frames("parallax", 60, (32, 56))
    path = shipped_models()["saliency"]
    assert path.stat().st_size < 1_000_000
    logits = jm.load("saliency").logits(frames.flow)
    assert ((logits > 0) == salient_frames(frames.moving, 0.005)).mean() > 0.8


@pytest.mark.parametrize("name", segmenters())
def test_a_shipped_model_gives_the_masks_that_it_always_gave(name):
    recorded = np.load(FILE)
    masks = sample_masks(name, recorded["flow"].astype(np.float32))
    expected = recorded[name] / 65535
    assert expected.std() > 0.1  # there is something to see
    np.testing.assert_allclose(masks, expected, atol=1e-3)


@pytest.mark.parametrize("page", ["README.md", "docs/models.md"])
def test_the_shipped_models_are_documented(request, page):
    text = (request.config.rootpath / page).read_text()
    for name in {"em-k2", "st-ms-k4", "lt-ms-k4", "saliency"} | shipped_models().keys():
        assert f"`{name}`" in text
