"""Regions of frames: components of labels, tracks of them over a video, and which to keep."""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

Rule = Literal["above_largest", "share"]

SHARE = 0.2
"""Least score of a region that is kept, relative to the mean score that `chosen` weights."""

_OVERLAP = 0.3  # of the smaller of two regions that are one in the next frame


class Regions(NamedTuple):
    """Regions of the frames of a video, numbered over all of it.

    Attributes:
        index: int32 `[T, H, W]`, the region of each pixel; -1 for none.
        count: number R of regions.
    """

    index: np.ndarray
    count: int

    @property
    def pixels(self) -> np.ndarray:
        """Number of pixels of each region, `[R]`."""
        return np.bincount(self.index[self.index >= 0], minlength=self.count)

    def means(self, values: np.ndarray) -> np.ndarray:
        """The mean of values `[T, H, W]` over each region, `[R]`."""
        there = self.index >= 0
        total = np.bincount(self.index[there], values[there], self.count)
        return total / np.maximum(self.pixels, 1)

    @property
    def frames(self) -> np.ndarray:
        """The first frame of each region, `[R]`."""
        first = np.zeros(self.count, int)
        for t in range(len(self.index) - 1, -1, -1):
            numbers = np.unique(self.index[t])
            first[numbers[numbers >= 0]] = t
        return first


def components(labels: np.ndarray, without: int | None = None) -> Regions:
    """The connected parts (of 8 neighbors) of each label in each frame.

    Args:
        labels: uint8 `[T, H, W]`.
        without: label that makes no region; None if all do.
    """
    index, count = np.full(labels.shape, -1, np.int32), 0
    for t, frame in enumerate(labels):
        for label in np.unique(frame):
            if label == without:
                continue
            parts, numbers = cv2.connectedComponents(
                (frame == label).astype(np.uint8), connectivity=8
            )
            there = numbers > 0
            index[t][there] = numbers[there] - 1 + count
            count += parts - 1
    return Regions(index, count)


def tracks(
    regions: Regions, flow: np.ndarray, vector_size: tuple[int, int] | None = None
) -> Regions:
    """Joins the regions of adjacent frames that the flow carries into each other.

    Where a region splits, its parts stay one track; where two meet, they become one.

    Args:
        regions: regions of single frames.
        flow: `[T, H, W, 2]`, from each frame to the next.
        vector_size: height and width of the frame in whose pixels the vectors are; those of the
            regions if None.

    Returns:
        The tracks: regions that may lie in many frames.
    """
    _, height, width = regions.index.shape
    scale = np.array([1.0, 1.0])
    if vector_size is not None:
        scale = np.array([width / vector_size[1], height / vector_size[0]])
    if not regions.count:
        return regions
    parent = np.arange(regions.count)

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return int(number)

    for t in range(len(regions.index) - 1):
        here, there = regions.index[t], regions.index[t + 1]
        y, x = np.nonzero(here >= 0)
        moved = np.rint(np.stack([x, y], axis=-1) + scale * flow[t, y, x]).astype(int)
        inside = ((moved >= 0) & (moved < (width, height))).all(axis=-1)
        source = here[y[inside], x[inside]]
        # Of several pixels that arrive at one, one counts: areas are those that are covered.
        place = moved[inside, 1] * width + moved[inside, 0]
        pairs = np.unique(np.stack([source, place], axis=-1), axis=0)
        target = there.ravel()[pairs[:, 1]]
        arriving = np.bincount(pairs[:, 0], minlength=regions.count)
        sizes = np.bincount(there[there >= 0], minlength=regions.count)
        landed = target >= 0
        links, shared = np.unique(
            np.stack([pairs[landed, 0], target[landed]], axis=-1), axis=0, return_counts=True
        )
        for (a, b), common in zip(links, shared, strict=True):
            if common > _OVERLAP * min(arriving[a], sizes[b]):
                parent[root(a)] = root(b)
    roots = np.array([root(number) for number in range(regions.count)], int)
    numbers, renumbered = np.unique(roots, return_inverse=True)
    index = np.where(regions.index >= 0, renumbered[np.maximum(regions.index, 0)], -1)
    return Regions(index.astype(np.int32), len(numbers))


def chosen(scores: ArrayLike, pixels: ArrayLike, rule: Rule, *, share: float = SHARE) -> np.ndarray:
    """Chooses regions by their scores.

    Args:
        scores: mean relevance of each region, `[R]`.
        pixels: their numbers of pixels, `[R]`.
        rule: ``"above_largest"``: those with more than the largest region, as published, where an
            object that is the largest region is never found. ``"share"``: those with at least a
            share of the mean score, in which every region counts by its relevance, so that neither
            a small nor a weak one sets the scale.
        share: the share of the rule of this name.

    Returns:
        bool `[R]`.

    Raises:
        ValueError: for another rule.

    References:
        Thesis §5.2.2.
    """
    scores, pixels = np.asarray(scores, float), np.asarray(pixels, float)
    if rule == "above_largest":
        return scores > scores[pixels.argmax()] if len(scores) else np.zeros(0, bool)
    if rule != "share":
        raise ValueError(f"rule {rule!r}: expected above_largest or share")
    total = (scores * pixels).sum()
    if not total > 0:
        return np.zeros(len(scores), bool)
    return scores >= share * (scores * scores * pixels).sum() / total
