"""Aerial pairs: the flow is that of the pictures, and everything follows from the seed."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from jaxmotion.errors import InputError
from jaxmotion.optical_flow.quality import warp
from jaxmotion.scenes.aerial import draw_clip, draw_pair
from jaxmotion.scenes.aerial_config import AERIAL, AerialConfig
from jaxmotion.scenes.grounds import country, fields, pictures

CLEAN = AerialConfig(gain=0.0, noise=(0.01, 0.02), vehicles=(20, 30))


@pytest.mark.parametrize("ground", [country, fields])
def test_the_second_frame_brought_back_is_the_first(ground):
    for seed in range(3):
        pair = draw_pair(CLEAN, 96, 128, seed, ground)
        first, second = pair.frames.astype(np.float32)
        warped, inside = warp(second, pair.flow)
        apart = np.abs(warped - first).mean(axis=-1)
        still = np.abs(second - first).mean(axis=-1)
        moving, there = pair.moving & inside, inside & (pair.vehicles == 0)
        assert moving.sum() > 50
        # What is left is interpolation, on vehicles their outlines.
        assert np.median(apart[there]) < 0.35 * np.median(still[there])
        assert np.median(apart[moving]) < 0.3 * np.median(still[moving])


def test_a_wrong_flow_is_told_by_the_pictures():
    """The flow is exact to a small part of a pixel: any shift of it fits worse."""
    for config in (CLEAN, replace(CLEAN, parked=1.0)):
        pair = draw_pair(config, 128, 128, 5)
        where = pair.moving if pair.moving.any() else np.ones_like(pair.moving)
        first, second = pair.frames.astype(np.float32)

        def error(shift):
            warped, inside = warp(second, pair.flow + np.float32(shift))  # noqa: B023
            return np.square(warped - first).mean(axis=-1)[where & inside].mean()  # noqa: B023

        for shift in ((0.3, 0), (-0.3, 0), (0, 0.3), (0, -0.3)):
            assert error(shift) > 1.05 * error((0, 0))


def test_the_same_seed_is_the_same_pair_and_vehicles_do_not_overlap():
    one, same, other = (draw_pair(AERIAL["busy"], 64, 64, seed) for seed in (1, 1, 2))
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one.frames != other.frames).mean() > 0.5
    assert one.frames.shape == (2, 64, 64, 3)
    assert one.frames.dtype == np.uint8
    numbers, counts = np.unique(one.vehicles, return_counts=True)
    assert len(numbers) > 2
    assert counts[1:].min() > 3


def test_a_stabilized_camera_leaves_the_ground_where_it_is():
    pair = draw_pair(AERIAL["stabilized"], 64, 64, 3)
    assert np.abs(pair.flow[pair.vehicles == 0]).max() < 1e-6
    parked = (pair.vehicles > 0) & ~pair.moving
    assert np.abs(pair.flow[parked]).max(initial=0) < 1e-6
    assert np.linalg.norm(pair.flow[pair.moving], axis=-1).min() > 0.5


def test_a_clip_goes_on_as_it_began():
    config = replace(CLEAN, vehicles=(60, 80), camera_turn=0.01)
    clip = draw_clip(config, 3, 64, 80, 1)
    assert clip.frames.shape == (4, 64, 80, 3)
    assert clip.flow.shape == (3, 64, 80, 2)
    for frame, (flow, moving) in enumerate(zip(clip.flow, clip.moving, strict=True)):
        first, second = clip.frames[frame : frame + 2].astype(np.float32)
        warped, inside = warp(second, flow)
        where = moving & inside
        apart, still = (np.abs(x - first).mean(axis=-1)[where] for x in (warped, second))
        assert np.median(apart) < 0.3 * np.median(still)


def test_grounds_may_be_pictures_of_a_folder(tmp_path):
    with pytest.raises(InputError, match="no pictures"):
        pictures(tmp_path)
    red = np.zeros((80, 60, 3), np.uint8)
    red[:, :30, 2] = 255  # written as blue, green, red
    cv2.imwrite(str(tmp_path / "red.png"), red)
    ground = pictures(tmp_path)
    drawn = ground(np.random.default_rng(0), 100)
    assert drawn.shape == (100, 100, 3)
    assert drawn[..., 0].std() > 10 * drawn[..., 1].std()
    assert draw_pair(AERIAL["default"], 48, 48, 0, ground).frames.shape == (2, 48, 48, 3)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"bad\.png"):
        [pictures(tmp_path)(np.random.default_rng(seed), 50) for seed in range(9)]
