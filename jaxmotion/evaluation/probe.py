"""Linear probes: how much a linear classifier can tell of frozen descriptors.

Pure functions of arrays. A class is told from the others by ridge regression on targets of ±1, in
which both sides weigh the same, however many samples each has. Its strength is chosen by the
leave-one-out error on the samples that it learns from, in closed form.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import stats

from jaxmotion.errors import InputError

STRENGTHS = tuple(10.0**power for power in np.arange(-4, 2.5, 0.5))
"""Strengths of the ridge that are tried, in mean squared singular values of the descriptors."""


class Ridge(NamedTuple):
    """A linear classifier of one class against the others.

    Attributes:
        weights: `[D]`.
        bias: the score is above 0 for the class.
        strength: the strength that was chosen.
    """

    weights: np.ndarray
    bias: float
    strength: float

    def __call__(self, descriptors: np.ndarray) -> np.ndarray:
        """Scores `[N]` of descriptors `[N, D]`."""
        return descriptors @ self.weights + self.bias


def fit_ridge(
    descriptors: np.ndarray, truth: np.ndarray, strengths: Iterable[float] = STRENGTHS
) -> Ridge:
    """Fits a classifier of one class.

    Args:
        descriptors: `[N, D]`, finite.
        truth: bool `[N]`, which of them are of the class; some are and some are not.
        strengths: strengths to choose from.

    Returns:
        The classifier with the least leave-one-out error.

    Raises:
        ValueError: where all are of the class, or none.

    References:
        Hastie, Tibshirani and Friedman, The elements of statistical learning, 2009, section 7.10.
    """
    truth = np.asarray(truth, bool)
    if truth.all() or not truth.any():
        raise ValueError(f"{truth.sum()} of {len(truth)} samples are of the class; expected some")
    share = np.where(truth, 0.5 / truth.sum(), 0.5 / (~truth).sum())  # they sum to 1
    target = np.where(truth, 1.0, -1.0)  # of mean 0 by these shares
    mean = share @ descriptors
    deviation = np.sqrt(share @ np.square(descriptors - mean))
    scale = np.where(deviation > 1e-6 * np.abs(mean) + 1e-12, deviation, np.inf)
    root = np.sqrt(share)
    scaled = (descriptors - mean) / scale * root[:, None]
    left, singular, right = np.linalg.svd(scaled, full_matrices=False)
    wanted = root * target
    unit = max(np.mean(np.square(singular)), 1e-12)
    best = (np.inf, 0.0)
    for strength in strengths:
        kept = np.square(singular) / (np.square(singular) + strength * unit)
        told = (left * kept) @ (left.T @ wanted)
        # The mean takes a share of each sample too.
        own = np.square(left) @ kept + share
        error = np.sum(np.square((wanted - told) / np.maximum(1 - own, 1e-9)))
        best = min(best, (float(error), strength))
    strength = best[1]
    shrunk = singular / (np.square(singular) + strength * unit)
    weights = right.T @ (shrunk * (left.T @ wanted)) / scale
    return Ridge(weights, float(-mean @ weights), strength)


def probe_classes(
    descriptors: np.ndarray, labels: np.ndarray, tested: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of each class for samples, by classifiers that learn from others.

    Args:
        descriptors: `[N, D]`, of the samples to learn from.
        labels: `[N]`, their classes.
        tested: `[M, D]`, the samples to score.

    Returns:
        Scores `[M, C]`, and the classes `[C]` in order; the greatest score is the class.

    Raises:
        InputError: on shapes that do not belong together, numbers that are not finite, or fewer
            than two classes.
    """
    descriptors, tested, labels = _checked(descriptors, labels, tested)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise InputError(f"{len(classes)} class(es): expected two at least")
    scores = [fit_ridge(descriptors, labels == name)(tested) for name in classes]
    return np.stack(scores, axis=1), classes


def leave_one_group_out(
    descriptors: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of each class for all samples, by classifiers that saw none of the sample's group.

    Args:
        descriptors: `[N, D]`.
        labels: `[N]`, classes.
        groups: `[N]`, what belongs together: clips of one video, or of one person.

    Returns:
        Scores `[N, C]`, -inf for a class that only the sample's own group has, and the classes
        `[C]` in order.

    Raises:
        InputError: as `probe_classes`, or on fewer than two groups.
    """
    descriptors, _, labels = _checked(descriptors, labels, descriptors)
    groups = np.asarray(groups)
    if groups.shape != labels.shape or len(np.unique(groups)) < 2:
        raise InputError(f"groups of shape {groups.shape}: expected {labels.shape}, two at least")
    classes = np.unique(labels)
    scores = np.full((len(labels), len(classes)), -np.inf)
    for group in np.unique(groups):
        out = groups == group
        found, known = probe_classes(descriptors[~out], labels[~out], descriptors[out])
        scores[np.ix_(out, np.searchsorted(classes, known))] = found
    return scores, classes


def accuracy(scores: np.ndarray, classes: np.ndarray, labels: np.ndarray) -> float:
    """Share of the samples whose class has the greatest score.

    Args:
        scores: `[N, C]`.
        classes: `[C]`.
        labels: `[N]`, true classes.
    """
    return float(np.mean(classes[scores.argmax(axis=1)] == labels))


def area_under_curve(scores: np.ndarray, truth: np.ndarray) -> float:
    """Probability that a sample of the class scores above one that is not; ties count half.

    Args:
        scores: `[N]`.
        truth: bool `[N]`, which samples are of the class.

    Returns:
        The area under the ROC curve; NaN where all are of the class, or none.
    """
    truth = np.asarray(truth, bool)
    count, others = truth.sum(), (~truth).sum()
    if not count or not others:
        return float("nan")
    ranks = stats.rankdata(scores)
    return float((ranks[truth].sum() - count * (count + 1) / 2) / (count * others))


def mean_area(
    scores: np.ndarray, truth: np.ndarray, *, resamples: int = 2_000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean area under the curves of several attributes, with an interval over the samples.

    Samples are drawn anew with replacement, scores and all; an attribute that a draw has of all
    samples or of none counts in none of it.

    Args:
        scores: `[N, A]`, of each attribute.
        truth: bool `[N, A]`, which samples have it.
        resamples: number of draws.
        seed: seed of the draws.

    Returns:
        Mean, and the ends of its 95 % interval.
    """

    def mean(rows: np.ndarray | slice) -> float:
        columns = zip(scores[rows].T, truth[rows].T, strict=True)
        return float(np.nanmean([area_under_curve(*column) for column in columns]))

    rng, count = np.random.default_rng(seed), len(scores)
    drawn = [mean(rng.integers(count, size=count)) for _ in range(resamples)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return mean(slice(None)), float(low), float(high)


def _checked(
    descriptors: np.ndarray, labels: np.ndarray, tested: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    descriptors, tested = (np.asarray(x, np.float64) for x in (descriptors, tested))
    labels = np.asarray(labels)
    shapes = f"descriptors {descriptors.shape}, {tested.shape} and labels {labels.shape}"
    if (
        descriptors.ndim != 2
        or labels.shape != descriptors.shape[:1]
        or tested.ndim != 2
        or tested.shape[1:] != descriptors.shape[1:]
    ):
        raise InputError(f"{shapes}: expected [N, D], [M, D] and [N]")
    if not (np.isfinite(descriptors).all() and np.isfinite(tested).all()):
        raise InputError(f"{shapes}: expected finite numbers")
    return descriptors, tested, labels
