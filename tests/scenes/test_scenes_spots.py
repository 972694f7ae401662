"""Spots of noise on a still ground, and the level of small objects that has them."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import label

from jaxmotion.scenes import LEVELS, generate

LEVEL = LEVELS["small_objects"]
GROUND = replace(
    LEVEL, empty_probability=1.0, occluder_probabilities=(1.0,), corrupted_probability=0.0
)
SIZE = (64, 112)
UNIT = float(np.sqrt(SIZE[0] * SIZE[1]))


def lengths(config, frames, seed):
    """Length of the flow, frame sizes per frame."""
    return np.linalg.norm(generate(config, frames, *SIZE, seed).flow, axis=-1) / UNIT


def test_without_spots_a_still_ground_does_not_move():
    assert not generate(replace(GROUND, spots=0.0), 4, *SIZE, seed=0).flow.any()


def test_number_size_and_speed_of_spots_are_those_asked_for():
    config = replace(GROUND, spots=3.0, spot_radius=(0.03, 0.03), spot_speed=1e-3)
    config = replace(config, noise_relative=0.0)
    seen = lengths(config, 200, seed=1)
    counts, areas, tops = [], [], []
    for frame in seen:
        parts, count = label(frame > 0, np.ones((3, 3)))
        counts.append(count)
        areas += [(parts == part).sum() for part in range(1, count + 1)]
        tops += [frame[parts == part].max() for part in range(1, count + 1)]
    assert 2.0 < np.mean(counts) < 3.2  # some lie on each other, or out of the frame
    assert 0.5 < np.median(np.sqrt(np.array(areas) / np.pi)) / (0.03 * UNIT) < 2
    assert 0.4 < np.median(tops) / 1e-3 < 1.6


def test_spots_stay_where_they_are_and_go():
    """What is there next is where something was, or is new; hardly anything is there for long."""
    config = replace(GROUND, spots=1.0, noise_relative=0.0)
    there = lengths(config, 300, seed=2) > 0
    stays = (there[1:] & there[:-1]).sum() / there[:-1].sum()
    later = (there[12:] & there[:-12]).sum() / there[:-12].sum()
    assert 0.35 < stays < 0.65  # half of them: a mean of two frames
    assert later < 0.1


def test_spots_change_no_object_and_nothing_far_from_them():
    for seed in range(4):
        plain = generate(replace(LEVEL, spots=0.0), 8, *SIZE, seed=seed)
        scene = generate(LEVEL, 8, *SIZE, seed=seed)
        np.testing.assert_array_equal(scene.labels, plain.labels)
        same = (scene.flow == plain.flow).all(axis=-1)
        assert same.mean() > 0.8
        assert not same.all()


def test_objects_of_the_level_are_small_and_move_on_a_ground_that_does_not():
    areas, moving, still = [], [], []
    for seed in range(40):
        scene = generate(LEVEL, 8, *SIZE, seed=seed)
        for number in np.unique(scene.labels[scene.labels > 0]):
            areas.append((scene.labels == number).sum() / 8)
            moving.append(np.linalg.norm(scene.flow[scene.labels == number], axis=-1).max())
        ground = scene.flow[~scene.corrupted][scene.labels[~scene.corrupted] == 0]
        still.append(np.median(np.linalg.norm(ground, axis=-1)))
    assert len(areas) > 40
    assert np.quantile(2 * np.sqrt(np.array(areas) / np.pi), 0.9) < 12
    assert np.quantile(moving, 0.1) > 0.05
    assert np.quantile(still, 0.9) < 0.002
