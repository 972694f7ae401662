import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from jaxmotion.evaluation.protocol import preset
from jaxmotion.evaluation.results import Run
from jaxmotion.evaluation.score import score_labels
from jaxmotion.evaluation.sequences import Annotation
from jaxmotion.metrics.davis import boundary_f, jaccard, sequence_statistics
from jaxmotion.metrics.objects import match_objects

few = settings(deadline=None, max_examples=20)


@pytest.mark.real
def test_scores_equal_the_official_ones(shared):
    with open(shared / "oracles/davis_scores.json") as file:
        official = json.load(file)
    masks = np.load(shared / "oracles/davis_masks.npz")
    assert len(official) == 6
    for key, scores in official.items():
        gt, pred = masks[f"gt_{key}"], masks[f"pr_{key}"]
        foreground = pred != np.bincount(pred.ravel()).argmax()
        binary = scores["binary"]
        j, f = jaccard(gt > 0, foreground), boundary_f(gt > 0, foreground)
        np.testing.assert_allclose(j, binary["J_frames"], atol=1e-9, rtol=0)
        np.testing.assert_allclose(f, binary["F_frames"], atol=1e-6, rtol=0)
        np.testing.assert_allclose(sequence_statistics(j), binary["J"], atol=1e-9, rtol=0)
        np.testing.assert_allclose(sequence_statistics(f), binary["F"], atol=1e-6, rtol=0)

        match = match_objects(gt, pred)
        assert list(match.pairs) == [tuple(pair) for pair in scores["hungarian"]["pairs"]]
        np.testing.assert_allclose(match.J, scores["hungarian"]["J"], atol=1e-9, rtol=0)
        np.testing.assert_allclose(match.F, scores["hungarian"]["F"], atol=1e-6, rtol=0)
        np.testing.assert_allclose(match.JF, scores["hungarian"]["JF"], atol=1e-6, rtol=0)


@pytest.mark.real
def test_protocols_give_the_official_scores(shared):
    with open(shared / "oracles/davis_scores.json") as file:
        official = json.load(file)
    masks = np.load(shared / "oracles/davis_masks.npz")
    for key, scores in official.items():
        gt, pred = (masks[f"{kind}_{key}"].astype(np.uint8) for kind in ("gt", "pr"))
        names = tuple(f"{t:05d}" for t in range(len(gt)))
        annotation = Annotation(np.arange(len(gt)), names, gt)
        binary, _ = score_labels(key, pred, annotation, preset("davis2016"), int(pred.max()) + 1)
        for measure, tolerance in (("J", 1e-9), ("F", 1e-6)):
            expected = scores["binary"][measure]
            found = [binary.statistics()[f"{measure}_{s}"] for s in ("mean", "recall", "decay")]
            np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0)
        objects, _ = score_labels(key, pred, annotation, preset("davis2017_motion"), 1)
        pairs = sorted((o.segment, int(o.name)) for o in objects.objects)
        assert pairs == [tuple(pair) for pair in scores["hungarian"]["pairs"]]
        means = Run("m", "results", "", (objects,)).means("object")
        np.testing.assert_allclose(means["JF_mean"], scores["hungarian"]["JF"], atol=1e-6, rtol=0)


def reference_f(gt, pred, bound_th):
    """The boundary measure from its definition: exact distances to the other boundary."""

    def boundary(mask):
        # Differs from a neighbor to the right, below, or below right, inside the image.
        padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
        edge = (mask != padded[:-1, 1:]) | (mask != padded[1:, :-1])
        diagonal = mask != padded[1:, 1:]
        diagonal[-1], diagonal[:, -1] = False, False
        return edge | diagonal

    radius = np.ceil(bound_th * np.linalg.norm(gt.shape))
    a, b = boundary(gt), boundary(pred)
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    recall = np.mean(ndimage.distance_transform_edt(~b)[a] <= radius)
    precision = np.mean(ndimage.distance_transform_edt(~a)[b] <= radius)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def blobs(seed, shape=(37, 61), num=2, level=0.0):
    noise = np.random.default_rng(seed).normal(size=(num, *shape))
    return ndimage.gaussian_filter(noise, (0, 3, 3)) > level


@few
@given(st.integers(0, 10**6), st.sampled_from([0.008, 0.03, 0.1]), st.sampled_from([0, 0.1, 0.2]))
def test_boundary_measure_follows_its_definition(seed, bound_th, level):
    gt, pred = blobs(seed, level=level)
    assert boundary_f(gt, pred, bound_th) == pytest.approx(reference_f(gt, pred, bound_th))


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_boundary_at_the_image_border_follows_its_definition(corner):
    gt = np.zeros((20, 30), bool)
    gt[: 1 + corner[0], -1 - corner[1] :] = True
    pred = np.zeros_like(gt)
    pred[-1, :3] = pred[:6, -1] = True
    for a, b in [(gt, pred), (gt[::-1], pred), (gt[:, ::-1], pred), (pred, gt[::-1, ::-1])]:
        assert boundary_f(a, b, 0.05) == pytest.approx(reference_f(a, b, 0.05))


