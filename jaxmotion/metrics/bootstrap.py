"""The interval of a difference between two methods over the same sequences."""

from collections.abc import Mapping

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95


def bootstrap_interval(
    differences: Mapping[str, float],
    weights: Mapping[str, float],
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Weighted mean of differences and its percentile interval under resampling of sequences.

    Sequences, not frames, are drawn with replacement: the frames of one video are no independent
    evidence.

    Args:
        differences: difference of the two methods by the name of the sequence.
        weights: weight by the name of the sequence, positive.
        level: confidence level of the interval, between 0 and 1.
        resamples: number of draws of a set of sequences.
        seed: seed of the random draws; the same input gives the same interval.

    Returns:
        Mean, lower and upper end; the ends are NaN for fewer than two sequences.

    Raises:
        ValueError: there is no difference, or one without a weight.

    References:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if not differences or differences.keys() - weights.keys():
        raise ValueError(f"weights of {sorted(weights)}: expected those of {sorted(differences)}")
    values = np.array(list(differences.values()))
    share = np.array([weights[name] for name in differences])
    mean = float(np.average(values, weights=share))
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    means = (values * share)[drawn].sum(axis=1) / share[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return mean, float(low), float(high)
