import colorsys

import numpy as np
import pytest

from jaxmotion.optical_flow import color_labels, color_wheel, flow_to_color, label_palette


def render(vectors, **kwargs):
    return flow_to_color(np.array(vectors, np.float32)[None], **kwargs)[0].astype(int)


def test_directions_have_the_usual_hues():
    """Hues of the published legend: red right, yellow down, cyan left, violet up."""
    colors = render([[1, 0], [0, 1], [-1, 0], [0, -1]], max_magnitude=1)
    hues = [360 * colorsys.rgb_to_hsv(*(color / 255))[0] for color in colors]
    assert hues[0] == 0
    assert 45 < hues[1] < 65
    assert 170 < hues[2] < 200
    assert 250 < hues[3] < 270


def test_rest_is_white_full_length_saturated_longer_is_darker():
    colors = render([[0, 0], [1, 0], [3, 0]], max_magnitude=1)
    np.testing.assert_array_equal(colors[0], [255, 255, 255])
    np.testing.assert_array_equal(colors[1], [255, 0, 0])
    np.testing.assert_array_equal(colors[2], [191, 0, 0])


def test_saturation_grows_with_length():
    colors = render([[r, 0] for r in np.linspace(0, 1, 9)], max_magnitude=1)
    assert (np.diff(colors[:, 1]) < 0).all()


def test_default_scale_is_the_longest_vector():
    flow = np.random.default_rng(0).normal(size=(4, 5, 2)).astype(np.float32)
    np.testing.assert_array_equal(flow_to_color(flow), flow_to_color(1000 * flow))
    longest = np.hypot(*np.moveaxis(flow, -1, 0)).max()
    np.testing.assert_array_equal(flow_to_color(flow), flow_to_color(flow, float(longest)))


def test_unknown_and_not_finite_vectors_are_black():
    colors = render([[np.nan, 0], [0, np.inf], [1.6e9, 0], [1, 0]])
    np.testing.assert_array_equal(colors[:3], 0)
    np.testing.assert_array_equal(colors[3], [255, 0, 0])


def test_zero_flow_and_leading_axes():
    assert (flow_to_color(np.zeros((2, 3, 4, 5, 2))) == 255).all()
    assert flow_to_color(np.zeros((2, 3, 4, 5, 2))).shape == (2, 3, 4, 5, 3)


def test_wheel_has_no_jump():
    wheel = color_wheel()
    assert wheel.shape == (55, 3)
    assert np.abs(np.diff(np.concatenate([wheel, wheel[:1]]), axis=0)).max() < 70


@pytest.mark.parametrize("count", [1, 2, 4, 8, 9, 20])
def test_palette_colors_differ_and_do_not_depend_on_their_number(count):
    palette = label_palette(count)
    assert palette.shape == (count, 3)
    assert palette.dtype == np.uint8
    np.testing.assert_array_equal(palette, label_palette(256)[:count])
    distance = np.abs(palette[:, None].astype(int) - palette[None]).sum(-1)
    assert distance[~np.eye(count, dtype=bool)].min(initial=999) > 25


def test_labels_take_their_colors():
    labels = np.array([[0, 1], [2, 1]])
    np.testing.assert_array_equal(color_labels(labels)[1, 0], label_palette(3)[2])
