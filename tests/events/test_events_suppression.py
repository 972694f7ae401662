"""Soft non-maximum suppression against the definition, span by span."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxmotion.events.scores import Span, temporal_iou
from jaxmotion.events.suppression import soft_nms

RNG = np.random.default_rng(0)


def slowly(spans, scores, sigma, least):
    left = {i: float(score) for i, score in enumerate(scores)}
    taken = []
    while left and max(left.values()) >= least:
        best = max(left, key=lambda i: left[i])
        taken.append((best, left.pop(best)))
        for i in left:
            iou = temporal_iou(Span("", *spans[best]), Span("", *spans[i]))
            left[i] *= np.exp(-(iou**2) / sigma)
    return taken


@given(st.integers(0, 12), st.integers(0, 10**6), st.sampled_from([0.1, 0.5]))
def test_it_is_the_definition(count, seed, sigma):
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 30, count)
    spans = np.stack([start, start + rng.uniform(0.5, 20, count)], axis=1)
    scores = rng.uniform(size=count)
    order, sure = soft_nms(spans, scores, sigma=sigma, least=0.2)
    expected = slowly(spans, scores, sigma, 0.2)
    assert order.tolist() == [i for i, _ in expected]
    np.testing.assert_allclose(sure, [score for _, score in expected], rtol=1e-9)


def test_what_shares_nothing_keeps_its_score():
    spans, scores = np.array([[0, 5], [5, 9], [20, 30]]), np.array([0.4, 0.9, 0.6])
    order, sure = soft_nms(spans, scores)
    assert order.tolist() == [1, 2, 0]
    np.testing.assert_array_equal(sure, [0.9, 0.6, 0.4])
    np.testing.assert_array_equal(scores, [0.4, 0.9, 0.6])  # as it was


def test_a_copy_is_as_good_as_gone():
    _, sure = soft_nms(np.array([[3, 9], [3, 9]]), np.array([0.8, 0.8]), sigma=0.5)
    np.testing.assert_allclose(sure, [0.8, 0.8 * np.exp(-2)])
