import json
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from test_flow_raft_figures import SAMPLES, read

from jaxmotion import cli
from jaxmotion.data import write_image
from jaxmotion.errors import InputError
from jaxmotion.optical_flow import (
    DIS,
    FLOW_STRENGTH,
    Refined,
    estimator_for_masks,
    read_flow_and_valid,
)
from jaxmotion.optical_flow.refinement import confidence, smooth


def case(seed, height, width):
    """Flow, weights and a guide of a few colors that differ by a few gray levels."""
    rng = np.random.default_rng(seed)
    flow = rng.normal(0, 3, (height, width, 2)).astype(np.float32)
    weights = rng.uniform(1e-4, 1, (height, width)).astype(np.float32)
    guide = rng.integers(100, 108, (height, width, 3)).astype(np.uint8)
    return flow, weights, guide


cases = st.builds(case, st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 12))


def least_squares(signal, colors, strength):
    """The minimizer along one line by its normal equations: dense, in float64."""
    matrix = np.eye(len(signal))
    for i in range(len(signal) - 1):
        apart = np.sqrt(np.sum((colors[i].astype(float) - colors[i + 1]) ** 2))
        difference = np.zeros(len(signal))
        difference[i], difference[i + 1] = 1, -1
        matrix += strength * np.exp(-apart / 3) * np.outer(difference, difference)
    return np.linalg.solve(matrix, signal)


@pytest.mark.parametrize(("height", "width"), [(5, 9), (1, 12), (7, 1), (8, 6)])
def test_smoothing_is_the_exact_least_squares_of_lines_in_turn(height, width):
    flow, weights, guide = case(0, height, width)
    signal = np.dstack([flow * weights[..., None], weights]).astype(np.float64)
    for strength in (300, 75, 18.75):
        for y in range(height):
            signal[y] = least_squares(signal[y], guide[y], strength)
        for x in range(width):
            signal[:, x] = least_squares(signal[:, x], guide[:, x], strength)
    expected = signal[..., :2] / signal[..., 2:]
    np.testing.assert_allclose(smooth(flow, weights, guide, 300.0), expected, atol=1e-5)


@given(cases, st.floats(0, 1e5))
@settings(deadline=None)
def test_constant_flow_stays_and_nothing_overshoots(case, strength):
    flow, weights, guide = case
    constant = np.broadcast_to(np.float32([3.5, -2]), flow.shape)
    np.testing.assert_allclose(smooth(constant, weights, guide, strength), constant, rtol=1e-5)
    smoothed = smooth(flow, weights, guide, strength)
    assert (smoothed >= flow.min(axis=(0, 1)) - 1e-4).all()
    assert (smoothed <= flow.max(axis=(0, 1)) + 1e-4).all()


@given(cases, st.floats(0, 1e4))
@settings(deadline=None)
def test_a_mirrored_picture_gives_mirrored_flow(case, strength):
    smoothed = smooth(*case, strength)
    for flip in (np.flipud, np.fliplr):
        mirrored = smooth(*map(flip, case), strength)
        np.testing.assert_allclose(flip(mirrored), smoothed, atol=1e-4)


def test_rows_and_columns_are_nearly_alike():
    rng = np.random.default_rng(0)
    flow = ndimage.gaussian_filter(rng.normal(0, 40, (60, 60, 2)), (4, 4, 0)).astype(np.float32)
    weights = ndimage.gaussian_filter(rng.uniform(0, 1, (60, 60)), 1).astype(np.float32)
    guide = np.full((60, 60, 3), 90, np.uint8)
    guide[20:40, 10:50] = 160
    turned = smooth(flow.swapaxes(0, 1), weights.T, guide.swapaxes(0, 1), 100.0).swapaxes(0, 1)
    smoothed = smooth(flow, weights, guide, 100.0)
    assert np.abs(turned - smoothed).mean() < 0.05 * np.abs(flow).mean()


def test_what_is_uncertain_is_filled_in():
    flow = np.full((40, 60, 2), 1, np.float32)
    weights = np.ones((40, 60), np.float32)
    flow[10:22, 20:36], weights[10:22, 20:36] = 50, 1e-4
    guide = np.full((40, 60, 3), 90, np.uint8)
    assert np.abs(smooth(flow, weights, guide, 3000.0) - 1).max() < 0.05
    assert np.abs(smooth(flow, np.ones_like(weights), guide, 3000.0) - 1).max() > 1


def test_nothing_passes_an_edge_of_the_picture():
    flow = np.zeros((30, 50, 2), np.float32)
    flow[8:20, 15:35] = (6, -3)
    guide = np.full((30, 50, 3), 90, np.uint8)
    weights = np.ones((30, 50), np.float32)
    assert np.abs(smooth(flow, weights, guide, 3000.0) - flow).max() > 1
    guide[8:20, 15:35] = 150
    assert np.abs(smooth(flow, weights, guide, 3000.0) - flow).max() < 1e-3


