import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from jaxmotion.errors import InputError
from jaxmotion.optical_flow import FlowQuality, consistency, flow_quality, warp
from jaxmotion.options import from_json, to_json


def constant(u, v, height=20, width=30):
    return np.broadcast_to(np.float32([u, v]), (height, width, 2)).copy()


@given(seed=st.integers(0, 100), scale=st.floats(0, 8))
@settings(max_examples=20, deadline=None)
def test_warp_interpolates_as_scipy_does(seed, scale):
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(13, 17, 3)).astype(np.float32)
    flow = (scale * rng.normal(size=(13, 17, 2))).astype(np.float32)
    warped, inside = warp(image, flow)
    y, x = np.indices((13, 17)).astype(np.float64)
    places = [y + flow[..., 1], x + flow[..., 0]]
    expected_inside = (places[0] >= 0) & (places[0] <= 12) & (places[1] >= 0) & (places[1] <= 16)
    sure = np.abs(np.stack([places[0] % 12, places[1] % 16])).min(axis=0) > 1e-4
    np.testing.assert_array_equal(inside[sure], expected_inside[sure])
    for channel in range(3):
        expected = ndimage.map_coordinates(image[..., channel], places, order=1, mode="nearest")
        np.testing.assert_allclose(warped[inside, channel], expected[inside], atol=1e-4)
    assert (warped[~inside] == 0).all()


def test_warp_of_a_single_row_and_column():
    warped, inside = warp(np.array([[[2.0], [4.0]]], np.float32), np.float32([[[0.5, 0], [0, 0]]]))
    np.testing.assert_array_equal(warped[..., 0], [[3, 4]])
    assert inside.all()


def test_the_true_flow_of_a_shift_is_perfect():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 33, 3), np.uint8)
    image0, image1 = image[:, 3:], image[:, :-3]  # moves 3 to the right
    quality = flow_quality(image0, image1, constant(3, 0), constant(-3, 0))
    assert quality.warp_error == 0
    assert quality.still_error > 50
    assert quality.consistency_error == 0
    assert quality.consistent == 1
    assert quality.inside == pytest.approx(27 / 30)


def test_wrong_flow_shows_in_both_measures():
    image = np.tile(np.arange(0, 240, 8, dtype=np.uint8)[None, :, None], (20, 1, 3))  # a ramp
    quality = flow_quality(image, image, constant(2, 0), constant(1, 0))
    assert quality.warp_error == pytest.approx(16)  # 2 pixels at 8 gray levels
    assert quality.still_error == 0
    assert quality.consistency_error == pytest.approx(3)
    assert quality.consistent == 0


def test_consistency_tolerates_a_share_of_the_length():
    for back, agrees in ((-10.9, True), (-13.0, False)):  # 0.01 (100 + b²) + 0.5 = 2.7 and 3.2
        distance, found, inside = consistency(constant(10, 0), constant(back, 0))
        np.testing.assert_allclose(distance[inside], -10 - back, rtol=1e-5)
        assert (found[inside] == agrees).all()
        assert not found[~inside].any()


def test_a_pixel_that_is_covered_is_not_consistent():
    flow, back = constant(0, 0), constant(0, 0)
    flow[5:10, 5:10] = (6, 0)  # a square moves over a background at rest
    back[5:10, 11:16] = (-6, 0)
    _, agrees, _ = consistency(flow, back)
    covered = np.zeros((20, 30), bool)
    covered[5:10, 11:16] = True
    np.testing.assert_array_equal(agrees, ~covered)


def test_no_match_inside_is_not_a_number():
    image = np.zeros((20, 30, 3), np.uint8)
    quality = flow_quality(image, image, constant(99, 0), constant(0, 0))
    assert quality.inside == 0
    assert math.isnan(quality.warp_error)
    assert to_json(quality)["warp_error"] is None
    again = from_json(FlowQuality, to_json(quality))
    assert math.isnan(again.consistent)
    perfect = FlowQuality(1, 2, 3, 0.5, 1)
    mean = FlowQuality.mean([quality, perfect])
    assert (mean.warp_error, mean.consistent, mean.inside) == (1, 0.5, 0.5)


def test_figures_of_another_kind_are_refused():
    with pytest.raises(InputError, match="missing"):
        from_json(FlowQuality, {"warp_error": 1})
    assert "12.00 without flow" in str(FlowQuality(3, 12, 0.1, 0.9, 1))
