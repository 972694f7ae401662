"""Change points against brute force over all cuts, in float64."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.events import change_points
from jaxmotion.events.changes import noise


def total(signal, cuts, penalty):
    """Cost of a cut, written out; NaN counts nowhere."""
    cost = 0.0
    for start, stop in itertools.pairwise([0, *cuts, len(signal)]):
        for column in signal[start:stop].T:
            known = column[~np.isnan(column)]
            cost += ((known - known.mean()) ** 2).sum() if len(known) else 0.0
        cost += penalty
    return cost


def best_cost(signal, penalty, least):
    """The least cost over all cuts."""
    frames = len(signal)
    costs = []
    for number in range(frames // least):
        for cuts in itertools.combinations(range(1, frames), number):
            if np.diff([0, *cuts, frames]).min() >= least:
                costs.append(total(signal, cuts, penalty))
    return min(costs)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    frames=st.integers(2, 12),
    columns=st.integers(1, 3),
    least=st.integers(1, 4),
    penalty=st.floats(0.0, 6.0),
    missing=st.booleans(),
)
def test_no_cut_is_better(seed, frames, columns, least, penalty, missing):
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(3, columns)).repeat(-(-frames // 3), axis=0)[:frames]
    signal = 3 * steps + rng.normal(size=(frames, columns))
    if missing:
        signal[rng.uniform(size=signal.shape) < 0.2] = np.nan
    cuts = change_points(signal, penalty, least)
    if frames < 2 * least:
        assert cuts == ()
        return
    assert np.diff([0, *cuts, frames]).min() >= least
    scaled = signal / noise(signal)
    assert total(scaled, cuts, penalty) == pytest.approx(best_cost(scaled, penalty, least))


def test_steps_in_noise_are_found_where_they_are_and_noise_alone_has_none():
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 0.1, (600, 2))
    assert change_points(signal) == ()
    signal[200:350, 0] += 0.5
    signal[350:, 1] -= 0.5
    found = change_points(signal, least=5)
    np.testing.assert_allclose(found, (200, 350), atol=2)


def test_the_unit_does_not_matter_and_a_constant_has_no_change():
    rng = np.random.default_rng(1)
    signal = np.r_[rng.normal(0, 1, 50), rng.normal(4, 1, 50)]
    assert change_points(signal) == change_points(1e-6 * signal) != ()
    assert change_points(np.ones(30)) == ()
    assert change_points(np.full((30, 2), np.nan)) == ()


def test_noise_is_the_deviation_of_normal_noise():
    rng = np.random.default_rng(2)
    np.testing.assert_allclose(noise(rng.normal(0, (1, 3), (20_000, 2))), (1, 3), rtol=0.03)


def test_wrong_arguments_are_refused():
    for arguments in ((np.zeros((2, 2, 2)),), (np.zeros(5), -1.0), (np.zeros(5), 1.0, 0)):
        with pytest.raises(ValueError, match="expected"):
            change_points(*arguments)
