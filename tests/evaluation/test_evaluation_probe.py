"""Linear probes against solutions of other kinds, against shuffled labels, and by hand."""

import numpy as np
import pytest

from jaxmotion.errors import InputError
from jaxmotion.evaluation.probe import (
    accuracy,
    area_under_curve,
    fit_ridge,
    leave_one_group_out,
    mean_area,
    probe_classes,
)


def samples(count=60, size=5, apart=3.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.array(["a", "b", "c"])[rng.integers(3, size=count)]
    centers = apart * rng.normal(size=(3, size))
    return centers[np.searchsorted(["a", "b", "c"], labels)] + rng.normal(
        size=(count, size)
    ), labels


@pytest.mark.parametrize("size", [3, 200])
def test_ridge_is_the_minimum_of_its_objective(size):
    """Against the normal equations of the weighted problem, with an intercept of its own."""
    rng = np.random.default_rng(0)
    descriptors = 2 + rng.normal(size=(40, size)) * rng.uniform(0.1, 9, size)
    truth = rng.random(40) < 0.2
    strength = 0.3
    ridge = fit_ridge(descriptors, truth, [strength])
    share = np.where(truth, 0.5 / truth.sum(), 0.5 / (~truth).sum())
    mean = np.average(descriptors, axis=0, weights=share)
    deviation = np.sqrt(np.average((descriptors - mean) ** 2, axis=0, weights=share))
    scaled = np.concatenate([(descriptors - mean) / deviation, np.ones((40, 1))], axis=1)
    singular = np.linalg.svd(np.sqrt(share)[:, None] * scaled[:, :-1], compute_uv=False)
    cost = np.diag([strength * np.mean(singular**2)] * size + [0.0])
    matrix = scaled.T @ (share[:, None] * scaled) + cost
    solution = np.linalg.solve(matrix, scaled.T @ (share * np.where(truth, 1.0, -1.0)))
    np.testing.assert_allclose(ridge(descriptors), scaled @ solution, rtol=1e-6, atol=1e-8)


def test_the_strength_is_that_of_the_least_leave_one_out_error():
    """Each sample left out in turn, as the closed form has it: mean and shares as with it."""
    rng = np.random.default_rng(1)
    descriptors = rng.normal(size=(30, 20))
    truth = descriptors[:, 0] + rng.normal(size=30) > 0.4
    strengths = [1e-3, 1e-1, 1.0, 30.0]
    share = np.where(truth, 0.5 / truth.sum(), 0.5 / (~truth).sum())
    target = np.where(truth, 1.0, -1.0)
    mean = share @ descriptors
    scaled = (descriptors - mean) / np.sqrt(share @ (descriptors - mean) ** 2)
    scaled = np.concatenate([scaled, np.ones((30, 1))], axis=1)
    unit = np.mean(np.linalg.svd(np.sqrt(share)[:, None] * scaled[:, :-1], compute_uv=False) ** 2)
    errors = []
    for strength in strengths:
        cost = np.diag([strength * unit] * 20 + [0.0])
        error = 0.0
        for out in range(30):
            kept = np.arange(30) != out
            x, s = scaled[kept], share[kept]
            solution = np.linalg.solve(x.T @ (s[:, None] * x) + cost, x.T @ (s * target[kept]))
            error += share[out] * (scaled[out] @ solution - target[out]) ** 2
        errors.append(error)
    assert fit_ridge(descriptors, truth, strengths).strength == strengths[np.argmin(errors)]


def test_classes_that_are_apart_are_told_and_shuffled_labels_are_not():
    descriptors, labels = samples(120)
    groups = np.arange(120) // 4
    scores, classes = leave_one_group_out(descriptors, labels, groups)
    assert accuracy(scores, classes, labels) > 0.95
    found = []
    for seed in range(10):
        shuffled = np.random.default_rng(seed).permutation(labels)
        found.append(accuracy(*leave_one_group_out(descriptors, shuffled, groups), shuffled))
    assert 0.2 < np.mean(found) < 0.45


def test_nothing_is_learned_from_the_group_itself():
    """What only tells groups apart tells nothing of classes."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 5)
    labels = np.array(["a", "b"])[groups % 2]
    descriptors = 100 * np.eye(12)[groups] + 0.01 * rng.normal(size=(60, 12))
    scores, classes = leave_one_group_out(descriptors, labels, groups)
    assert accuracy(scores, classes, labels) <= 0.6
    other = descriptors.copy()
    other[groups == 3] += 5  # changes no score but its own
    again, _ = leave_one_group_out(other, labels, groups)
    own = groups == 3
    assert not np.allclose(again[own], scores[own])
    first, _ = probe_classes(descriptors[~own], labels[~own], descriptors[own])
    np.testing.assert_allclose(scores[own], first)


def test_a_class_of_one_group_is_never_told():
    descriptors, labels = samples(30)
    labels[:3] = "d"
    groups = np.arange(30)
    groups[:3] = 0
    scores, classes = leave_one_group_out(descriptors, labels, groups)
    assert list(classes) == ["a", "b", "c", "d"]
    assert np.isneginf(scores[:3, 3]).all()
    assert np.isfinite(scores[3:]).all()


def test_the_area_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    scores, truth = rng.integers(0, 6, 40), rng.random(40) < 0.3
    pairs = scores[truth][:, None] - scores[~truth]
    expected = np.mean((pairs > 0) + 0.5 * (pairs == 0))
    assert area_under_curve(scores, truth) == pytest.approx(expected)
    assert np.isnan(area_under_curve(scores, np.ones(40, bool)))


def test_the_interval_holds_the_mean_and_shrinks_with_the_samples():
    rng = np.random.default_rng(0)
    widths = []
    for count in (30, 300):
        truth = rng.random((count, 4)) < 0.4
        scores = truth + rng.normal(size=truth.shape)
        mean, low, high = mean_area(scores, truth, resamples=200)
        expected = np.mean([area_under_curve(scores[:, a], truth[:, a]) for a in range(4)])
        assert mean == pytest.approx(expected)
        assert low < mean < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda x, y: probe_classes(x, y[:-1], x), "expected"),
        (lambda x, y: probe_classes(x, y, x[:, :-1]), "expected"),
        (lambda x, y: probe_classes(np.where(x > 2, np.nan, x), y, x), "finite"),
        (lambda x, y: probe_classes(x, np.full(len(y), "a"), x), "two at least"),
        (lambda x, y: leave_one_group_out(x, y, np.zeros(len(y))), "groups of shape"),
    ],
)
def test_wrong_input_is_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        wrong(*samples(20))
