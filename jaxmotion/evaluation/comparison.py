"""Is one method better than another? Paired differences over sequences, with an interval."""

from jaxmotion.evaluation.published import folder_name
from jaxmotion.evaluation.results import Difference, Published, Run
from jaxmotion.evaluation.sequence_scores import Average, Statistics
from jaxmotion.metrics.bootstrap import LEVEL, bootstrap_interval


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


def sequence_statistics_of(run: Run) -> dict[str, Statistics]:
    """The statistics of every sequence of a run that has scores."""
    return {sequence.name: sequence.statistics() for sequence in run.sequences if sequence.objects}


def _key(sequence: str, is_published: bool) -> str:
    return folder_name(sequence) if is_published else sequence
