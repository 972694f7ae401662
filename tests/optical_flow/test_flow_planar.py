"""Flow over a plane: the camera's motion, but where something moves otherwise."""

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.motion import frame_motion
from jaxmotion.optical_flow import DIS, Planar, Refined
from jaxmotion.optical_flow.planar import differences

H, W = 48, 64
CAMERA, OBJECT = (2.0, -1.0), (-3.0, 2.0)
BODY = np.s_[20:30, 30:42]


@dataclasses.dataclass(frozen=True)
class Given:
    """An estimator that gives what it is told."""

    flow: np.ndarray
    name: str = "given"
    settings: dict = dataclasses.field(default_factory=dict)

    def __call__(self, image0, image1):
        return self.flow.copy()


def pictures(seed=0):
    """Two frames of a textured ground that a camera pans over, and a body that moves otherwise."""
    rng = np.random.default_rng(seed)
    ground = cv2.GaussianBlur(
        rng.integers(0, 255, (H + 20, W + 20, 3)).astype(np.float32), (5, 5), 0
    )
    body = rng.integers(0, 255, (10, 12, 3)).astype(np.float32)
    frames = []
    for t in (0, 1):
        x, y = (10 - t * int(step) for step in CAMERA)
        frame = ground[y : y + H, x : x + W].copy()
        top, left = 20 + t * int(OBJECT[1]), 30 + t * int(OBJECT[0])
        frame[top : top + 10, left : left + 12] = body
        frames.append(frame.astype(np.uint8))
    flow = np.full((H, W, 2), CAMERA, np.float32)
    flow[BODY] = OBJECT
    return frames[0], frames[1], flow


def test_wrong_patches_of_the_ground_become_the_cameras_motion_and_objects_stay():
    image0, image1, truth = pictures()
    wrong = truth.copy()
    wrong[5:12, 8:18] += 4
    found = Planar(Given(wrong))(image0, image1)
    inner = np.s_[22:28, 32:40]
    np.testing.assert_allclose(found[inner], truth[inner])
    np.testing.assert_allclose(found[5:12, 8:18], truth[5:12, 8:18], atol=0.1)
    assert np.abs(found - truth)[4:-4, 4:-4].mean() < 0.05


def test_where_two_flows_explain_as_much_it_is_the_cameras():
    plain = np.full((H, W, 3), 90, np.uint8)
    flow = pictures()[2]
    expected = np.asarray(frame_motion(flow, np.ones((H, W), np.float32)))
    np.testing.assert_array_equal(Planar(Given(flow))(plain, plain), expected)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 100), st.floats(0.7, 1.3), st.floats(-20, 20))
def test_every_vector_is_one_of_the_two_whatever_the_exposure(seed, gain, level):
    image0, image1, flow = pictures(seed)
    motion = np.asarray(frame_motion(flow, np.ones((H, W), np.float32)))
    # Within the range of gray levels, so that a line maps one onto the other.
    image0, image1 = (60 + image // 2 for image in (image0, image1))
    same = Planar(Given(flow))(image0, image1)
    assert np.all(np.all(same == flow, axis=-1) | np.all(same == motion, axis=-1))
    other = np.clip(np.rint(gain * image1.astype(float) + level), 0, 255).astype(np.uint8)
    np.testing.assert_allclose(Planar(Given(flow))(image0, other)[BODY], same[BODY], atol=8)
    assert np.mean(np.any(Planar(Given(flow))(image0, other) != same, axis=-1)) < 0.02


def test_differences_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    image1 = rng.integers(0, 255, (9, 11, 3)).astype(np.uint8)
    flow = rng.integers(-8, 9, (9, 11, 2)).astype(np.float32) / 4
    motion = np.zeros((9, 11, 2), np.float32)
    # Nothing to adapt: the second frame is the first where the motion looks.
    (by_flow, known), (by_motion, seen) = differences(image1, image1, flow, motion)
    np.testing.assert_allclose(by_motion, 0, atol=1e-4)
    assert seen.all()
    for y in range(9):
        for x in range(11):
            u, v = x + float(flow[y, x, 0]), y + float(flow[y, x, 1])
            inside = 0 <= u <= 10 and 0 <= v <= 8
            assert known[y, x] == inside
            if not inside:
                continue
            left, top = min(int(u), 9), min(int(v), 7)
            a, b = u - left, v - top
            corners = image1[top : top + 2, left : left + 2].astype(float)
            rows = corners[0] * (1 - b) + corners[1] * b
            match = rows[0] * (1 - a) + rows[1] * a
            expected = np.abs(image1[y, x] - match).mean()
            np.testing.assert_allclose(by_flow[y, x], expected, atol=0.5)  # 1/32 pixel


def test_exposure_is_taken_off_before_colors_are_compared():
    image0, image1, flow = pictures()
    image0, image1 = (60 + image // 2 for image in (image0, image1))
    brighter = np.rint(1.1 * image1.astype(float) + 5).astype(np.uint8)
    camera = np.full((H, W, 2), CAMERA, np.float32)
    _, (apart, seen) = differences(image0, brighter, flow, camera)
    ground = seen.copy()
    ground[14:36, 20:50] = False
    assert apart[ground].max() < 1.5
    assert apart[22:28, 32:40].mean() > 5  # the body, which the camera's motion does not explain


def test_settings_tell_it_from_what_it_is_made_of():
    estimator = Planar(DIS("fast"), window=7)
    assert estimator.name == "dis"
    assert estimator.settings == {"preset": "fast", "planar": {"window": 7, "margin": 1.0}}


def test_flow_that_cannot_be_written_to_is_refined_and_set_over_a_plane():
    image0, image1, flow = pictures()
    expected = Planar(Refined(Given(flow)))(image0, image1)

    class Locked(Given):
        def __call__(self, image0, image1):
            flow = super().__call__(image0, image1)
            flow.flags.writeable = False  # as that of a network
            return flow

    np.testing.assert_array_equal(Planar(Refined(Locked(flow)))(image0, image1), expected)


@pytest.mark.parametrize("size", [(12, 8), (16, 500)])
def test_frames_of_any_size_go(size):
    frames = np.random.default_rng(0).integers(0, 255, (2, *size, 3)).astype(np.uint8)
    flow = np.zeros((*size, 2), np.float32)
    assert Planar(Given(flow))(*frames).shape == flow.shape
