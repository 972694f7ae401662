"""Whether anything moves in a video, of the answers for its frames."""

import numpy as np
import pytest
from classifier_run import write_classifier

from jaxmotion.inference.detector import FrameDetector
from jaxmotion.inference.presence import LEAST_FRAMES, Presence

H, W = 16, 24


class Given(FrameDetector):
    """A detector whose logit is the mean of the flow."""

    least_area = 0.01

    def __init__(self):
        self.calls = []

    def logits(self, flow, valid=None):
        self.calls.append(len(flow))
        return flow.mean(axis=(1, 2, 3))


def presence(values):
    found = Presence(Given())
    for value in values:
        found.add(np.full((H, W, 2), value, np.float32), np.ones((H, W)))
    return found


@pytest.mark.parametrize(
    ("salient", "of", "expected"), [(4, 10, True), (2, 10, False), (0, 9, False)]
)
def test_something_moves_where_enough_frames_are_salient(salient, of, expected):
    found = presence([3.0] * salient + [-3.0] * (of - salient))
    assert found.denies(0.2) is not expected
    assert not found.denies(0.001)  # too small for it to see
    assert (salient / of >= LEAST_FRAMES) is expected
    np.testing.assert_allclose(found.probabilities()[:1], 1 / (1 + np.exp(-3 if salient else 3)))
    assert len(found.probabilities()) == of


def test_frames_are_asked_a_few_at_a_time_and_in_order():
    found = presence(np.linspace(-1, 1, 19))
    np.testing.assert_allclose(np.diff(found.probabilities()) > 0, True)
    assert found.detector.calls == [8, 8, 3]  # pyright: ignore


def test_logits_alone_are_those_of_the_evidence(tmp_path):
    detector = FrameDetector.load(write_classifier(tmp_path))
    flow = np.random.default_rng(0).normal(size=(11, 32, 48, 2)).astype(np.float32)
    np.testing.assert_allclose(detector.logits(flow), detector(flow).logits, rtol=1e-4, atol=1e-5)
