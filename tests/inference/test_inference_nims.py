"""A frame classifier over a video, and what is chosen by its evidence."""

import numpy as np
import pytest
from classifier_run import write_classifier

import jaxmotion as jm
from jaxmotion.errors import InputError
from jaxmotion.evaluation.suite import network
from jaxmotion.inference.detector import Evidence, FrameDetector
from jaxmotion.inference.loading import load
from jaxmotion.inference.nims import Nims, Selection, salient_regions

T, H, W = 4, 32, 48


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return FrameDetector.load(write_classifier(tmp_path_factory.mktemp("salient"), bias=3.0))


@pytest.fixture(scope="module")
def sleeper(tmp_path_factory):
    return FrameDetector.load(write_classifier(tmp_path_factory.mktemp("still"), bias=-50.0))


def video(seed=0):
    """A camera that pans, two things that move over it, and labels of all."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : H * 1j, -1 : 1 : W * 1j]
    flow = np.repeat(np.stack([2 + x, 1 - y], -1)[None], T, axis=0)
    labels = np.zeros((T, H, W), int)
    for t in range(T):
        labels[t, 4:14, 5 + 4 * t : 17 + 4 * t] = 1
        labels[t, 20:28, 30 - 2 * t : 42 - 2 * t] = 2
    flow[labels == 1] = (4, 0)
    flow[labels == 2] = (-2, 0)
    flow += 0.05 * rng.normal(size=flow.shape)
    return flow.astype(np.float32), labels


def test_the_evidence_adds_up_to_the_logits(detector):
    """At the size that the classifier works at, where nothing is resized."""
    flow, _ = video()
    small = flow[:, ::2, ::2]
    found = detector(small)
    assert found.relevance.shape == small.shape[:3]
    assert (found.logits > 0).all()
    total = found.relevance.sum(axis=(1, 2)) + found.lost
    np.testing.assert_allclose(total, found.logits, rtol=1e-4)
    np.testing.assert_allclose(found.probabilities, 1 / (1 + np.exp(-found.logits)), rtol=1e-6)


def test_frames_are_judged_each_by_itself_and_at_any_size(detector):
    flow, _ = video()
    whole, part = detector(flow), detector(flow[2:3])
    np.testing.assert_allclose(part.logits, whole.logits[2:3], rtol=1e-4, atol=1e-5)
    assert whole.relevance.shape == (T, H, W)
    odd = detector(flow[:, :31, :45])
    assert odd.relevance.shape == (T, 31, 45)


def test_neither_the_unit_of_flow_nor_what_is_unknown_matters(detector):
    flow, _ = video()
    valid = np.ones((T, H, W))
    valid[:, 10:16, 20:30] = 0
    other = np.where(valid[..., None] > 0, 3 * flow, np.nan)
    first, second = detector(flow, valid), detector(other, valid)
    np.testing.assert_allclose(second.logits, first.logits, rtol=1e-3, atol=1e-3)
    assert not second.relevance[valid == 0].any()


def test_nothing_moves_in_a_frame_that_is_not_salient(sleeper):
    flow, labels = video()
    found = salient_regions(sleeper, flow, parts=labels)
    assert not found.moving.any()
    assert not found.map.any()
    assert not found.evidence.relevance.any()


def test_a_network_with_fresh_parameters_finds_every_frame_salient(sleeper):
    flow, _ = video()
    assert (sleeper(flow).logits < 0).all()
    first, again, other = (sleeper.randomized(seed)(flow).logits for seed in (0, 0, 1))
    assert (first > 0).all()
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


class Knowing(FrameDetector):
    """A detector whose evidence is given."""

    def __init__(self, evidence):
        self.evidence = evidence

    def __call__(self, flow, valid=None, method="lrp"):
        return self.evidence


def test_regions_are_chosen_by_their_mean_relevance():
    flow, labels = video()
    relevance = np.where(labels == 1, 1.0, np.where(labels == 2, 0.05, 0.1))
    detector = Knowing(Evidence(np.ones(T), relevance, np.zeros(T)))
    found = salient_regions(detector, flow, parts=labels)
    np.testing.assert_array_equal(found.moving, labels == 1)
    # Eq. 5.6: the fill is the motion of all but what moves.
    distance = np.linalg.norm(flow - np.array([4, 0]), axis=-1)
    assert found.map[labels != 1].max() == 0
    assert 0.1 < found.map[labels == 1].mean() < 1
    assert distance[labels == 1].mean() < 0.1
    layers = salient_regions(detector, flow, parts="layers").moving
    assert (layers == (labels == 1)).mean() > 0.97


def test_a_track_is_judged_as_a_whole():
    flow, labels = video()
    relevance = np.where(labels == 1, 1.0, np.where(labels == 2, 0.005, 0.01))
    relevance[1][labels[1] == 1] = 0.0  # in one frame it does not show
    detector = Knowing(Evidence(np.ones(T), relevance, np.zeros(T)))
    alone = salient_regions(detector, flow, parts=labels)
    assert not alone.moving[1].any()
    whole = salient_regions(detector, flow, parts=labels, selection=Selection("share", 0.5))
    np.testing.assert_array_equal(whole.moving, labels == 1)


def test_masks_are_probabilities_as_soft_as_those_of_the_segmenter():
    flow, labels = video()
    relevance = np.where(labels == 1, 1.0, np.where(labels == 2, 0.05, 0.1))
    detector = Knowing(Evidence(np.ones(T), relevance, np.zeros(T)))
    soft = 0.1 + 0.7 * np.eye(3, dtype=np.float32)[labels]
    masks = Nims(detector, lambda flow, valid=None: soft)(flow)  # pyright: ignore
    np.testing.assert_allclose(masks.sum(axis=-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(masks.argmax(axis=-1) > 0, labels == 1)
    np.testing.assert_allclose(masks[..., 1][labels == 1], 0.8, rtol=1e-6)


def test_it_is_loaded_by_its_kind(tmp_path, untrained_run):
    run = write_classifier(tmp_path)
    assert isinstance(load(run), FrameDetector)
    with pytest.raises(InputError, match="trained for segmentation, expected one that classifies"):
        FrameDetector.load(untrained_run)
    with pytest.raises(InputError, match="trained for classification, expected one that segments"):
        jm.Segmenter.load(run)


def test_an_evaluation_takes_it_with_segments_and_with_fresh_parameters(tmp_path):
    run, (flow, _) = write_classifier(tmp_path, bias=-50.0), video()
    alone, random, both = (
        network(words) for words in (str(run), f"random:{run}", f"a=random:{run}+em-k2")
    )
    assert both.name == "a"
    assert both.identity != network(f"a={run}+em-k2").identity
    assert alone.predictor.detector(flow).logits.max() < 0  # pyright: ignore
    for method in (random, both):
        assert method.predictor.detector(flow).logits.min() > 0  # pyright: ignore
    assert random.predictor.segmenter is None  # pyright: ignore
    with pytest.raises(InputError, match="no checkpoint 'nowhere'"):
        network("random:nowhere")
