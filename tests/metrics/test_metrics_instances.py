"""Scores of objects over time, against definitions and made-up cases."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.metrics import foreground_ari, identity_switches, purity


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_index_counts_pairs(seed):
    rng = np.random.default_rng(seed)
    gt, pred = rng.integers(0, 3, (2, 2, 3, 4))
    gt[0, 0, :2] = 1
    pixels = [(a, b) for a, b in zip(gt.ravel(), pred.ravel(), strict=True) if a > 0]
    counts = np.zeros((2, 2))
    for (a, b), (c, d) in combinations(pixels, 2):
        counts[int(a == c), int(b == d)] += 1
    both, true, found = counts[1, 1], counts[1].sum(), counts[:, 1].sum()
    expected = true * found / counts.sum()
    if true + found != 2 * expected:
        score = (both - expected) / ((true + found) / 2 - expected)
        np.testing.assert_allclose(foreground_ari(gt, pred), score, atol=1e-12)
    names = rng.permutation(5)
    np.testing.assert_allclose(foreground_ari(gt, names[pred]), foreground_ari(gt, pred))


def test_perfect_objects_and_none():
    gt = np.zeros((2, 4, 4), int)
    assert np.isnan(foreground_ari(gt, gt))
    assert np.isnan(purity(gt, gt))
    gt[:, :2] = 3
    assert foreground_ari(gt, gt) == purity(gt, gt) == 1
    assert purity(0 * gt, gt) == 0
    gt[:, 3] = 7
    assert foreground_ari(gt, gt) == 1
    assert foreground_ari(gt, (gt > 0).astype(int)) == 0
    # One of three rows of the track is of another object.
    np.testing.assert_allclose(purity(gt, (gt > 0).astype(int)), 2 / 3)
    with pytest.raises(ValueError, match="pred_labels"):
        purity(gt, gt[:1])


def test_a_switch_is_another_name_of_the_same_object():
    gt = np.zeros((6, 4, 4), int)
    gt[:, :2], gt[:, 3] = 1, 2
    pred = gt.copy()
    assert identity_switches(gt, pred) == 0
    pred[3:][gt[3:] == 1] = 9
    assert identity_switches(gt, pred) == 1
    pred[4][gt[4] == 1] = 0  # not found: passed over
    assert identity_switches(gt, pred) == 1
    pred[5] = np.where(gt[5] > 0, 3 - gt[5], 0)
    assert identity_switches(gt, pred) == 3
