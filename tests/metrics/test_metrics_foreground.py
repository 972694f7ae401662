from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from jaxmotion.metrics.davis import jaccard
from jaxmotion.metrics.foreground import RULES, select_foreground

# All rules but the one that knows the background by its number.
NAMELESS = sorted(set(RULES) - {"nonzero"})

few = settings(deadline=None, max_examples=20)


def sample(seed, num_labels=4, frames=3, shape=(16, 20)):
    noise = np.random.default_rng(seed).normal(size=(num_labels + 1, frames, *shape))
    noise = ndimage.gaussian_filter(noise, (0, 0, 2, 2))
    return noise[:-1].argmax(0), noise[-1] > 0.02


@few
@given(st.integers(0, 10**6))
def test_best_subset_is_the_best_of_all(seed):
    labels, gt = sample(seed)
    best = max(
        jaccard(gt, np.array(chosen)[labels]).mean() for chosen in product([False, True], repeat=4)
    )
    assert jaccard(gt, select_foreground(labels, gt, "best_subset")).mean() == pytest.approx(best)


@few
@given(st.integers(0, 10**6))
def test_linear_assignment_is_the_best_single_segment(seed):
    labels, gt = sample(seed)
    best = max(jaccard(gt, labels == k).mean() for k in range(4))
    found = select_foreground(labels, gt, "linear_assignment")
    assert jaccard(gt, found).mean() == pytest.approx(best)
    assert len(np.unique(labels[found])) == 1


@few
@given(st.integers(0, 10**6), st.permutations(range(6)), st.sampled_from(NAMELESS))
def test_selection_does_not_depend_on_the_names_of_the_labels(seed, names, rule):
    labels, gt = sample(seed)
    found = select_foreground(labels, gt, rule)
    renamed = np.array(names)[labels]
    np.testing.assert_array_equal(select_foreground(renamed, gt, rule), found)


def test_except_largest_counts_over_the_whole_cut_without_ground_truth():
    labels = np.zeros((2, 4, 4), np.uint8)
    labels[0, :3] = 1  # most of the first frame, but not of the cut
    np.testing.assert_array_equal(select_foreground(labels, None, "except_largest"), labels == 1)


def test_overlap_takes_segments_that_lie_mostly_in_the_ground_truth():
    labels = np.repeat([[[0, 0, 1, 1, 2, 2]]], 2, axis=1)
    gt = np.array([[[False, True, True, True, False, False], [False, True, True, False, True, 0]]])
    assert set(labels[select_foreground(labels, gt.astype(bool), "overlap")]) == {1}


def test_empty_ground_truth_selects_nothing_where_it_may():
    labels, gt = sample(0)
    assert not select_foreground(labels, np.zeros_like(gt), "best_subset").any()
    assert not select_foreground(labels, np.zeros_like(gt), "overlap").any()


def test_wrong_input_is_refused():
    labels, gt = sample(0)
    with pytest.raises(ValueError, match=r"'largest' is unknown.*best_subset"):
        select_foreground(labels, gt, "largest")
    with pytest.raises(ValueError, match="needs a ground truth"):
        select_foreground(labels, None, "overlap")
    with pytest.raises(ValueError, match=r"gt \(1, .*expected bool \(.* as labels"):
        select_foreground(labels, gt[:1], "overlap")
    with pytest.raises(ValueError, match=">= 0"):
        select_foreground(labels - 1, gt, "overlap")
    with pytest.raises(ValueError, match="at most 16"):
        select_foreground(np.arange(20).reshape(1, 4, 5), np.ones((1, 4, 5), bool), "best_subset")
