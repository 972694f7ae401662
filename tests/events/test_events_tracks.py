"""Numbers of tracks: made-up motions whose numbers are known."""

import numpy as np
import pytest

from jaxmotion.events import DESCRIPTORS, describe_tracks

HEIGHT, WIDTH = 48, 80
SIZE = np.sqrt(HEIGHT * WIDTH)
Y, X = np.mgrid[:HEIGHT, :WIDTH].astype(float)


def made_up(matrix, shift, center=(20, 30), radius=9, background=0.0, second=None):
    """Two frames: a disc that moves affinely about its center, before a background."""
    labels = ((X - center[1]) ** 2 + (Y - center[0]) ** 2 <= radius**2).astype(int)
    own = np.stack([X - center[1], Y - center[0]], -1) @ (np.asarray(matrix) - np.eye(2)).T + shift
    flow = np.zeros((HEIGHT, WIDTH, 2)) + background
    flow[labels == 1] += own[labels == 1]
    if second is not None:
        labels[second] = 2
        flow[second] = background if np.ndim(background) == 0 else background[second]
    return np.stack([labels] * 2), np.stack([flow] * 2)


def rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def test_velocity_turn_growth_and_shear_are_those_of_the_motion():
    for angle, scale in ((0.15, 1.0), (-0.3, 1.0), (0.0, 1.05), (0.1, 0.95)):
        tracks = describe_tracks(*made_up(scale * rotation(angle), (1.5, -0.5)))
        np.testing.assert_allclose(tracks.velocity[0, 0] * SIZE, (1.5, -0.5), atol=1e-3)
        assert tracks.turn[0, 0] == pytest.approx(angle, abs=1e-4)
        assert tracks.growth[0, 0] == pytest.approx(2 * np.log(scale), abs=1e-4)
        assert tracks.shear[0, 0] == pytest.approx(0, abs=1e-4)
        assert tracks.residual[0, 0] < 1e-5
    tracks = describe_tracks(*made_up([[1.1, 0], [0, 0.9]], (0, 0)))
    assert tracks.shear[0, 0] == pytest.approx(0.1, abs=1e-3)
    assert tracks.speed[0, 0] < 1e-5


def test_the_motion_of_the_camera_does_not_matter():
    x, y = (X - 40) / 40, (Y - 24) / 40
    camera = np.stack([3 + x - 0.5 * y + 0.3 * x * y, -2 + 0.4 * x * x + y], axis=-1)
    still = describe_tracks(*made_up(rotation(0.1), (1.0, 0.5)))
    carried = describe_tracks(*made_up(rotation(0.1), (1.0, 0.5), background=camera))
    for name in ("velocity", "turn", "growth", "shear"):
        expected = getattr(still, name)
        np.testing.assert_allclose(getattr(carried, name), expected, atol=1e-3)
    assert carried.ground.max() < 1e-4


def test_place_box_area_border_and_gap():
    second = (slice(10, 31), slice(60, 80))
    labels, flow = made_up(np.eye(2), (0, 0), second=second)
    tracks = describe_tracks(labels, flow)
    assert tracks.labels.tolist() == [1, 2]
    np.testing.assert_allclose(tracks.place[0, 0] * SIZE, (30 - 39.5, 20 - 23.5))
    np.testing.assert_allclose(tracks.box[0, 0] * (WIDTH, HEIGHT, WIDTH, HEIGHT), (21, 11, 40, 30))
    np.testing.assert_allclose(tracks.box[1, 0], (60 / WIDTH, 10 / HEIGHT, 1, 31 / HEIGHT))
    assert tracks.area[1, 0] == 21 * 20 / (HEIGHT * WIDTH)
    assert tracks.border.tolist() == [[False, False], [True, True]]
    one, two = (np.argwhere(labels[0] == label) for label in (1, 2))
    gap = np.linalg.norm(one[:, None] - two[None], axis=-1).min() - 1
    assert tracks.gaps[0, 1][0] * SIZE == pytest.approx(gap, rel=0.03)
    np.testing.assert_array_equal(tracks.distance[0], tracks.distance[1])
    assert tracks.descriptors().shape == (2, 2, len(DESCRIPTORS))


def test_frames_that_do_not_show_a_track_are_missing():
    labels, flow = made_up(np.eye(2), (2, 0))
    labels = np.concatenate([labels, 0 * labels])
    tracks = describe_tracks(labels, np.concatenate([flow, flow]))
    for name in ("area", "speed", "growth", "turn", "shear", "residual", "distance"):
        assert np.isnan(getattr(tracks, name)[0, 2:]).all()
    assert np.isfinite(tracks.speed[0, :2]).all()
    assert np.isnan(tracks.area_change[0]).all()  # its neighbors are missing


def test_unknown_flow_counts_nowhere():
    labels, flow = made_up(rotation(0.1), (1, 0))
    wild, valid = flow.copy(), np.ones(labels.shape)
    wild[:, :, 25:32] = np.nan
    valid[:, :, 25:32] = 0
    tracks, expected = describe_tracks(labels, wild, valid), describe_tracks(labels, flow)
    np.testing.assert_allclose(tracks.velocity, expected.velocity, atol=1e-3)
    np.testing.assert_allclose(tracks.turn, expected.turn, atol=1e-3)
    nothing = describe_tracks(labels, wild, 0 * valid)
    assert np.isnan(nothing.speed).all()
    assert np.isfinite(nothing.area).all()


def test_a_tenth_of_outliers_does_not_matter():
    labels, flow = made_up(rotation(0.1), (1, 0))
    outliers = np.random.default_rng(0).uniform(size=labels.shape) < 0.1
    flow[outliers] += 20
    tracks = describe_tracks(labels, flow)
    np.testing.assert_allclose(tracks.velocity[0, 0] * SIZE, (1, 0), atol=0.05)
    assert tracks.turn[0, 0] == pytest.approx(0.1, abs=0.01)


def test_no_track_and_wrong_shapes():
    nothing = describe_tracks(np.zeros((3, 8, 9), int), np.zeros((3, 8, 9, 2)))
    assert nothing.area.shape == (0, 3)
    assert nothing.descriptors().shape == (0, 3, len(DESCRIPTORS))
    with pytest.raises(ValueError, match=r"expected \[T, H, W\]"):
        describe_tracks(np.zeros((3, 8, 9), int), np.zeros((3, 8, 8, 2)))