def sample(image, y, x):
    """Bilinear, in float64, the border repeated."""
    height, width = image.shape[:2]
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    total = np.zeros(image.shape[2])
    for dy in (0, 1):
        for dx in (0, 1):
            share = (1 - abs(y - y0 - dy)) * (1 - abs(x - x0 - dx))
            inside = image[min(max(y0 + dy, 0), height - 1), min(max(x0 + dx, 0), width - 1)]
            total += share * inside
    return total


def test_confidence_is_what_its_formula_says():
    rng = np.random.default_rng(1)
    shape = (24, 31)
    texture = 128 + 400 * ndimage.gaussian_filter(rng.normal(size=(*shape, 3)), (3, 3, 0))
    image0 = np.clip(texture, 0, 255).astype(np.uint8)
    image1 = np.clip(texture + rng.normal(0, 10, texture.shape), 0, 255).astype(np.uint8)
    flow = ndimage.gaussian_filter(rng.normal(0, 8, (*shape, 2)), (3, 3, 0)).astype(np.float32)
    backward = ndimage.gaussian_filter(-flow, (1, 1, 0))
    expected = np.empty(shape)
    for y in range(shape[0]):
        for x in range(shape[1]):
            u, v = flow[y, x].astype(float)
            back = sample(backward.astype(float), y + v, x + u)
            match = sample(image1.astype(float), y + v, x + u)
            apart = (u + back[0]) ** 2 + (v + back[1]) ** 2
            lengths = u**2 + v**2 + np.sum(back**2)
            colors = np.mean(np.abs(image0[y, x] - match))
            agreement = np.exp(-apart / (0.05 * lengths + 0.5)) * np.exp(-colors / 20)
            outside = not (0 <= x + u <= shape[1] - 1 and 0 <= y + v <= shape[0] - 1)
            expected[y, x] = 1e-4 + (0 if outside else agreement)
    found = confidence(image0, image1, flow, backward)
    assert found.dtype == np.float32
    assert (expected > 0.5).mean() > 0.05
    assert (expected < 2e-4).any()
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert np.abs(found - expected).mean() < 0.005


@dataclass(frozen=True)
class Given:
    """An estimator that gives one field forward and another backward, in turn."""

    fields: tuple = field(repr=False)
    name: str = "given"
    calls: list = field(default_factory=list)

    @property
    def settings(self):
        return {"a": 1}

    def __call__(self, image0, image1):
        self.calls.append(image0.shape)
        return self.fields[(len(self.calls) - 1) % 2].copy()


def affine_pair(height, width):
    """An affine motion as flow, and exactly back."""
    matrix, shift = np.array([[0.03, -0.02], [0.015, 0.04]]), np.array([2.0, -1.5])
    points = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1) - 20.0
    forward = points @ matrix.T + shift
    backward = (points - shift) @ np.linalg.inv(np.eye(2) + matrix).T - points
    return forward.astype(np.float32), backward.astype(np.float32)


@pytest.mark.parametrize("size", [None, (32, 48)])
def test_a_motion_is_recovered_from_among_outliers(size):
    forward, backward = affine_pair(64, 96)
    rng = np.random.default_rng(0)
    wrong = cv2.resize(rng.uniform(size=(16, 24)), (96, 64), interpolation=cv2.INTER_NEAREST) < 0.15
    found = np.where(wrong[..., None], forward + np.array([7, 5]), forward).astype(np.float32)
    image = np.full((64, 96, 3), 90, np.uint8)
    estimator = Refined(Given((found, backward)), size=size)
    refined = estimator(image, image)
    shape = size or (64, 96)
    truth = cv2.resize(forward, shape[::-1], interpolation=cv2.INTER_AREA)
    assert refined.dtype == np.float32
    assert refined.shape == (*shape, 2)
    assert np.linalg.norm(refined - truth, axis=-1).max() < 0.2
    assert len(estimator.base.calls) == 2


@pytest.mark.parametrize("matched", [480 * 854, 240 * 427])
def test_vectors_are_pixels_of_the_frames_and_large_frames_are_matched_smaller(matched):
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(1010, 1620)), 8)
    texture = np.uint8(255 * (texture - texture.min()) / np.ptp(texture))
    texture = np.repeat(texture[..., None], 3, -1)
    image0, image1 = texture[10:, 20:], texture[:-10, :-20]  # 20 to the right, 10 down

    @dataclass(frozen=True)
    class Watched(DIS):
        seen: list = field(default_factory=list)

        def __call__(self, image0, image1):
            self.seen.append(image0.shape)
            return super().__call__(image0, image1)

    estimator = Refined(Watched("medium"), matched=matched)
    flow = estimator.at((40, 64))(image0, image1)
    assert flow.shape == (40, 64, 2)
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), [20, 10], atol=0.5)
    (shape, _) = estimator.base.seen
    assert 0.98 < shape[0] * shape[1] / matched < 1.02
    assert abs(shape[0] / shape[1] - 1000 / 1600) < 0.002


