"""Tracking: a segment keeps its label from frame to frame, whatever the network calls it.

A network may give a segment another label within a window too: what it calls a segment depends on
where the segment moves to. Neither function needs to know the size of a pixel or the unit of the
flow, since segments are compared where they are, and both see the frames one by one.
"""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment

# Segments are compared on a grid of pixels that has about as many rows, or columns if fewer.
_GRID = 64
# Below this share of the frame a segment counts as absent: specks decide nothing.
_PRESENT = 1e-3
# How fast the memory of where a segment was follows it. Objects move little within 1 / 0.3 frames;
# a label that comes up within an object does not take it over before it has most of it.
_RATE = 0.3
# What it counts, beside a Jaccard index, that the network's label was this one before.
_SAME_NAME = 0.15
# Decides only where nothing else does.
_TIE = 1e-6

# The most frames that a segment can be lost in and still be put back.
_LONGEST_GAP = 2
# How alike it must be before and after (Jaccard index),
_ALIKE = 0.3
# and the share of what is in both that it must have in between, not to count as lost.
_LOST = 0.5


def keep_labels(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Orders the masks of each frame as those of the frames before.

    Args:
        frames: masks `[H, W, K]` of each frame in turn, all of one size.

    Yields:
        The same masks, in an order in which each segment has the label that it had before; in the
        first frame those of the network.
    """
    tracker = None
    for masks in frames:
        tracker = tracker or Tracker(masks.shape[-1])
        yield masks[..., np.argsort(tracker.table(masks))]


class Tracker:
    """Says which segment of a frame is which of those before, in memory of one frame.

    It remembers for each label where its segment was, as a running mean of binary masks; that of
    an absent segment stays. Segments get labels one to one, such that the sum over segments of
    likeness times square root of area is greatest. The likeness is the Jaccard index with the
    memory, plus a little for what the network's label became so far, weighted by area: where a
    segment appears anew, the network's label is the best guess.

    Attributes:
        num_labels: number K of labels.
    """

    def __init__(self, num_labels: int) -> None:
        if num_labels < 1:
            raise ValueError(f"num_labels must be at least 1, got {num_labels}")
        self.num_labels = num_labels
        self._table = np.arange(num_labels)
        self._names = _TIE * np.eye(num_labels)  # area by network's label and label
        self._memory: np.ndarray | None = None

    def table(self, masks: np.ndarray) -> np.ndarray:
        """Finds what the network's labels become in the next frame.

        Args:
            masks: `[H, W, K]`, probabilities of the segments in that frame.

        Returns:
            int `[K]`, a permutation: segment ``i`` of the network gets label ``table[i]``.
        """
        segments = _on_grid(masks).astype(np.float32)
        area = segments.mean(axis=1)
        rate = _RATE
        if self._memory is None:
            self._memory, rate = np.zeros_like(segments), 1.0
        else:
            common = segments @ self._memory.T
            union = segments.sum(axis=1)[:, None] + self._memory.sum(axis=1) - common
            likeness = (common / np.maximum(union, 1)) * (area > _PRESENT)[:, None]
            likeness += _SAME_NAME * self._names / self._names.sum(axis=1, keepdims=True)
            gain = np.sqrt(area)[:, None] * likeness + _TIE * np.eye(self.num_labels)[self._table]
            _, self._table = linear_sum_assignment(gain, maximize=True)
        order = np.argsort(self._table)
        present = area[order] > _PRESENT
        change = segments[order][present] - self._memory[present]
        self._memory[present] += np.float32(rate) * change
        self._names[np.arange(self.num_labels), self._table] += area
        return self._table.copy()


def bridge_gaps(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Puts a segment back that is lost for a moment and then is there again.

    In a frame in which an object happens to move as what is behind it, flow does not show it.
    Where that lasts two frames at most, its mask passes from that before to that after.

    Args:
        frames: masks `[H, W, K]` of each frame in turn, with labels that stay.

    Yields:
        The masks, which still sum to 1; each frame once three more have been read.
    """
    recent: deque[np.ndarray] = deque()
    grids: deque[np.ndarray] = deque()
    for masks in frames:
        recent.append(masks)
        grids.append(_on_grid(masks))
        for label in range(masks.shape[-1]):
            if gap := _gap([grid[label] for grid in grids]):
                _bridge(recent, gap, label)
                for index in range(-gap - 1, -1):
                    grids[index] = _on_grid(recent[index])
        if len(recent) > _LONGEST_GAP + 1:
            grids.popleft()
            yield recent.popleft()
    yield from recent


def _gap(there: list[np.ndarray]) -> int:
    """For how many frames before the last one a segment `[N]` of it was lost; 0 if it was not."""
    for gap in range(1, min(_LONGEST_GAP, len(there) - 2) + 1):
        before, *between, after = there[-gap - 2 :]
        both = before & after
        count = both.sum()
        alike = count > max(_PRESENT * both.size, _ALIKE * (before | after).sum())
        if alike and all((frame & both).sum() < _LOST * count for frame in between):
            return gap
    return 0


def _bridge(recent: deque[np.ndarray], gap: int, label: int) -> None:
    """Lets a mask pass from that before a gap to that after it; the others make way."""
    before, after = recent[-gap - 2][..., label], recent[-1][..., label]
    for step in range(1, gap + 1):
        masks = recent[step - gap - 2].copy()
        share, own = step / (gap + 1), masks[..., label]
        mask = np.maximum((1 - share) * before + share * after, own)
        masks *= ((1 - mask) / np.maximum(1 - own, _TIE))[..., None]
        masks[..., label] = mask
        recent[step - gap - 2] = masks


def _on_grid(masks: np.ndarray) -> np.ndarray:
    """The segments `[H, W, K]` as binary masks on a coarse grid: bool `[K, N]`."""
    step = max(1, min(masks.shape[:2]) // _GRID)
    labels = masks[step // 2 :: step, step // 2 :: step].argmax(axis=-1).ravel()
    return labels == np.arange(masks.shape[-1])[:, None]
