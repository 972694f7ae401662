import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxmotion as jm
from jaxmotion.inference.tracking import Tracker, bridge_gaps, keep_labels

SIZE = (48, 80)


def squares(frames, num_labels, size=SIZE):
    """Labels [T, H, W]: squares on a ground, in rows of their own, that move back and forth."""
    labels = np.zeros((frames, *size), np.int64)
    for label in range(1, num_labels):
        for t in range(frames):
            left = 20 + int(12 * np.sin(t / 4 + label))
            labels[t, 12 * label - 10 : 12 * label, left : left + 16] = label
    return labels


def soft(labels, num_labels, sure=0.7):
    """Masks in which each pixel is sure of its label to that degree."""
    other = (1 - sure) / max(num_labels - 1, 1)
    masks = np.where(np.arange(num_labels) == labels[..., None], sure, other)
    return (masks / masks.sum(axis=-1, keepdims=True)).astype(np.float32)


def renamed(masks, orders):
    """The masks of each frame in an order of its own: label l becomes orders[t, l]."""
    return np.stack([m[..., np.argsort(order)] for m, order in zip(masks, orders, strict=True)])


def kept(masks):
    return np.stack(list(keep_labels(masks)))


def bridged(masks):
    return np.stack(list(bridge_gaps(masks)))


@settings(deadline=None, max_examples=40)
@given(frames=st.integers(1, 12), num_labels=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_random_names_in_each_frame_come_back_as_those_of_the_first(frames, num_labels, seed):
    rng = np.random.default_rng(seed)
    masks = soft(squares(frames, num_labels), num_labels)
    orders = np.stack([rng.permutation(num_labels) for _ in range(frames)])
    expected = renamed(masks, np.tile(orders[0], (frames, 1)))
    np.testing.assert_array_equal(kept(renamed(masks, orders)), expected)
    np.testing.assert_array_equal(bridged(expected), expected)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), num_labels=st.integers(1, 6))
def test_masks_of_a_frame_are_permuted_and_nothing_else(seed, num_labels):
    rng = np.random.default_rng(seed)
    masks = rng.dirichlet(np.ones(num_labels), (7, 9, 5)).astype(np.float32)
    for before, after in zip(masks, kept(masks), strict=True):
        np.testing.assert_array_equal(np.sort(before), np.sort(after))
    np.testing.assert_array_equal(kept(masks)[0], masks[0])
    np.testing.assert_allclose(bridged(masks).sum(-1), 1, atol=1e-5)


def test_where_nothing_tells_segments_apart_they_keep_the_names_of_the_network():
    equal = np.full((5, *SIZE, 4), 0.25, np.float32)
    ramp = np.linspace(0, 1, 5 * SIZE[0] * SIZE[1], dtype=np.float32).reshape(5, *SIZE)
    np.testing.assert_array_equal(kept(np.stack([1 + ramp] + 3 * [ramp], -1))[..., 0], 1 + ramp)
    np.testing.assert_array_equal(bridged(kept(equal)), equal)


def test_a_segment_that_comes_back_where_it_was_has_its_label_again():
    labels = squares(30, 3)
    labels[10:20][labels[10:20] == 1] = 0
    labels[20:, 2:12] = labels[9, 2:12]
    names = np.tile(np.arange(4), (30, 1))
    names[20:] = [0, 3, 2, 1]  # the network takes a name that was free
    found = kept(renamed(soft(labels, 4), names))
    np.testing.assert_array_equal(found.argmax(-1), labels)


def test_a_segment_that_appears_anew_has_the_name_that_the_network_gives_it():
    labels = np.zeros((30, *SIZE), np.int64)
    labels[:10, 10:20, 10:20] = 2
    labels[20:, 30:40, 50:60] = 2  # far from where it was last
    np.testing.assert_array_equal(kept(soft(labels, 4)).argmax(-1), labels)


