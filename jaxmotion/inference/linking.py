"""Linking: the labels of overlapping clips of a video become one labeling (thesis §3.3.5).

A network that sees a few frames at a time gives the same segment another label in the next clip.
The frames that two clips share tell which label of one is which of the other.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

import numpy as np
from scipy.optimize import linear_sum_assignment

from jaxmotion.data.windows import Linking

# What keeping the network's own label counts: it decides only where the overlap says nothing.
_SAME_NAME = 1e-6


def link_clips(
    clips: Sequence[np.ndarray],
    starts: Sequence[int],
    num_labels: int,
    method: Linking = "assignment",
) -> tuple[np.ndarray, np.ndarray]:
    """Links the labels of overlapping clips into one labeling of the video.

    Each clip takes the labels of the clip before it by the frames that both have; the first
    keeps its own. Each frame is then taken from the clip in which it lies most central (fig. 3.4
    for triplets); the first and the last frames from the only clip that has them.

    Args:
        clips: integers `[T_c, H, W]` in 0 .. num_labels - 1, in the order of the video.
        starts: the number of each clip's first frame. Each clip begins and ends after the one
            before it, and leaves no frame out between the two.
        num_labels: number K of labels.
        method: ``"assignment"``, one-to-one; ``"published"``, which can make two labels one; or
            ``"none"``.

    Returns:
        Labels `[T, H, W]` from the first clip's first frame to the last clip's last, and tables
        `[C, K]` of what each label of each clip became.

    Raises:
        ValueError: on other shapes, labels out of range, clips out of order or with a gap between
            them, or an unknown method.

    References:
        Thesis eq. 3.8-3.10, fig. 3.3 and 3.4.
    """
    if len(clips) != len(starts) or not len(clips):
        raise ValueError(f"{len(clips)} clips with {len(starts)} starts: expected one start each")
    linker = Linker(num_labels, method)
    tables = [linker.table(start, clip) for start, clip in zip(starts, clips, strict=True)]
    linked = ((s, table[clip]) for s, clip, table in zip(starts, clips, tables, strict=True))
    return np.stack(list(unroll(linked))), np.stack(tables)


def link_masks(
    clips: Iterable[tuple[int, np.ndarray]], method: Linking = "assignment"
) -> Iterator[tuple[int, np.ndarray]]:
    """Links clips of soft masks, in a stream: two clips are in hand at a time.

    Args:
        clips: the number of each clip's first frame, and its masks `[T_c, H, W, K]`, in order.
        method: ``"assignment"``, one-to-one; ``"published"``, which can make two labels one; or
            ``"none"``.

    Yields:
        The same clips with their masks in the order of the first clip's. Where two labels became
        one (`"published"` only), their probabilities are added.

    Raises:
        ValueError: as `link_clips`.
    """
    linker = None
    for start, masks in clips:
        num_labels = masks.shape[-1]
        linker = linker or Linker(num_labels, method)
        table = linker.table(start, masks.argmax(axis=-1))
        if (table == np.arange(num_labels)).all():
            yield start, masks
        else:
            linked = np.zeros_like(masks)
            for label, new in enumerate(table):
                linked[..., new] += masks[..., label]
            yield start, linked


def unroll(clips: Iterable[tuple[int, Sequence[Any] | np.ndarray]]) -> Iterator[Any]:
    """Yields each frame of a video once, from the clip in which it lies most central (fig. 3.4).

    Args:
        clips: the number of each clip's first frame, and its frames, an array `[T_c, ...]` or a
            list of anything, in order.

    Yields:
        The frames; of two clips in which a frame is as central the earlier one's.
    """
    previous, given = None, 0
    for start, clip in clips:
        if previous is None:
            given = start
        else:
            before, earlier = previous
            # The frames as near to the center of the earlier clip as to the center of this one.
            middle = (2 * before + len(earlier) + 2 * start + len(clip) - 2) // 4 + 1
            stop = min(max(middle, start, given), before + len(earlier))
            yield from earlier[given - before : stop - before]
            given = stop
        previous = start, clip
    if previous is not None:
        before, last = previous
        yield from last[given - before :]


class Linker:
    """Links clips one after the other, with only the last one in memory.

    Attributes:
        num_labels: number K of labels.
        method: ``"assignment"``, one-to-one; ``"published"``, which can make two labels one; or
            ``"none"``.
    """

    def __init__(self, num_labels: int, method: Linking = "assignment") -> None:
        if num_labels < 1:
            raise ValueError(f"num_labels must be at least 1, got {num_labels}")
        _check_method(method)
        self.num_labels = num_labels
        self.method: Linking = method
        self._previous: tuple[int, np.ndarray, np.ndarray] | None = None

    def table(self, start: int, labels: np.ndarray) -> np.ndarray:
        """Finds what the labels of the next clip become.

        Args:
            start: number of the clip's first frame.
            labels: integers `[T_c, H, W]` in 0 .. num_labels - 1, the segments of the clip.

        Returns:
            int `[K]`: ``table[labels]`` is the clip in the labels of the first one.

        Raises:
            ValueError: as `link_clips`.
        """
        labels = np.asarray(labels)
        if labels.ndim != 3 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels {labels.dtype} {labels.shape}: expected integers [T, H, W]")
        if labels.size and not 0 <= labels.min() <= labels.max() < self.num_labels:
            raise ValueError(
                f"labels from {labels.min()} to {labels.max()}: expected 0 to {self.num_labels - 1}"
            )
        table = np.arange(self.num_labels)
        if self._previous is not None:
            before, earlier, names = self._previous
            shared = before + len(earlier) - start
            if not (before < start and 0 <= shared < len(labels)):
                raise ValueError(
                    f"a clip of the frames {start} to {start + len(labels) - 1} after one of "
                    f"{before} to {before + len(earlier) - 1}: expected it to go on from there"
                )
            if shared:
                table = link_labels(
                    earlier[-shared:], labels[:shared], self.num_labels, self.method
                )
            # From the network's labels here to its labels there, and from those to the first
            # clip's: a segment that the overlap does not show then keeps what the network called
            # it, which mostly stays the same from one clip to the next.
            table = names[table]
        if self.method == "assignment":
            self._previous = start, labels, table
        else:  # two labels may have become one, and count as one from here on
            self._previous = start, table[labels], np.arange(self.num_labels)
        return table


def link_labels(
    previous: np.ndarray, current: np.ndarray, num_labels: int, method: Linking = "assignment"
) -> np.ndarray:
    """Finds which label of one segmentation is which of another of the same frames (eq. 3.9).

    Two labels are as alike as the Jaccard index of their pixels, summed over the frames. A frame
    from which both are absent adds nothing. A label that has no pixel in common with any keeps its
    number where that is free.

    Args:
        previous: the segmentation that has the labels wanted, integers `[F, H, W]` in
            0 .. num_labels - 1.
        current: the segmentation to relabel, integers `[F, H, W]` in 0 .. num_labels - 1.
        num_labels: number K of labels.
        method: ``"assignment"`` pairs the labels one-to-one so that the total is greatest.
            ``"published"`` takes for each label by itself the most alike one, as eq. 3.9 has it, so
            that two labels can become one. ``"none"`` leaves labels as they are.

    Returns:
        int `[K]`: ``table[current]`` has the labels of ``previous``.

    Raises:
        ValueError: on different shapes or an unknown method.
    """
    _check_method(method)
    if previous.shape != current.shape:
        raise ValueError(f"segmentations {previous.shape} and {current.shape} differ in shape")
    if method == "none":
        return np.arange(num_labels)
    likeness = sum(
        (_jaccard_matrix(a, b, num_labels) for a, b in zip(previous, current, strict=True)),
        np.zeros((num_labels, num_labels)),
    )
    if method == "assignment":
        _, table = linear_sum_assignment(likeness + _SAME_NAME * np.eye(num_labels), maximize=True)
        return table
    found = likeness.max(axis=1) > 0
    table = np.where(found, likeness.argmax(axis=1), -1)
    for keeping in (True, False):
        for label in np.flatnonzero(table < 0):
            free = np.setdiff1d(np.arange(num_labels), table)
            if not keeping or label in free:
                table[label] = label if keeping else free[0]
    return table


def _jaccard_matrix(previous: np.ndarray, current: np.ndarray, num_labels: int) -> np.ndarray:
    """Jaccard index of each label of ``current`` (rows) with each of ``previous`` (columns)."""
    pairs = current.astype(np.int64).ravel() * num_labels + previous.ravel()
    common = np.bincount(pairs, minlength=num_labels**2).reshape(num_labels, num_labels)
    union = common.sum(axis=1, keepdims=True) + common.sum(axis=0, keepdims=True) - common
    return common / np.maximum(union, 1)


def _check_method(method: str) -> None:
    if method not in get_args(Linking):
        raise ValueError(f"method {method!r}: expected one of {', '.join(get_args(Linking))}")
