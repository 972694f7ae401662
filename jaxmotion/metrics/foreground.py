"""Segments that are the foreground: the selection rules of the published protocols.

`except_largest` and `nonzero` do not look at the ground truth: they give what a user without
annotation would get. The others measure how good the best reading of a segmentation is. The rule
that looks at the flow is `jaxmotion.saliency.salient_segments`.
"""

from collections.abc import Callable

import numpy as np

from jaxmotion.metrics import masks as bitmasks
from jaxmotion.metrics.arguments import label_arrays

# Up to this many labels are counted one by one.
FEW_LABELS = 16
# Above this the 2^K table of `best_subset` no longer is small change.
MAX_SUBSET_LABELS = 16


def select_foreground(labels, gt, rule: str) -> np.ndarray:
    """Binary foreground of one cut (a sequence, or a run of frames with common labels).

    Args:
        labels: int `[T, H, W]`, the segment of every pixel, >= 0.
        gt: bool `[T, H, W]` ground truth; `None` will do for the rules that use none.
        rule: name of the selection rule, one of

            - `"except_largest"`: every segment but the one with most pixels in the cut. Uses no
              ground truth.
            - `"best_subset"`: the subset of segments whose union has the highest Jaccard index,
              averaged over the frames (thesis eq. 3.11; exhaustive over all 2^K subsets).
            - `"overlap"`: every segment of which more than half lies in the ground truth.
            - `"linear_assignment"`: the one segment with the highest mean Jaccard index.
            - `"nonzero"`: every label but 0, for results that know their foreground. Uses no ground
              truth.

    Returns:
        The foreground, bool `[T, H, W]`.

    Raises:
        ValueError: the rule is unknown, has more segments than it can try, or needs a ground truth
            and has none; the shapes differ or are not `[T, H, W]`, or a label is negative.
        TypeError: labels are no integers.
    """
    labels = np.asarray(labels)
    chosen = foreground_labels(labels, gt, rule)
    return chosen[labels]


def foreground_labels(labels, gt, rule: str) -> np.ndarray:
    """The labels that `select_foreground` takes, with the same arguments and errors.

    Args:
        labels: int `[T, H, W]`, the segment of every pixel, >= 0.
        gt: bool `[T, H, W]` ground truth, or None for the rules that use none.
        rule: name of the selection rule, one of `RULES`.

    Returns:
        bool `[K]`, with K the highest label plus one.
    """
    if rule not in RULES:
        raise ValueError(f"selection rule {rule!r} is unknown: choose one of {', '.join(RULES)}")
    (labels,) = label_arrays(labels=labels)
    if not labels.size:
        raise ValueError(f"labels {labels.shape}: expected at least one pixel")
    if gt is None:
        if rule in NEED_GROUND_TRUTH:
            raise ValueError(f"selection rule {rule!r} needs a ground truth")
        gt = np.zeros(labels.shape, bool)
    gt = np.asarray(gt)
    if gt.shape != labels.shape or gt.dtype != bool:
        raise ValueError(f"gt {gt.shape} of {gt.dtype}: expected bool {labels.shape} as labels")
    return RULES[rule](*contingency(labels, gt))


def contingency(labels: np.ndarray, gt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of every segment inside and outside the ground truth, per frame: two int `[T, K]`.

    Args:
        labels: int `[T, H, W]`, the segment of every pixel.
        gt: bool `[T, H, W]`, the ground truth.
    """
    num_labels = int(labels.max()) + 1
    inside = np.zeros((len(labels), num_labels), np.int64)
    area = np.zeros_like(inside)
    for t, (frame, foreground) in enumerate(zip(labels, gt, strict=True)):
        if num_labels <= FEW_LABELS:  # as bits: several times faster than a histogram
            masks = bitmasks.pack_labels(frame, range(num_labels))
            area[t] = bitmasks.count(masks)
            inside[t] = bitmasks.count(masks & bitmasks.pack(foreground))
        else:
            area[t] = np.bincount(frame.ravel(), minlength=num_labels)
            inside[t] = np.bincount(frame[foreground], minlength=num_labels)
    return inside, area - inside


def _mean_jaccard(subsets: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Mean over frames of the Jaccard index of unions of segments: `[S, K]` -> `[S]`."""
    subsets = subsets.astype(np.int64)
    intersection = subsets @ inside.T  # [S, T]
    union = subsets @ outside.T + inside.sum(axis=1)
    return np.where(union > 0, intersection / np.maximum(union, 1), 1.0).mean(axis=1)


def _except_largest(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    area = (inside + outside).sum(axis=0)
    return np.arange(len(area)) != area.argmax()


def _best_subset(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    # Labels that never occur change no union: leave them out, so that 2^K counts segments.
    present = np.flatnonzero((inside + outside).any(axis=0))
    if len(present) > MAX_SUBSET_LABELS:
        raise ValueError(
            f"best_subset tries all subsets of at most {MAX_SUBSET_LABELS} segments, "
            f"got {len(present)}: choose another selection rule"
        )
    codes = np.arange(2 ** len(present))
    subsets = (codes[:, None] >> np.arange(len(present))) & 1
    scores = _mean_jaccard(subsets, inside[:, present], outside[:, present])
    chosen = np.zeros(inside.shape[1], bool)
    chosen[present] = subsets[scores.argmax()].astype(bool)
    return chosen


def _overlap(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    return inside.sum(axis=0) > outside.sum(axis=0)


def _linear_assignment(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    num_labels = inside.shape[1]
    scores = _mean_jaccard(np.eye(num_labels), inside, outside)
    scores[~(inside + outside).any(axis=0)] = -1  # a label without pixels is no segment
    return np.arange(num_labels) == scores.argmax()


def _nonzero(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    return np.arange(inside.shape[1]) != 0


# Each needs no more than the pixels of each segment inside and outside the ground truth.
RULES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "except_largest": _except_largest,
    "best_subset": _best_subset,
    "overlap": _overlap,
    "linear_assignment": _linear_assignment,
    "nonzero": _nonzero,
}
NEED_GROUND_TRUTH = ("best_subset", "overlap", "linear_assignment")