@few
@given(st.integers(0, 10**6))
def test_scores_are_symmetric_and_one_only_for_identical_masks(seed):
    gt, pred = blobs(seed)
    for score in (jaccard, boundary_f):
        assert score(gt, gt) == 1
        assert 0 <= score(gt, pred) < 1
        assert score(gt, pred) == pytest.approx(float(score(pred, gt)))
    assert jaccard(gt, pred) == np.sum(gt & pred) / np.sum(gt | pred)


def test_empty_masks():
    empty, some = np.zeros((9, 9), bool), np.eye(9, dtype=bool)
    for score in (jaccard, boundary_f):
        assert score(empty, empty) == 1
        assert score(empty, some) == 0
        assert score(some, empty) == 0


def test_full_masks_have_no_boundary():
    assert boundary_f(np.ones((9, 9), bool), np.ones((9, 9), bool)) == 1
    assert boundary_f(np.ones((9, 9), bool), np.eye(9, dtype=bool)) == 0


def test_leading_axes_are_batch_axes():
    gt, pred = blobs(0, num=6).reshape(3, 2, 37, 61), blobs(1, num=6).reshape(3, 2, 37, 61)
    for score in (jaccard, boundary_f):
        assert score(gt, pred).shape == (3, 2)
        assert score(gt, pred)[2, 1] == score(gt[2, 1], pred[2, 1])


def test_wrong_masks_are_refused():
    mask = np.zeros((5, 4), bool)
    for score in (jaccard, boundary_f):
        with pytest.raises(ValueError, match=r"pred \(4, 5\): expected \(5, 4\), the shape of gt"):
            score(mask, mask.T)
        with pytest.raises(TypeError, match="float"):
            score(mask, np.zeros((5, 4)))
        with pytest.raises(ValueError, match=r"\.\.\., H, W"):
            score(mask[0], mask[0])


def test_statistics_of_a_worked_example():
    # Eight frames: the quarters end at frames 1, 3, 5, 6, 8 (linspace 1, 2.75, 4.5, 6.25, 8,
    # rounded half to even, the half nudged upward to 5), counted from 1.
    scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
    mean, recall, decay = sequence_statistics(scores)
    assert mean == pytest.approx(0.55)
    assert recall == 4 / 8  # 0.5 itself is not above 0.5
    assert decay == pytest.approx(np.mean([0.9, 0.8, 0.7]) - np.mean([0.4, 0.3, 0.2]))


def test_statistics_of_one_frame_and_of_missing_scores():
    assert sequence_statistics([0.7]) == (0.7, 1.0, 0.0)
    mean, recall, decay = sequence_statistics([0.8, np.nan, 0.6, np.nan])
    assert (mean, recall) == (pytest.approx(0.7), 0.5)
    assert np.isfinite(decay)
    assert np.isnan(sequence_statistics([np.nan, np.nan])).all()
    with pytest.raises(ValueError, match="at least one"):
        sequence_statistics([])


def test_long_sequences_decay_over_their_own_ends():
    # 300 frames: the benchmark's 8-bit frame indices would wrap around here.
    assert sequence_statistics(np.r_[np.ones(150), np.zeros(150)])[2] == 1


def label_maps(seed, num_labels, frames=4, shape=(24, 40)):
    noise = np.random.default_rng(seed).normal(size=(num_labels, frames, *shape))
    return ndimage.gaussian_filter(noise, (0, 1, 3, 3)).argmax(0)


@few
@given(st.integers(0, 10**6), st.permutations(range(4)))
def test_matching_does_not_depend_on_the_names_of_the_labels(seed, names):
    gt, pred = label_maps(seed, 3), label_maps(seed + 1, 4)
    match, renamed = match_objects(gt, pred), match_objects(gt, np.array(names)[pred])
    np.testing.assert_allclose(renamed.JF, match.JF)
    assert {(names[p], g) for p, g in match.pairs} == set(renamed.pairs)


def test_matching_finds_the_best_assignment_by_brute_force():
    from itertools import permutations

    gt, pred = label_maps(3, 4), label_maps(4, 4)
    best = max(
        np.mean(
            [
                (jaccard(gt == g, pred == p) + boundary_f(gt == g, pred == p)).mean() / 2
                for g, p in zip((1, 2, 3), chosen, strict=True)
            ]
        )
        for chosen in permutations(range(4), 3)
    )
    np.testing.assert_allclose(match_objects(gt, pred).JF, best)


def test_objects_without_a_segment_are_scored_against_an_empty_mask():
    gt = np.zeros((2, 8, 8), int)
    gt[0, :3], gt[:, 5:] = 1, 2
    match = match_objects(gt, np.zeros((2, 8, 8), int))
    assert len(match.pairs) == 2
    assert match.pairs[0] == (-1, 1)  # label 0 goes to the larger object
    np.testing.assert_array_equal(match.jaccard[0], [0, 1])  # absent from the second frame
    assert match_objects(np.zeros((2, 8, 8), int), gt).pairs == ()
