"""What moves in the background without being an object: water, and ground close to the camera."""

from dataclasses import replace

import numpy as np
import pytest

from jaxmotion.scenes import LEVELS, generate

STILL = replace(
    LEVELS["easy"],
    object_probabilities=(0.0, 1.0),
    occluder_probabilities=(1.0,),
    noise_relative=0.0,
    noise_absolute=0.0,
    noise_white=0.0,
    camera_speed=0.02,
    tracking_probability=0.0,
)
SIZE = (6, 48, 84)


def inside(labels, margin=4):
    """Pixels whose surroundings are all of one object."""
    kept = labels > 0
    for axis in (1, 2):
        for shift in range(-margin, margin + 1):
            kept &= np.roll(labels, shift, axis) == labels
    return kept


@pytest.mark.parametrize(
    "change", [{"water_probability": 1.0, "water_speed": 0.02}, {"depth_roughness": 0.3}]
)
def test_it_changes_the_background_and_no_object(change):
    changed = 0
    for seed in range(6):
        plain = generate(STILL, *SIZE, seed=seed)
        scene = generate(replace(STILL, **change), *SIZE, seed=seed)
        again = generate(replace(STILL, **change), *SIZE, seed=seed)
        np.testing.assert_array_equal(scene.flow, again.flow)
        np.testing.assert_array_equal(scene.labels, plain.labels)
        differs = np.linalg.norm(scene.flow - plain.flow, axis=-1)
        assert differs[inside(plain.labels)].max(initial=0) < 1e-3  # pixels a frame: rounding
        changed += differs[plain.labels == 0].mean() > 0.05
    assert changed >= 4


def test_water_is_no_motion_of_the_camera():
    """A quadratic motion explains what the camera does, and little of the water's ripples."""
    y, x = np.mgrid[-1 : 1 : SIZE[1] * 1j, -1 : 1 : SIZE[2] * 1j]
    powers = [x**a * y**b for a in range(3) for b in range(3 - a)]
    design = np.stack(powers, axis=-1).reshape(-1, len(powers))
    config = replace(STILL, water_probability=1.0, water_speed=0.02, depth_slant=0.0)
    left = []
    for each in (replace(config, water_probability=0.0), config):
        scene = generate(each, *SIZE, seed=3)
        rest = []
        for flow, labels in zip(scene.flow, scene.labels, strict=True):
            ground = labels.ravel() == 0
            values = flow.reshape(-1, 2)[ground]
            theta = np.linalg.lstsq(design[ground], values, rcond=None)[0]
            rest.append(np.abs(values - design[ground] @ theta).mean())
        left.append(np.mean(rest))
    assert left[1] > 5 * left[0]


def test_the_level_has_many_objects_and_some_scenes_without():
    counts = [
        len(set(np.unique(generate(LEVELS["crowd_of_objects"], 1, 32, 56, seed).labels)) - {0})
        for seed in range(60)
    ]
    assert counts.count(0) >= 1
    assert max(counts) >= 4
    assert np.mean(counts) > 1.5
