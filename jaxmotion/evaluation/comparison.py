"""Is one method better than another? Paired differences over sequences, with an interval."""

from collections.abc import Mapping

import numpy as np

from jaxmotion.evaluation.published import folder_name
from jaxmotion.evaluation.results import Difference, Published, Run
from jaxmotion.evaluation.sequence_scores import Average, Statistics

RESAMPLES = 10_000
LEVEL = 0.95


def paired_differences(
    runs: tuple[Run, ...],
    published: tuple[Published, ...],
    measures: tuple[str, ...],
    average: Average,
) -> tuple[Difference, ...]:
    """The first run against every other column.

    Args:
        runs: The evaluated one first.
        published: Those without scores per sequence, or of other sequences, are left out.
        measures: `"J"`, ...; their means are compared.
        average: Over what the dataset's means are taken: sequences weigh by their frames, by their
            objects, or all the same.

    Returns:
        A difference for every column and measure that both have on some sequence.
    """
    if not runs:
        return ()
    first, *others = runs
    weights = {sequence.name: sequence.weight(average) for sequence in first.sequences}
    own = sequence_statistics_of(first)
    columns = [(run.method, False, sequence_statistics_of(run)) for run in others]
    columns += [(column.method, True, column.sequences) for column in published]
    found = []
    for name, is_published, scores in columns:
        for measure in measures:
            statistic = f"{measure}_mean"
            pairs = {
                sequence: own[sequence][statistic] - other[statistic]
                for sequence in own
                if statistic in own[sequence]
                and statistic in (other := scores.get(_key(sequence, is_published), {}))
            }
            if pairs:
                interval = bootstrap_interval(pairs, weights)
                found.append(
                    Difference(first.method, name, is_published, statistic, pairs, *interval, LEVEL)
                )
    return tuple(found)


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
        differences: By sequence.
        weights: By sequence, positive.
        level: Of the interval.
        resamples: Number of draws.
        seed: Of the draws; the same input gives the same interval.

    Returns:
        Mean, lower and upper end; the ends are NaN for fewer than two sequences.

    References:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    values = np.array(list(differences.values()))
    share = np.array([weights[name] for name in differences])
    mean = float(np.average(values, weights=share))
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    means = (values * share)[drawn].sum(axis=1) / share[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return mean, float(low), float(high)


def sequence_statistics_of(run: Run) -> dict[str, Statistics]:
    """The statistics of every sequence of a run that has scores."""
    return {sequence.name: sequence.statistics() for sequence in run.sequences if sequence.objects}


def _key(sequence: str, is_published: bool) -> str:
    return folder_name(sequence) if is_published else sequence