@pytest.mark.parametrize(
    ("height", "width"), [(8, 12), (12, 8), (15, 200), (200, 15), (40, 64), (300, 170), (96, 700)]
)
@pytest.mark.parametrize("still", [True, False])
def test_frames_of_any_shape(height, width, still):
    rng = np.random.default_rng(0)
    image0 = rng.integers(0, 255, (height, width, 1)).repeat(3, axis=2).astype(np.uint8)
    flow = Refined(size=(9, 10))(image0, image0 if still else np.roll(image0, 1, axis=1))
    assert flow.shape == (min(9, height), min(10, width), 2)
    assert np.isfinite(flow).all()
    if still:
        np.testing.assert_allclose(flow, 0, atol=1e-4)


def test_a_dark_video_without_any_texture_stands_still():
    image = np.zeros((60, 90, 3), np.uint8)
    np.testing.assert_allclose(Refined(size=(30, 40))(image, image), 0, atol=1e-5)


def scene():
    """A square and the ground, which move apart, both of some texture, in noise; and the flow."""
    rng = np.random.default_rng(0)

    def texture(height, width, smoothness):
        noise = ndimage.gaussian_filter(rng.normal(size=(height, width, 3)), (*[smoothness] * 2, 0))
        return noise / np.abs(noise).max()

    ground, square = 60 + 40 * texture(170, 250, 3), 195 + 55 * texture(60, 70, 2)
    frames = []
    for t in range(2):
        frame = ground[2 * t : 160 + 2 * t, :240].copy()
        frame[50:110, 80 + 6 * t : 150 + 6 * t] = square
        frames.append(np.uint8(np.clip(frame + rng.normal(0, 2, frame.shape), 0, 255)))
    flow = np.zeros((160, 240, 2), np.float32)
    flow[..., 1] = -2
    flow[50:110, 80:150] = (6, 0)
    return *frames, flow


def test_refined_flow_is_nearer_to_the_truth():
    image0, image1, truth = scene()
    size = (80, 120)
    small = cv2.resize(truth, size[::-1], interpolation=cv2.INTER_AREA)

    def error(flow):
        return np.linalg.norm(flow - small, axis=-1).mean()

    plain = error(cv2.resize(DIS()(image0, image1), size[::-1], interpolation=cv2.INTER_AREA))
    assert error(Refined(size=size)(image0, image1)) < 0.8 * plain


def test_settings_tell_refined_flow_from_other_flow():
    estimator = estimator_for_masks("dis", weights=None).at((128, 224))
    assert estimator.name == "dis"
    assert json.loads(json.dumps(estimator.settings)) == estimator.settings
    assert estimator.settings == {
        "preset": "medium",
        "refined": {"strength": 3000.0, "size": [128, 224]},
    }
    others = (DIS("medium"), Refined(), Refined(DIS()), Refined(strength=100.0))
    assert len({json.dumps(e.settings) for e in (estimator, *others)}) == 5
    with pytest.raises(InputError, match="dis: has no setting 'weights'"):
        estimator_for_masks("dis", weights="file")
    with pytest.raises(InputError, match="unknown, expected one of dis"):
        estimator_for_masks("nonsense")


def test_the_command_refines_and_says_so(tmp_path, capsys):
    for t, frame in enumerate(scene()[:2]):
        write_image(tmp_path / "frames" / f"{t}.png", frame)
    command = ["flow", str(tmp_path / "frames"), "--out", str(tmp_path / "flow")]
    assert cli.main([*command, "--refine", "--quality"]) == 0
    expected = Refined(DIS(), FLOW_STRENGTH)
    np.testing.assert_array_equal(
        read_flow_and_valid(tmp_path / "flow" / "0.flo")[0],
        expected(*scene()[:2]).astype(np.float32),
    )
    described = json.loads((tmp_path / "flow" / "flow.json").read_text())
    assert described["settings"] == expected.settings
    assert cli.main(command) == 2
    assert "holds flow with settings" in capsys.readouterr().err


@pytest.mark.real
@pytest.mark.parametrize(
    ("sample", "plain", "refined"),
    [("RubberWhale", 0.119, 0.121), ("KITTI", 21.4, 21.2), ("Sintel", 0.203, 0.192)],
)
def test_error_on_the_samples(shared, sample, plain, refined):
    """The figures of docs/flow.md."""
    folder, *files = SAMPLES[sample]
    first, second, truth = (shared / "data" / "flow_samples" / folder / file for file in files)
    flow, valid = read_flow_and_valid(truth)
    for estimator, figure in ((DIS(), plain), (Refined(DIS(), FLOW_STRENGTH), refined)):
        error = np.linalg.norm(estimator(read(first), read(second)) - flow, axis=-1)[valid]
        assert abs(error.mean() - figure) < 0.01 * figure + 0.001
