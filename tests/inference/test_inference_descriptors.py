"""Descriptors and fills of networks without training: shapes, what they depend on, wrong input."""

import numpy as np
import pytest

import jaxmotion as jm
from jaxmotion import cli
from jaxmotion.baselines.motion_features import motion_features
from jaxmotion.data import DataConfig
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.experiments.probing import classes_in, untrained
from jaxmotion.inference.descriptors import nearest_neighbors
from jaxmotion.inference.inpainter import FlowInpainter
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.optical_flow import write_flow_npz
from jaxmotion.tasks.masked_config import MaskedConfig, TubesConfig
from jaxmotion.training.config import Config

T, H, W = 6, 16, 24
NETWORK = NetworkConfig(widths=(4, 8), kernel=(3, 3, 3), norm_frames=4, known_channel=True)
SIZE = 2 * (4 + 8) + 2


def inpainter(reconstruct="masked"):
    """A network without training, but with parameters that are no start values."""
    import jax

    task = MaskedConfig(
        reconstruct=reconstruct,
        network=NETWORK,
        tubes=TubesConfig(size=4),
        inference=InferenceConfig(window=4, linking="none"),
    )
    config = Config(data=DataConfig(height=H, width=W, clip_length=4), task=task)
    model = untrained(FlowInpainter(config, {}))
    rng = np.random.default_rng(1)
    model.params = jax.tree.map(
        lambda x: x + rng.normal(0, 0.2, x.shape).astype(np.float32), model.params
    )
    return model


@pytest.fixture(scope="module")
def model():
    return inpainter()


@pytest.fixture(scope="module")
def flow():
    flow = np.random.default_rng(0).normal(0, 0.2, (T, H, W, 2)).astype(np.float32)
    flow[:, 3:9, 5:12] += (2, -1)
    return flow