def test_a_name_that_creeps_over_an_object_does_not_become_its_label():
    """As where an object turns, and the network's name for its new direction comes up in it."""
    labels = np.zeros((40, *SIZE), np.int64)
    for t in range(40):
        labels[t, 10:30, 20:50] = 1
        labels[t, 10:30, 20 : 20 + min(max(10 * (t - 10), 0), 30)] = 2
    found = kept(soft(labels, 3)).argmax(-1)[:, 10:30, 20:50]
    assert (found[14:] == 1).all()


def test_specks_decide_nothing():
    labels = squares(12, 3, size=(128, 224))
    labels[:, 120, 200] = 3
    orders = np.tile(np.arange(4), (12, 1))
    expected = kept(soft(labels, 4)).argmax(-1)
    labels[6:, 120, 200], labels[6:, 100, 10] = 0, 3
    found = kept(renamed(soft(labels, 4), orders)).argmax(-1)
    np.testing.assert_array_equal(found[labels < 3], labels[labels < 3])
    np.testing.assert_array_equal(expected[:6], found[:6])


@pytest.mark.parametrize("gap", [1, 2, 3])
def test_a_segment_lost_for_two_frames_at_most_is_put_back(gap):
    labels = squares(16, 3)
    seen = labels.copy()
    seen[8 : 8 + gap][seen[8 : 8 + gap] == 1] = 0
    masks = soft(seen, 4)
    found = bridged(masks)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
    outside = np.r_[0:8, 8 + gap : 16]
    np.testing.assert_array_equal(found[outside], masks[outside])
    if gap == 3:
        np.testing.assert_array_equal(found, masks)
        return
    for truth, mask in zip(labels[8 : 8 + gap], found[8 : 8 + gap].argmax(-1), strict=True):
        assert jm.metrics.jaccard(truth == 1, mask == 1) > 0.6
        np.testing.assert_array_equal(mask == 2, truth == 2)


def test_a_segment_that_leaves_or_moves_on_elsewhere_is_not_put_back():
    labels = np.zeros((12, *SIZE), np.int64)
    labels[:5, 10:20, 10:20] = 1
    np.testing.assert_array_equal(bridged(soft(labels, 2)), soft(labels, 2))
    labels[6:, 30:40, 50:60] = 1
    np.testing.assert_array_equal(bridged(soft(labels, 2)), soft(labels, 2))


def test_frames_come_out_three_frames_after_they_went_in():
    read = []

    def frames():
        for t, masks in enumerate(soft(squares(20, 3), 3)):
            read.append(t)
            yield masks

    for given_back, _ in enumerate(bridge_gaps(keep_labels(frames()))):
        assert len(read) <= given_back + 4
    assert given_back == 19


def test_no_frame_and_no_label():
    assert list(bridge_gaps(keep_labels([]))) == []
    with pytest.raises(ValueError, match="at least 1"):
        Tracker(0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["st-ms-k4", "lt-ms-k4"])
def test_an_object_that_circles_keeps_its_label(name):
    """The network's names follow the direction of its motion; in two frames it has none."""
    rng = np.random.default_rng(0)
    frames, size = 64, (128, 224)
    flow = np.empty((frames, *size, 2), np.float32)
    flow[:] = 2 * np.cos(np.arange(frames) / 20)[:, None, None, None] * np.array([1, 0])
    objects = np.zeros((frames, *size), np.int64)
    for t in range(frames):
        top, left = 45 + int(25 * np.sin(t / 9)), 85 + int(60 * np.cos(t / 13))
        objects[t, top : top + 44, left : left + 44] = 1
        flow[t][objects[t] > 0] = [-4.6 * np.sin(t / 13), 2.8 * np.cos(t / 9)]
    flow[40:42] = flow[40:42, :1, :1]
    flow += rng.normal(0, 0.05, flow.shape)
    segmenter = jm.Segmenter.load(name)
    labels = segmenter(flow).argmax(-1)
    (stability,) = jm.metrics.label_stability(objects, labels).values()
    assert stability.switches_apart == 0
    assert stability.apart > 0.98
