"""A network of slots chooses its number of masks, and the bits that it chooses by."""

import numpy as np
import pytest

import jaxmotion as jm
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.evaluation.suite import network
from jaxmotion.inference import num_masks as module
from jaxmotion.inference.num_masks import ChoosingSegmenter, video_bits
from jaxmotion.models.loading import load_trained
from jaxmotion.motion import MotionModel, description_length
from jaxmotion.scenes import LEVELS, generate

MODEL = MotionModel()


@pytest.fixture(scope="module")
def flow():
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 0.1, (3, 40, 64, 2)).astype(np.float32)
    flow[:, 10:30, 20:40] += 3
    return flow


@pytest.fixture(scope="module")
def choosing(slots_run):
    return ChoosingSegmenter(load_trained(slots_run), candidates=(2, 3, 5))


def test_it_takes_the_number_of_least_bits(choosing, slots_run, flow):
    bits = choosing.bits(flow)
    segmenters = {k: jm.Segmenter.load(slots_run, num_masks=k) for k in (2, 3, 5)}
    for k, segmenter in segmenters.items():
        labels = segmenter(flow).argmax(-1)
        expected = sum(
            description_length(flow[[t]], labels[[t]], MODEL, independent=1 / 6).total
            for t in range(len(flow))
        )
        assert bits[k] == pytest.approx(expected)
    chosen = min(bits, key=bits.__getitem__)
    np.testing.assert_array_equal(choosing(flow), segmenters[chosen](flow))


def test_a_stream_is_chosen_for_by_its_beginning(choosing, flow, monkeypatch):
    monkeypatch.setattr(module, "LONG_VIDEO", InferenceConfig(2))
    fields = [(field, np.ones(field.shape[:2], np.float32)) for field in flow]
    segmenter, again = choosing.choose_for_stream(iter(fields))
    assert segmenter is choosing.choose(flow[:2])
    assert [id(field) for field, _ in again] == [id(field) for field, _ in fields]


def test_windows_are_those_that_were_set(choosing, flow, monkeypatch):
    monkeypatch.setattr(choosing, "inference", InferenceConfig(3, 1))
    assert choosing.choose(flow).inference == InferenceConfig(3, 1)


def test_what_is_unknown_does_not_matter(choosing, flow):
    valid = np.ones(flow.shape[:3], np.float32)
    valid[:, :8] = 0
    other = np.where(valid[..., None] > 0, flow, 50)
    assert choosing.bits(other, valid) == choosing.bits(flow, valid)


@pytest.mark.parametrize("size", [(64, 112), (128, 224)])
def test_the_true_segments_of_scenes_take_the_fewest_bits(size):
    """Beside those without the object, and those with a half of the ground for itself."""
    chosen = []
    for seed in range(5):
        scene = generate(LEVELS["easy"], 3, *size, seed=seed)
        labels = scene.labels.astype(int)
        half = np.where((labels == 0) & (np.arange(size[1]) < size[1] // 2), 2, labels)
        candidates = [np.zeros_like(labels), labels, half]
        bits = [video_bits(scene.flow, each, MODEL, 3) for each in candidates]
        chosen.append(int(np.argmin(bits)) + 1)
    assert chosen == [2] * 5


def test_a_video_is_described_clip_by_clip():
    rng = np.random.default_rng(0)
    flow, labels = rng.normal(size=(5, 16, 20, 2)), rng.integers(0, 2, (5, 16, 20))
    parts = [slice(0, 2), slice(2, 4), slice(3, 5)]
    model = MotionModel("affine", "polynomial")
    expected = [
        description_length(flow[part], labels[part], model, independent=1 / 6) for part in parts
    ]
    assert video_bits(flow, labels, model, 2) == pytest.approx(sum(e.total for e in expected))


def test_a_network_of_fixed_k_is_refused(untrained_run):
    with pytest.raises(InputError, match=r"segments into 2 always; expected a network with slots"):
        ChoosingSegmenter.load(untrained_run)


def test_an_evaluation_takes_one(slots_run):
    assert isinstance(network(str(slots_run), "auto").predictor, ChoosingSegmenter)
