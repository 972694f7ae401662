"""Scenes: what a clip is, and that its labels and its flow tell the same story."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from jaxmotion.scenes import LEVELS, SceneConfig, generate

CLEAN = {
    "blur": 1e-6,
    "edge_shift": 0.0,
    "edge_error": 0.0,
    "noise_relative": 0.0,
    "noise_absolute": 0.0,
    "noise_white": 0.0,
    "patch_share": 0.0,
    "corrupted_probability": 0.0,
}
ONE_OBJECT = replace(
    LEVELS["default"], object_probabilities=(1.0,), occluder_probabilities=(1.0,), **CLEAN
)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 200), (3, 200, 3), (2, 1, 17), (4, 31, 53)])
def test_any_size_gives_finite_flow_and_labels_of_that_size(level, shape):
    scene = generate(LEVELS[level], *shape, seed=3)
    assert scene.flow.shape == (*shape, 2)
    assert scene.flow.dtype == np.float32
    assert scene.labels.shape == shape
    assert scene.labels.dtype == np.int32
    assert scene.corrupted.shape == shape[:1]
    assert scene.corrupted.dtype == bool
    assert np.isfinite(scene.flow).all()
    num_objects = len(LEVELS[level].object_probabilities)
    assert scene.labels.min() >= 0
    assert scene.labels.max() <= num_objects


@settings(deadline=None, max_examples=15)
@given(
    level=st.sampled_from(sorted(LEVELS)),
    num_frames=st.integers(1, 5),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 2**63),
)
def test_the_same_seed_gives_the_same_scene(level, num_frames, height, width, seed):
    first = generate(LEVELS[level], num_frames, height, width, seed)
    again = generate(LEVELS[level], num_frames, height, width, seed)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.isfinite(first.flow).all()


def test_another_seed_gives_another_scene():
    scenes = [generate(LEVELS["default"], 1, 32, 56, seed).flow for seed in range(4)]
    for i in range(4):
        for j in range(i):
            assert np.abs(scenes[i] - scenes[j]).max() > 0.05


@pytest.mark.parametrize("shape", [(0, 8, 8), (1, 0, 8), (1, 8, -1)])
def test_a_size_below_one_is_refused(shape):
    with pytest.raises(ValueError, match="must be >= 1"):
        generate(LEVELS["easy"], *shape, seed=0)


def test_the_same_seed_at_twice_the_resolution_is_the_same_scene():
    config = replace(LEVELS["default"], noise_white=0.0)
    for seed in range(5):
        small = generate(config, 2, 48, 80, seed)
        large = generate(config, 2, 96, 160, seed)
        pooled = large.flow.reshape(2, 48, 2, 80, 2, 2).mean((2, 4)) / 2
        assert np.median(np.abs(pooled - small.flow)) < 0.02 * np.abs(small.flow).mean()
        inside = large.labels.reshape(2, 48, 2, 80, 2) == small.labels[:, :, None, :, None]
        assert inside.mean() > 0.97


def test_moving_a_label_along_the_flow_lands_on_the_label_of_the_next_frame():
    config = replace(ONE_OBJECT, object_area=(0.05, 0.2), object_speed=0.03, nonrigid=0.5)
    landed, covered, object_travel = [], [], []
    for seed in range(12):
        flow, labels, *_ = generate(config, 4, 96, 128, seed)
        for t in range(3):
            # A pixel of margin: positions are rounded to pixels.
            core = ndimage.binary_erosion(labels[t] == 1, border_value=1)
            rows, columns = np.nonzero(core)
            u, v = flow[t][rows, columns].T
            row, column = np.rint(rows + v).astype(int), np.rint(columns + u).astype(int)
            seen = (row >= 0) & (row < 96) & (column >= 0) & (column < 128)
            landed.append(labels[t + 1][row[seen], column[seen]] == 1)
            # Conversely the next label comes from this one, but for what enters the frame.
            arrived = np.zeros((96, 128), bool)
            arrived[row[seen], column[seen]] = True
            arrived = ndimage.binary_dilation(arrived, iterations=3)
            inner = np.zeros((96, 128), bool)
            inner[12:-12, 12:-12] = labels[t + 1][12:-12, 12:-12] == 1
            covered.append(arrived[inner])
            object_travel.append(np.hypot(u, v))
    assert np.mean(np.concatenate(landed)) > 0.995
    assert np.mean(np.concatenate(covered)) > 0.99
    # The flow matters in this test: it moves the pixels by more than the margins.
    assert np.concatenate(object_travel).mean() > 1.0


def test_the_flow_jumps_at_label_boundaries_and_nowhere_else():
    across, elsewhere = [], []
    for seed in range(30):
        scene = generate(ONE_OBJECT, 1, 64, 112, seed)
        flow, labels = scene.flow[0], scene.labels[0]
        jump = np.linalg.norm(np.diff(flow, axis=1), axis=-1)
        boundary = np.diff(labels, axis=1) != 0
        if boundary.any():
            across.append(np.median(jump[boundary]))
            elsewhere.append(np.quantile(jump[~boundary], 0.99))
    assert np.median(across) > 0.5
    ratio = np.array(across) / np.array(elsewhere)
    assert np.median(ratio) > 8
    assert np.quantile(ratio, 0.1) > 2


def test_static_occluders_are_background_and_differ_in_flow_by_parallax_only():
    config = replace(
        ONE_OBJECT, occluder_probabilities=(0.0, 1.0), occluder_depth=(1.0, 1.0), depth_slant=0.0,
        depth_variation=0.0, object_area=(1e-4, 1e-4),
    )  # fmt: skip
    rotating = replace(config, camera_translation=0.0, camera_zoom=0.0)
    jumps = []
    for seed in range(12):
        for case in (config, rotating):
            flow, labels, *_ = generate(case, 1, 64, 112, seed)
            clear = ~ndimage.binary_dilation(labels[0] > 0, iterations=2)
            jump = np.linalg.norm(np.diff(flow[0], axis=1), axis=-1)
            jumps.append(jump[clear[:, 1:] & clear[:, :-1]].max())
    with_parallax, without = np.array(jumps).reshape(-1, 2).T
    assert (with_parallax > 0.3).mean() > 0.6
    assert without.max() < 0.1


def test_only_the_flagged_frames_are_wrecked_and_labels_stay_right():
    config = replace(LEVELS["default"], corrupted_probability=0.4)
    flags = []
    for seed in range(8):
        wrecked = generate(config, 6, 32, 56, seed)
        clean = generate(replace(config, corrupted_probability=0.0), 6, 32, 56, seed)
        assert not clean.corrupted.any()
        np.testing.assert_array_equal(wrecked.labels, clean.labels)
        error = np.linalg.norm(wrecked.flow - clean.flow, axis=-1).mean((1, 2))
        size = np.linalg.norm(clean.flow, axis=-1).mean((1, 2))
        np.testing.assert_array_equal(error > 0, wrecked.corrupted)
        assert (error[wrecked.corrupted] > 0.1 * size[wrecked.corrupted]).all()
        flags.append(wrecked.corrupted)
    assert 0.2 < np.mean(flags) < 0.6


def test_objects_of_single_frames_can_be_seen():
    areas = np.array(
        [(generate(LEVELS["default"], 1, 64, 112, seed).labels > 0).mean() for seed in range(150)]
    )
    assert (areas > 0.005).mean() > 0.97
    assert 0.05 < np.median(areas) < 0.2
    assert areas.max() < 0.65


def test_long_clips_have_objects_that_enter_leave_and_rest():
    enters_or_leaves, rests = 0, 0
    for seed in range(12):
        config = replace(LEVELS["long"], **CLEAN, occluder_probabilities=(1.0,))
        _, labels, *_ = generate(config, 60, 24, 40, seed)
        for k in range(1, labels.max() + 1):
            present = (labels == k).any((1, 2))
            enters_or_leaves += bool(present.any() and not present.all())
        config = replace(config, object_probabilities=(1.0,), depth_slant=0.0, depth_variation=0.0)
        flow, labels, *_ = generate(config, 60, 24, 40, seed)
        contrast = [
            np.linalg.norm(np.median(f[m == 1], 0) - np.median(f[m == 0], 0))
            for f, m in zip(flow, labels, strict=True)
            if (m == 1).sum() > 20
        ]
        rests += bool(contrast and np.min(contrast) < 0.1 * np.median(contrast))
    assert enters_or_leaves >= 4
    assert rests >= 3


def _residual_norm(flow):
    """Residual norm [H, W] of a robust global quadratic flow: IRLS, dense, float64."""
    height, width = flow.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    design = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1).reshape(-1, 6)
    residual = np.empty((height * width, 2))
    for c in range(2):
        values, weights = flow[..., c].ravel().astype(np.float64), np.ones(height * width)
        for _ in range(12):
            weighted = design * weights[:, None]
            theta = np.linalg.solve(weighted.T @ design, weighted.T @ values)
            residual[:, c] = values - design @ theta
            weights = 1 / np.maximum(np.abs(residual[:, c]), 1e-3)
    return np.linalg.norm(residual, axis=1).reshape(height, width)


def _otsu(values):
    """The split of all values that minimizes the variance within the two classes."""
    ordered = np.sort(values.ravel())
    splits = np.linspace(1, ordered.size - 1, 200).astype(int)
    within = [ordered[:n].var() * n + ordered[n:].var() * (ordered.size - n) for n in splits]
    return ordered[splits[int(np.argmin(within))]]


def _threshold_iou(config: SceneConfig, num_scenes: int) -> float:
    """Mean IoU of an Otsu threshold on the residual of a global motion."""
    scores = []
    for seed in range(num_scenes):
        flow, labels, *_ = generate(replace(config, corrupted_probability=0.0), 1, 32, 56, seed)
        residual, gt = _residual_norm(flow[0]), labels[0] > 0
        found = residual >= _otsu(residual)
        scores.append((found & gt).sum() / max((found | gt).sum(), 1))
    return float(np.mean(scores))


def test_levels_are_ordered_by_difficulty():
    easy, default, hard = (
        _threshold_iou(LEVELS[level], 50) for level in ("easy", "default", "hard")
    )
    assert easy > 0.9
    assert 0.4 < default < 0.7  # a threshold helps, and is not enough
    assert hard < default - 0.03
