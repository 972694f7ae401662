"""Tracks: the instances of windows that follow each other, joined by what they share."""

import numpy as np
from scipy.optimize import linear_sum_assignment


class TrackLinker:
    """Joins the instances of overlapping windows into tracks, however long the video is.

    Only the last window is held. Two instances are joined where they share pixels in the frames
    that both windows have: one to one, so that the sum of their IoU is greatest. Others start a
    track of their own.

    Attributes:
        count: number of tracks so far; they are called 1, 2, ...
        names: the track of each label of the last window; 0 for those it did not show anew.

    References:
        Athar et al. 2020, section 3.4. There every pair of the assignment is joined, even one
        without a common pixel.
    """

    def __init__(self) -> None:
        self.count = 0
        self.names = np.zeros(1, np.int32)
        self._start = 0
        self._held: np.ndarray | None = None

    def link(self, start: int, labels: np.ndarray) -> np.ndarray:
        """Takes the next window.

        Args:
            start: number of its first frame; not before that of the window before.
            labels: int `[T, H, W]`, 0 = none, 1.. = instances of this window.

        Returns:
            int32 `[T, H, W]`, 0 = none, 1.. = tracks. Frames that were there before keep what they
            had.

        Raises:
            ValueError: on a start before the window before, or frames of another size.
        """
        labels = np.asarray(labels)
        if labels.ndim != 3 or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"labels of shape {labels.shape}, {labels.dtype}: expected integers [T, H, W]"
            )
        before = self._shared(start, labels)
        self.names = self._names(before, labels)
        linked = self.names[np.maximum(labels, 0)]
        linked[: len(before)] = before
        self._start, self._held = start, linked
        return linked

    def _shared(self, start: int, labels: np.ndarray) -> np.ndarray:
        """Tracks of the frames that are there already, of those from `start`."""
        if self._held is None:
            return np.zeros((0, *labels.shape[1:]), np.int32)
        if start < self._start or labels.shape[1:] != self._held.shape[1:]:
            raise ValueError(
                f"a window of {labels.shape} from frame {start}: expected frames of "
                f"{self._held.shape[1:]} from frame {self._start} on"
            )
        return self._held[start - self._start :][: len(labels)]

    def _names(self, before: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The track of each label of the window; 0 for those that it does not show anew."""
        names = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
        pairs = overlaps(before, labels[: len(before)])
        old, new = (np.unique(found) for found in zip(*pairs, strict=True)) if pairs else ([], [])
        likeness = np.array([[pairs.get((int(a), int(b)), 0.0) for b in new] for a in old])
        if pairs:
            for i, j in zip(*linear_sum_assignment(-likeness), strict=True):
                if likeness[i, j] > 0:
                    names[new[j]] = old[i]
        fresh = labels[len(before) :]
        for label in np.unique(fresh[fresh > 0]).tolist():
            if not names[label]:
                self.count += 1
                names[label] = self.count
        return names


def overlaps(old: np.ndarray, new: np.ndarray) -> dict[tuple[int, int], float]:
    """IoU of the labels of two labelings of the same pixels, of the pairs that share one.

    Args:
        old: int array, 0 or less = none.
        new: int array of the same shape.
    """
    both = (old > 0) & (new > 0)
    pairs, shared = np.unique(np.stack([old[both], new[both]]), axis=1, return_counts=True)
    sizes = [
        dict(zip(*np.unique(array[array > 0], return_counts=True), strict=True))
        for array in (old, new)
    ]
    return {
        (int(a), int(b)): float(n / (sizes[0][a] + sizes[1][b] - n))
        for (a, b), n in zip(pairs.T, shared, strict=True)
    }


def lifetimes(labels: np.ndarray) -> dict[int, int]:
    """Number of frames in which each track is seen.

    Args:
        labels: int `[T, H, W]`, 0 or less = none, 1.. = tracks.
    """
    lives: dict[int, int] = {}
    for frame in np.asarray(labels):
        for label in np.unique(frame[frame > 0]).tolist():
            lives[label] = lives.get(label, 0) + 1
    return lives


def longest_tracks(labels: np.ndarray, limit: int) -> np.ndarray:
    """Keeps the tracks that live longest; of two that live as long, the larger one.

    Args:
        labels: int `[T, H, W]`, 0 or less = none, 1.. = tracks.
        limit: greatest number of tracks to keep.

    Returns:
        The labels, 0 where a track was not kept.
    """
    labels = np.asarray(labels)
    lives = lifetimes(labels)
    names, sizes = np.unique(labels[labels > 0], return_counts=True)
    size = dict(zip(names.tolist(), sizes.tolist(), strict=True))
    order = sorted(lives, key=lambda label: (-lives[label], -size[label], label))
    return np.where(np.isin(labels, order[:limit]), labels, 0)
