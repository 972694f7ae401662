import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.data.windows import InferenceConfig
from jaxmotion.inference.linking import Linker, link_clips, link_labels, link_masks, unroll


def moving_squares(frames, num_labels=3, size=(24, 40)):
    """Labels [T, H, W]: squares, one below the other, each with its own speed, on a background."""
    labels = np.zeros((frames, *size), np.int64)
    for label in range(1, num_labels):
        for t in range(frames):
            left = (3 * label + label * t) % (size[1] - 6)
            labels[t, 6 * label : 6 * label + 5, left : left + 6] = label
    return labels


def cut(video, window, overlap):
    """Clips and starts, by their definition."""
    windows = InferenceConfig(window, overlap).windows(len(video))
    return [video[start : start + length] for start, length in windows], [s for s, _ in windows]


def one_hot(labels, num_labels):
    return np.eye(num_labels, dtype=np.float32)[labels]


@settings(deadline=None, max_examples=40)
@given(
    frames=st.integers(1, 12),
    num_labels=st.integers(1, 4),
    window_and_overlap=st.sampled_from([(3, 2), (4, 1), (5, 3), (2, 1), (20, 4)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_labels_in_each_clip_come_back_as_those_of_the_first(
    frames, num_labels, window_and_overlap, seed
):
    rng = np.random.default_rng(seed)
    video = moving_squares(frames, num_labels)
    clips, starts = cut(video, *window_and_overlap)
    orders = [rng.permutation(num_labels) for _ in clips]
    mixed = [order[clip] for order, clip in zip(orders, clips, strict=True)]
    for method in ("assignment", "published"):
        linked, tables = link_clips(mixed, starts, num_labels, method=method)
        np.testing.assert_array_equal(linked, orders[0][video])
        for order, table in zip(orders, tables, strict=True):
            np.testing.assert_array_equal(table[order], orders[0])


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), clip=st.integers(1, 3))
def test_the_labels_of_a_later_clip_mean_nothing(seed, clip):
    """On noisy clips that disagree, too, as long as the overlap shows every label."""
    rng = np.random.default_rng(seed)
    video = moving_squares(9)
    clips, starts = cut(video, 3, 1)
    clips = [np.where(rng.random(c.shape) < 0.2, rng.integers(0, 3, c.shape), c) for c in clips]
    expected, _ = link_clips(clips, starts, 3)
    clips[clip] = rng.permutation(3)[clips[clip]]
    linked, _ = link_clips(clips, starts, 3)
    np.testing.assert_array_equal(linked, expected)


@settings(deadline=None, max_examples=30)
@given(num_labels=st.integers(1, 5), used=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_the_assignment_is_the_best_of_all_permutations(num_labels, used, seed):
    rng = np.random.default_rng(seed)
    previous, current = rng.integers(0, min(used, num_labels), (2, 2, 6, 7))

    def total(table):
        """Eq. 3.9 summed over the labels, pixel set by pixel set."""
        score = 0.0
        for a, b in zip(previous, table[current], strict=True):
            for label in range(num_labels):
                union = ((a == label) | (b == label)).sum()
                score += ((a == label) & (b == label)).sum() / union if union else 0
        return score

    table = link_labels(previous, current, num_labels)
    assert sorted(table) == list(range(num_labels))
    best = max(total(np.array(p)) for p in itertools.permutations(range(num_labels)))
    assert total(table) == pytest.approx(best, abs=1e-5)


def test_published_takes_the_most_alike_label_even_twice():
    previous = np.array([[[0, 0, 0, 0, 0, 0, 1, 1]]])
    current = np.array([[[0, 0, 0, 1, 1, 1, 1, 2]]])  # 1 is in 0 by 3 of 7, and in 1 by 1 of 5
    np.testing.assert_array_equal(link_labels(previous, current, 3, "published"), [0, 0, 1])
    np.testing.assert_array_equal(link_labels(previous, current, 3), [0, 2, 1])


@pytest.mark.parametrize("method", ["assignment", "published"])
def test_an_absent_label_is_like_none_and_keeps_its_number_where_free(method):
    previous = np.zeros((2, 4, 4), int)
    np.testing.assert_array_equal(link_labels(previous, previous, 4, method), [0, 1, 2, 3])
    previous[:, :2] = 3  # 3 becomes 1, so 1 has to go; 2 is free and stays
    current = np.where(previous == 3, 1, 0)
    np.testing.assert_array_equal(link_labels(previous, current, 4, method), [0, 3, 2, 1])


def test_a_segment_that_the_overlap_hides_keeps_what_the_network_calls_it():
    """Hidden in frame 2, all that the clips share; the network's names were swapped before."""
    video = moving_squares(5, num_labels=3)
    video[2][video[2] == 2] = 0
    swap = np.array([0, 2, 1])
    first, second, third = video[:2], swap[video[1:3]], swap[video[2:]]
    linked, tables = link_clips([first, second, third], [0, 1, 2], 3)
    np.testing.assert_array_equal(linked, video)
    np.testing.assert_array_equal(tables, [[0, 1, 2], swap, swap])


def test_soft_masks_are_linked_as_their_labels():
    rng = np.random.default_rng(3)
    video = moving_squares(7, num_labels=3)
    masks = np.where(one_hot(video, 3) > 0, 0.6, 0.2).astype(np.float32)
    clips, starts = cut(masks, 3, 2)
    orders = [rng.permutation(3) for _ in clips]
    mixed = [clip[..., np.argsort(order)] for order, clip in zip(orders, clips, strict=True)]
    for method in ("assignment", "published"):
        frames = np.stack(list(unroll(link_masks(zip(starts, mixed, strict=True), method))))
        np.testing.assert_array_equal(frames, masks[..., np.argsort(orders[0])])


def test_probabilities_of_labels_that_become_one_are_added():
    video = np.array([[[0, 0, 0, 0, 0, 0, 1, 1]], [[0, 0, 0, 1, 1, 1, 1, 2]]])
    clips = [(0, one_hot(video[[0, 0]], 3)), (1, one_hot(video[[1, 1]], 3))]
    (_, first), (_, second) = link_masks(clips, "published")
    np.testing.assert_array_equal(first, clips[0][1])
    np.testing.assert_array_equal(second.argmax(-1)[0], [[0, 0, 0, 0, 0, 0, 0, 1]])
    np.testing.assert_array_equal(second.sum(-1), 1)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), min_size=1, max_size=6),
    st.integers(0, 5),
)
def test_each_frame_is_of_the_clip_in_which_it_lies_most_central(steps, offset):
    start, stop, clips = offset, offset, []
    for forward, further in steps:
        start = min(start + forward, stop) if clips else start
        stop += further
        clips.append((start, stop))
    expected = []
    for frame in range(offset, stop):
        holding = [i for i, (a, b) in enumerate(clips) if a <= frame < b]
        expected.append(min(holding, key=lambda i: abs(2 * frame - sum(clips[i]) + 1)))
    given_frames = [(a, np.stack([np.full(b - a, i), np.arange(a, b)], -1)) for i, (a, b) in
                    enumerate(clips)]  # fmt: skip
    result = np.stack(list(unroll(given_frames)))
    np.testing.assert_array_equal(result[:, 1], np.arange(offset, stop))
    distance = lambda frame, i: abs(2 * frame - sum(clips[i]) + 1)  # noqa: E731
    if len({b - a for a, b in clips}) == 1:  # of clips of different lengths the order decides
        for frame, mine, best in zip(range(offset, stop), result[:, 0], expected, strict=True):
            assert distance(frame, mine) == distance(frame, best)


def test_triplets_are_unrolled_as_in_figure_3_4():
    triplets = [(t - 1, np.array([f"{frame} of {t}" for frame in (t - 1, t, t + 1)]))
                for t in (1, 2, 3)]  # fmt: skip
    assert list(unroll(triplets)) == ["0 of 1", "1 of 1", "2 of 2", "3 of 3", "4 of 3"]


def test_wrong_clips_are_refused():
    clip = moving_squares(3)
    with pytest.raises(ValueError, match="one start each"):
        link_clips([clip], [0, 1], 3)
    with pytest.raises(ValueError, match="go on from there"):
        link_clips([clip, clip], [0, 4], 3)
    with pytest.raises(ValueError, match="go on from there"):
        link_clips([clip, clip], [1, 0], 3)
    with pytest.raises(ValueError, match="expected 0 to 1"):
        link_clips([clip], [0], 2)
    with pytest.raises(ValueError, match="expected integers"):
        link_clips([clip[0]], [0], 3)
    with pytest.raises(ValueError, match="assignment, published"):
        Linker(3, "magic")  # pyright: ignore