def test_levels_have_their_shapes(model, flow):
    frames = jm.describe(model, flow, level="frame")
    assert frames.shape == (T, SIZE)
    clip = jm.describe(model, flow)
    np.testing.assert_allclose(clip[:SIZE], frames.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(clip[SIZE:], frames.std(axis=0), rtol=1e-5)
    masks = np.zeros((T, H, W, 3), np.float32)
    masks[..., 0] = 1
    masks[:, 3:9, 5:12] = (0, 1, 0)
    segments = jm.describe(model, flow, level="segment", masks=masks)
    assert segments.shape == (3, 12)
    np.testing.assert_array_equal(segments[2], 0)
    assert not np.allclose(segments[0], segments[1], atol=1e-3)


def test_speeds_are_those_of_the_flow(model, flow):
    speed = jm.describe(model, flow, level="frame")[:, -2]
    np.testing.assert_allclose(speed, np.log(np.abs(flow).mean(axis=(1, 2, 3))), rtol=1e-4)


def test_what_is_unknown_changes_nothing(model, flow):
    valid = (np.random.default_rng(2).random((T, H, W)) > 0.3).astype(np.float32)
    expected = jm.describe(model, flow, valid)
    other = np.where(valid[..., None] > 0, flow, np.nan)
    np.testing.assert_array_equal(jm.describe(model, other, valid), expected)
    assert not np.allclose(jm.describe(model, flow), expected, atol=1e-3)


def test_segmenters_describe_their_segments(untrained_run, flow):
    segmenter = jm.Segmenter.load(untrained_run)
    masks = segmenter(flow)
    found = jm.describe(segmenter, flow, level="segment")
    assert len(found) == masks.shape[-1]
    given = jm.describe(segmenter, flow, level="segment", masks=masks)
    np.testing.assert_allclose(found, given, rtol=1e-5)


def test_wrong_input_is_refused(model, flow):
    with pytest.raises(jm.InputError, match="masks None"):
        jm.describe(model, flow, level="segment")
    with pytest.raises(jm.InputError, match="masks of shape"):
        jm.describe(model, flow, level="segment", masks=np.ones((T, H, W)))
    with pytest.raises(jm.InputError, match="level 'scene'"):
        jm.describe(model, flow, level="scene")  # pyright: ignore[reportArgumentType]
    with pytest.raises(jm.InputError, match="flow of shape"):
        jm.describe(model, flow[0])


def test_features_by_hand_tell_directions_and_jumps(flow):
    right, left = np.zeros_like(flow), np.zeros_like(flow)
    right[..., 0], left[..., 0] = 2, -2
    features = [motion_features(x) for x in (right, left, flow)]
    assert all(x.shape == (104,) for x in features)
    assert features[0][9] == features[1][13] == 1  # fast ones, to the right and to the left
    np.testing.assert_allclose(features[0][17], 1)  # of what is left all rests
    shaking = right * np.where(np.arange(T) % 2, 1, -1)[:, None, None, None]
    jumps = motion_features(shaking)[-12:]
    np.testing.assert_allclose(jumps[0], 4, rtol=1e-3)
    np.testing.assert_allclose(features[0][-12:], 0, atol=1e-3)


def test_neighbors_are_the_nearest():
    rng = np.random.default_rng(0)
    pairs = np.repeat(rng.normal(size=(4, 9)), 2, axis=0) + 0.01 * rng.normal(size=(8, 9))
    np.testing.assert_array_equal(nearest_neighbors(pairs), np.arange(8) ^ 1)


def test_a_fill_is_where_something_is_hidden(model, flow):
    hidden = np.zeros((T, H, W), bool)
    hidden[:, 4:12, 8:16] = True
    filled = model(flow, hidden)
    np.testing.assert_array_equal(filled[~hidden], flow[~hidden])
    assert np.isfinite(filled).all()
    other = np.where(hidden[..., None], np.nan, flow)
    np.testing.assert_array_equal(model(other, hidden), filled)
    larger = model(np.repeat(np.repeat(flow, 2, 1), 2, 2), np.repeat(np.repeat(hidden, 2, 1), 2, 2))
    assert larger.shape == (T, 2 * H, 2 * W, 2)
    with pytest.raises(jm.InputError, match="hidden of shape"):
        model(flow, hidden[0])
    with pytest.raises(jm.InputError, match="valid of shape"):
        model(flow, hidden, hidden[0])


def test_one_that_looks_ahead_fills_frames_at_the_end(flow):
    model = inpainter("predictive")
    hidden = np.zeros((T, H, W), bool)
    hidden[-2:] = True
    filled = model(np.where(hidden[..., None], np.nan, flow), hidden)
    assert np.isfinite(filled).all()
    assert model.horizon == 2
    for wrong in (np.roll(hidden, 1, 0), hidden * (np.arange(W) > 3), np.ones_like(hidden)):
        with pytest.raises(jm.InputError, match="fills whole frames at the end"):
            model(flow, wrong)


@pytest.fixture
def folder(tmp_path):
    """Two classes of three clips."""
    for label, sign in (("left", -1), ("right", 1)):
        for number in range(3):
            rng = np.random.default_rng(number + 10 * sign + 20)
            clip = rng.normal(0, 0.1, (5, H, W, 2))
            clip[:, 4:10, 4:14, 0] += 2 * sign
            path = tmp_path / "classes" / label / f"person{number}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_flow_npz(path, clip.astype(np.float32))
    return tmp_path / "classes"


def test_classes_and_groups_are_found(folder):
    samples = classes_in(folder, r"person\d")
    assert [sample.label for sample in samples] == ["left"] * 3 + ["right"] * 3
    assert {sample.group for sample in samples} == {"person0", "person1", "person2"}
    assert len({sample.group for sample in classes_in(folder)}) == 6
    for group, said in (("(", "regular expression"), ("x", "finds nothing"), ("p", "one group")):
        with pytest.raises(jm.InputError, match=said):
            classes_in(folder, group)
    with pytest.raises(jm.InputError, match="expected one for each class"):
        classes_in(folder / "left")
    with pytest.raises(jm.InputError, match="nowhere"):
        classes_in(folder / "nowhere")


def test_commands_describe_and_probe(folder, untrained_run, tmp_path, capsys):
    videos = [str(folder / "left" / f"person{number}.npz") for number in range(2)]
    out = tmp_path / "d.npz"
    run = ("--checkpoint", str(untrained_run), "--estimator", "dis")
    assert cli.run("describe", [*videos, "--out", str(out), *run]) == 0
    assert f"{videos[0]}: most like {videos[1]}" in capsys.readouterr().out
    with np.load(out) as found:
        assert found["descriptors"].shape[0] == 2
        assert list(found["names"]) == videos
    assert cli.run("describe", [*videos, "--out", str(out), "--level", "frame", *run]) == 0
    with np.load(out) as found:
        np.testing.assert_array_equal(found["video"], [0] * 5 + [1] * 5)
    assert cli.run("describe", [*videos, "--out", str(tmp_path / "d.txt"), *run]) == 2
    assert cli.run("describe", [str(tmp_path / "no.mp4"), "--out", str(out), *run]) == 2
    capsys.readouterr()
    assert cli.run("probe", [str(folder), "--group", "person.", *run]) == 0
    printed = capsys.readouterr().out
    assert "6 videos, 3 groups, 2 classes: left, right" in printed
    for row in ("network", "hand-made features", "network, untrained", "most frequent class"):
        assert row in printed
