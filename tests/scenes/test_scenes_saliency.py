"""Scenes that may be empty, and crowds: what tells them apart, and what does not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.errors import InputError
from jaxmotion.scenes import LEVELS, CrowdConfig, generate
from jaxmotion.scenes.crowd import View

CROWD = LEVELS["crowd"]
CLEAN = {
    "edge_error": 0.0,
    "edge_shift": 0.0,
    "blur": 1e-6,
    "noise_relative": 0.0,
    "noise_absolute": 0.0,
    "noise_white": 0.0,
    "patch_share": 0.0,
}


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_a_pair_differs_where_the_objects_are_and_nowhere_else(seed):
    config = replace(LEVELS["parallax"], **CLEAN, decoy_probability=0.0)
    full, empty = (
        generate(replace(config, empty_probability=share), 2, 32, 56, seed) for share in (0.0, 1.0)
    )
    assert not empty.labels.any()
    elsewhere = full.labels == 0
    apart = np.abs(full.flow[elsewhere] - empty.flow[elsewhere]) > 1e-5
    assert apart.mean() < 5e-3  # on an outline a pixel is of both


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_a_static_thing_stands_where_an_object_was(seed):
    """It has the outline of the object in the first frame, and moves with the scene there."""
    config = replace(LEVELS["parallax"], **CLEAN, decoy_probability=1.0)
    config = replace(config, depth_variation=0.0, depth_slant=0.0, occluder_depth=(1.0, 1.0))
    config = replace(config, occluder_probabilities=(1.0,), camera_roll=0.0, camera_zoom=0.0)
    # A camera that only moves sideways: things at twice the inverse depth move twice as fast.
    config = replace(config, camera_translation=1.0, tracking_probability=0.0)
    full, decoys, empty = (
        generate(replace(config, empty_probability=share, decoy_probability=decoy), 1, 32, 56, seed)
        for share, decoy in ((0.0, 1.0), (1.0, 1.0), (1.0, 0.0))
    )
    assert not decoys.labels.any()
    elsewhere = full.labels == 0
    apart = np.abs(decoys.flow[elsewhere] - empty.flow[elsewhere]) > 1e-5
    assert apart.mean() < 5e-3  # on an outline a pixel is of both
    near = (decoys.flow - empty.flow)[~elsewhere]
    if len(near) > 20:
        # The same everywhere, along the motion of the camera.
        np.testing.assert_allclose(np.median(near, axis=0), near.mean(axis=0), atol=0.05, rtol=0.2)


def test_half_of_the_scenes_are_empty():
    labels = [generate(LEVELS["parallax"], 1, 32, 56, seed).labels for seed in range(200)]
    share = np.mean([bool((frame > 0).mean() >= 0.005) for frame in labels])
    assert 0.4 < share < 0.6


def test_people_are_projected_by_a_pinhole_camera():
    """Against a rotation matrix, written out."""
    view, rng = View(height=4.0, tilt=0.4, focal=1.3), np.random.default_rng(0)
    ground, above = rng.uniform([-3, 4], [3, 20], (10, 2)), rng.uniform(0, 2, 10)
    world = np.stack([ground[:, 0], view.height - above, ground[:, 1]], -1)  # right, down, forward
    cos, sin = np.cos(view.tilt), np.sin(view.tilt)
    turned = world @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]).T
    found, depth = view.project(ground, above)
    np.testing.assert_allclose(depth, turned[:, 2])
    np.testing.assert_allclose(found, view.focal * turned[:, :2] / turned[:, 2:])


def test_the_ground_has_the_inverse_depth_of_its_points():
    view = View(height=4.0, tilt=0.4, focal=1.3)
    ground = np.array([[0.0, distance] for distance in (6.0, 9.0, 15.0)])
    seen, depth = view.project(ground, np.zeros(3))
    slope = 1 / (view.focal * np.tan(view.tilt))
    np.testing.assert_allclose(
        view.height / np.sin(view.tilt) / depth, 1 + slope * seen[:, 1], rtol=1e-9
    )


def test_people_walk_one_way_but_for_those_with_a_label():
    """Of a standing camera the flow of a person is the way of the walk, projected."""
    still = replace(CROWD, **CLEAN, camera_speed=0.0, camera_roll=0.0, heading_noise=0.1)
    still = replace(still, against_probability=1.0, against_angle=(170.0, 180.0))
    apart, along = [], []
    for seed in range(12):
        scene = generate(still, 1, 96, 168, seed)
        everyone = generate(replace(still, label_everyone=True), 1, 96, 168, seed)
        np.testing.assert_array_equal(scene.flow, everyone.flow)
        others = (everyone.labels[0] > 0) & (scene.labels[0] == 0)
        mean = scene.flow[0][others].mean(axis=0)
        along.append(scene.flow[0][others] @ mean / (mean @ mean))
        apart.append(scene.flow[0][scene.labels[0] > 0] @ mean / (mean @ mean))
        assert (scene.flow[0][everyone.labels[0] == 0] != 0).mean() < 1e-3  # on an outline
        assert 20 <= everyone.labels.max() <= 80
        assert scene.labels.max() <= 3
    assert (np.concatenate(along) > 0).mean() > 0.95
    assert (np.concatenate(apart) < 0).mean() > 0.95


def test_the_flow_of_people_carries_their_labels():
    config = replace(CROWD, **CLEAN, label_everyone=True, people=(20, 25))
    landed = []
    for seed in range(4):
        flow, labels, *_ = generate(config, 6, 96, 168, seed)
        for t in range(5):
            y, x = np.nonzero(labels[t])
            u, v = np.rint(flow[t, y, x]).astype(int).T
            inside = (x + u >= 0) & (x + u < 168) & (y + v >= 0) & (y + v < 96)
            after = labels[t + 1][(y + v)[inside], (x + u)[inside]]
            landed.append(after == labels[t][y, x][inside])
    # Outlines and those who pass behind others are the rest.
    assert np.mean(np.concatenate(landed)) > 0.85


def test_those_who_leave_the_field_come_back():
    config = replace(CROWD, label_everyone=True, frame_rate=2.0, people=(20, 20))
    first, last = generate(config, 60, 48, 84, 5).labels[[0, 59]]
    assert (last > 0).mean() > 0.5 * (first > 0).mean() > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"people": (5, 2)}, r"CrowdConfig.people \(5, 2\): expected the least and the greatest"),
        ({"camera_tilt": (10.0, 85.0)}, r"camera_tilt .*: expected at most 80"),
    ],
)
def test_a_crowd_that_cannot_be_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        CrowdConfig(**change)
