"""Tracks over windows: those of the oracle, and what joins no two objects."""

import pickle

import numpy as np
import pytest

from jaxmotion.embeddings import TrackLinker, lifetimes, longest_tracks


def linked(clips, starts):
    """All windows through the linker, as one video."""
    linker, video = TrackLinker(), None
    for start, clip in zip(starts, clips, strict=True):
        found = linker.link(int(start), clip)
        video = found if video is None else np.concatenate([video[:start], found])
    return video


def renamed(labels):
    """Labels by the order in which they first occur."""
    labels = np.maximum(labels, 0)
    names, first = np.unique(labels[labels > 0], return_index=True)
    order = names[np.argsort(first)]
    table = np.zeros(labels.max() + 1, int)
    table[order] = 1 + np.arange(len(order))
    return table[labels]


@pytest.mark.parametrize("case", ["", "_2"])
def test_tracks_are_those_of_the_oracle(shared, case):
    oracle = np.load(shared / "oracles" / "embeddings" / "stitching.npz")
    video = linked(oracle[f"clips{case}"], oracle[f"starts{case}"])
    np.testing.assert_array_equal(renamed(video), renamed(oracle[f"tracks{case}"]))
    if not case:
        # The released code gives the last frame minus the first.
        lives = {int(name): int(life) + 1 for name, life in oracle["lifetimes"] if name > 0}
        assert lifetimes(oracle["tracks"]) == lives


def window(*instances):
    """Three frames with one instance a row, as `(label, row)`."""
    labels = np.zeros((3, 6, 4), np.int64)
    for label, row in instances:
        labels[:, row] = label
    return labels


def test_instances_without_a_common_pixel_are_not_joined():
    video = linked([window((1, 0)), window((1, 5))], [0, 1])
    assert video[0, 0, 0] == 1
    assert video[3, 5, 0] == 2
    # What both windows have seen is as the first one had it.
    assert not video[1:3, 5].any()


def test_names_are_kept_whatever_the_windows_call_them():
    clips = [window((1, 0), (2, 3)), window((9, 0), (4, 3), (7, 5)), window((1, 5), (2, 3))]
    video = linked(clips, [0, 2, 4])
    np.testing.assert_array_equal(video[-1, :, 0], [0, 0, 0, 2, 0, 3])
    assert lifetimes(video) == {1: 5, 2: 7, 3: 4}


def test_a_gap_between_windows_starts_anew_and_memory_is_one_window():
    linker = TrackLinker()
    for number in range(50):
        found = linker.link(10 * number, window((1, 2)))
        assert found.max() == number + 1
    assert linker._held.shape == (3, 6, 4)


def test_windows_that_cannot_follow_are_refused():
    linker = TrackLinker()
    linker.link(5, window((1, 2)))
    with pytest.raises(ValueError, match=r"expected frames of \(6, 4\) from frame 5 on"):
        linker.link(4, window((1, 2)))
    with pytest.raises(ValueError, match=r"expected integers \[T, H, W\]"):
        linker.link(6, np.zeros((3, 6, 4)))


def test_the_longest_tracks_stay():
    labels = np.zeros((4, 3, 5), int)
    labels[:, 0] = 3
    labels[:2, 1, :2] = 5
    labels[1:3, 2] = 8
    np.testing.assert_array_equal(np.unique(longest_tracks(labels, 2)), [0, 3, 8])
    np.testing.assert_array_equal(longest_tracks(labels, 9), labels)
    assert not longest_tracks(labels, 0).any()


def test_a_linker_holds_no_more_after_many_tracks_than_after_a_few():
    """Windows of 4 frames that share 2, each with two objects that are new."""
    rng = np.random.default_rng(0)
    linker, sizes = TrackLinker(), []
    for window in range(400):
        labels = np.zeros((4, 8, 8), int)
        labels[2:, rng.integers(0, 4)], labels[2:, rng.integers(4, 8)] = 1, 2
        linker.link(2 * window, labels)
        sizes.append(len(pickle.dumps(linker)))
    assert linker.count > 600
    assert max(sizes) <= sizes[0] + 16  # bytes of longer numbers
