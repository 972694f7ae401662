"""Fills of hidden flow, against brute force."""

import numpy as np
import pytest

from jaxmotion.baselines.fills import FILLS, fill_by_motion, fill_by_place, fill_by_time

T, H, W = 5, 7, 9


@pytest.fixture
def clip():
    rng = np.random.default_rng(0)
    flow = rng.normal(size=(T, H, W, 2)).astype(np.float32)
    hidden = rng.random((T, H, W)) > 0.4
    valid = (rng.random((T, H, W)) > 0.1).astype(np.float32)
    return flow, hidden, valid


def test_by_place_is_the_nearest_pixel_that_is_seen(clip):
    flow, hidden, valid = clip
    filled = fill_by_place(flow, hidden, valid)
    for t in range(T):
        seen = np.argwhere(~hidden[t] & (valid[t] > 0))
        for row, column in np.argwhere(hidden[t]):
            far = np.hypot(*(seen - (row, column)).T)
            nearest = seen[np.isclose(far, far.min())]
            assert any((filled[t, row, column] == flow[t, r, c]).all() for r, c in nearest)


def test_by_time_is_linear_between_what_is_seen(clip):
    flow, hidden, valid = clip
    filled = fill_by_time(flow, hidden, valid)
    by_place = fill_by_place(flow, hidden, valid)
    for row in range(H):
        for column in range(W):
            seen = np.flatnonzero(~hidden[:, row, column] & (valid[:, row, column] > 0))
            for t in np.flatnonzero(hidden[:, row, column]):
                if not len(seen):
                    expected = by_place[t, row, column]
                else:
                    expected = [
                        np.interp(t, seen, flow[seen, row, column, c].astype(float)) for c in (0, 1)
                    ]
                np.testing.assert_allclose(filled[t, row, column], expected, atol=1e-5)


def test_by_motion_finds_a_quadratic_motion_exactly():
    y, x = np.meshgrid(np.linspace(-1, 1, H), np.linspace(-1, 1, W), indexing="ij")
    flow = np.stack([1 + 2 * x - y + x * y, 0.5 - x * x + 3 * y], axis=-1)
    flow = np.stack([flow, -flow]).astype(np.float32)
    hidden = np.random.default_rng(0).random((2, H, W)) > 0.4
    np.testing.assert_allclose(fill_by_motion(flow, hidden), flow, atol=1e-3)


@pytest.mark.parametrize("name", FILLS)
def test_what_is_hidden_is_not_looked_at_and_the_rest_stays(clip, name):
    flow, hidden, valid = clip
    hidden[-2:] = True  # whole frames, as what lies ahead
    filled = FILLS[name](flow, hidden, valid)
    other = np.where(hidden[..., None], np.nan, flow)
    np.testing.assert_array_equal(FILLS[name](other, hidden, valid), filled)
    np.testing.assert_array_equal(filled[~hidden & (valid > 0)], flow[~hidden & (valid > 0)])
    assert np.isfinite(filled[hidden]).all()
    everything = np.ones(hidden.shape, bool)
    np.testing.assert_array_equal(FILLS[name](flow, everything, valid), 0)


def test_shapes_that_do_not_belong_together_are_refused(clip):
    with pytest.raises(ValueError, match="expected"):
        fill_by_place(clip[0], clip[1][0])
