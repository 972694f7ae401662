import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.metrics import label_stability


def video(labels, visible=None, size=(20, 20), background=0):
    """An object of 6 by 6 pixels with the given label in each frame, and its annotation."""
    gt = np.zeros((len(labels), *size), int)
    pred = np.full(gt.shape, background)
    for t, label in enumerate(labels):
        if visible is None or visible[t]:
            gt[t, 5:11, 5:11] = 1
        pred[t, 5:11, 5:11] = label
    return gt, pred


def test_shares_and_switches_by_hand():
    gt, pred = video([1, 1, 2, 2, 1, 0, 0, 1, 1, 1])
    found = label_stability(gt, pred)[1]
    assert (found.frames, found.apart) == (10, 0.8)
    assert (found.share, found.switches) == (0.6, 40.0)  # 1 2, 2 1, 1 0, 0 1
    assert (found.share_apart, found.switches_apart) == (0.75, 25.0)


def test_frames_that_do_not_show_the_object_do_not_count():
    gt, pred = video([1, 3, 3, 1, 1], visible=[1, 0, 0, 1, 1])
    found = label_stability(gt, pred)[1]
    assert (found.frames, found.share, found.switches) == (3, 1.0, 0.0)
    assert label_stability(gt, pred, min_share=0.1) == {}
    assert label_stability(np.zeros_like(gt), pred) == {}
    assert label_stability(gt[:0], pred[:0]) == {}


def test_an_object_that_is_never_told_apart():
    gt, pred = video([0, 0, 0])
    found = label_stability(gt, pred)[1]
    assert (found.apart, found.share, found.switches) == (0.0, 1.0, 0.0)
    assert np.isnan([found.share_apart, found.switches_apart]).all()


@settings(deadline=None, max_examples=30)
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=8), seed=st.integers(0, 2**32 - 1))
def test_what_labels_are_called_does_not_matter(labels, seed):
    gt, pred = video(labels)
    order = np.random.default_rng(seed).permutation(4)
    before, after = label_stability(gt, pred)[1], label_stability(gt, order[pred])[1]
    assert repr(before) == repr(after)  # NaN is not equal to itself


def test_objects_are_measured_each_by_itself():
    gt, pred = video([1, 2, 1, 2])
    gt[:, 14:18, 14:18] = pred[:, 14:18, 14:18] = 3
    found = label_stability(gt, pred)
    assert set(found) == {1, 3}
    assert (found[1].switches, found[3].switches) == (75.0, 0.0)


def test_other_shapes_and_labels_are_refused():
    gt, pred = video([1, 1])
    with pytest.raises(ValueError, match=r"pred_labels \(\d.*expected \(.*shape of gt_labels"):
        label_stability(gt, pred[:1])
    with pytest.raises(ValueError, match="integers >= 0"):
        label_stability(gt, pred - 1)
    with pytest.raises(TypeError, match="pred_labels of float64: expected integers >= 0"):
        label_stability(gt, pred.astype(float))
