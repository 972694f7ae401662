"""Errors of flow by kind of pixel, counted by hand."""

import numpy as np
import pytest

from jaxmotion.metrics.flow import flow_errors


def test_errors_are_apart_for_what_moves_around_it_and_the_rest():
    truth, flow = np.zeros((2, 40, 40, 2)), np.zeros((2, 40, 40, 2))
    moving = np.zeros((2, 40, 40), bool)
    moving[0, 20, 20:22] = True
    flow[0, 20, 20], flow[0, 20, 21] = (3, 4), (0.6, 0)
    flow[0, 20, 24] = 0, 2  # within 4 px
    flow[0, 20, 27] = 1, 0  # farther
    flow[:, 0] = 100  # the border counts nowhere
    found = flow_errors(flow, truth, moving, border=4)
    assert found.moving == pytest.approx((5 + 0.6) / 2)
    assert found.within == 0.5
    y, x = np.mgrid[:40, :40]
    near = np.minimum(np.hypot(y - 20, x - 20), np.hypot(y - 20, x - 21)) <= 4
    assert found.ring == pytest.approx(2 / (near.sum() - 2))
    assert found.background == pytest.approx(1 / (2 * 32 * 32 - near.sum()))


def test_nothing_that_moves_is_not_a_number():
    found = flow_errors(
        np.zeros((1, 9, 9, 2)), np.ones((1, 9, 9, 2)), np.zeros((1, 9, 9)), border=0
    )
    assert np.isnan(found.moving)
    assert found.background == pytest.approx(np.sqrt(2))
    with pytest.raises(ValueError, match=r"expected \[N, H, W, 2\] twice"):
        flow_errors(np.zeros((1, 9, 9, 2)), np.zeros((1, 9, 8, 2)), np.zeros((1, 9, 9)))
