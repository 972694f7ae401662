"""Several objects: segments assigned to annotated ones, over a video or frame by frame; boxes."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from jaxmotion.metrics import masks as bitmasks
from jaxmotion.metrics.arguments import binary_masks, check_shapes, label_arrays
from jaxmotion.metrics.davis import (
    Contour,
    contour_f,
    packed_jaccard,
    sequence_statistics,
    tolerance,
)


@dataclass(frozen=True)
class ObjectMatch:
    """Segments assigned one to one to the annotated objects of a sequence, and their scores.

    Attributes:
        pairs: `(predicted label, object label)`, ordered by predicted label. An object for which
            no segment is left has the predicted label -1 and is scored against an empty mask.
        jaccard: float64 `[n, T]`, J of each pair in each frame.
        boundary_f: float64 `[n, T]`, F of each pair in each frame.
    """

    pairs: tuple[tuple[int, int], ...]
    jaccard: np.ndarray
    boundary_f: np.ndarray

    @property
    def J(self) -> list[tuple[float, float, float]]:
        """Mean, recall and decay of J for each pair."""
        return [sequence_statistics(scores) for scores in self.jaccard]

    @property
    def F(self) -> list[tuple[float, float, float]]:
        """Mean, recall and decay of F for each pair."""
        return [sequence_statistics(scores) for scores in self.boundary_f]

    @property
    def J_mean(self) -> list[float]:
        """Mean J of each pair."""
        return [mean for mean, _, _ in self.J]

    @property
    def F_mean(self) -> list[float]:
        """Mean F of each pair."""
        return [mean for mean, _, _ in self.F]

    @property
    def JF(self) -> float:
        """Mean of J and F over all pairs."""
        return float(np.mean(self.J_mean + self.F_mean)) if self.pairs else float("nan")


def match_objects(
    gt_labels,
    pred_labels,
    void=None,
    *,
    background: int | None = None,
    use_boundary: bool = True,
) -> ObjectMatch:
    """Assigns segments to annotated objects, as the DAVIS 2017 unsupervised benchmark does.

    The assignment maximizes the sum over objects of (J + F) / 2 averaged over the frames
    (Hungarian). Every label that occurs in the prediction is a candidate, 0 included, since a
    motion segmentation has no label set aside for the background; in the ground truth 0 is
    background. Segments that are left over count for nothing.

    Args:
        gt_labels: annotated labels, int `[T, H, W]`, 0 = background, 1.. = objects.
        pred_labels: predicted labels, int `[T, H, W]`, >= 0.
        void: bool `[T, H, W]`, pixels that count neither for nor against; none by default.
        background: predicted label that is no candidate; None if all are. The official code
            takes 0 for it, which no segment of a motion segmentation is.
        use_boundary: whether F counts; False assigns by J alone and leaves F NaN.

    Returns:
        The match and its scores per frame; empty if the ground truth has no object.

    Raises:
        ValueError: the shapes differ or are not `[T, H, W]`, or a label is negative.
        TypeError: labels are no integers.

    References:
        Caelles et al., The 2019 DAVIS Challenge on VOS, arXiv:1905.00737.
    """
    gt_labels, pred_labels, void = _checked(gt_labels, pred_labels, void)
    objects = [label for label in _labels_of(gt_labels, void) if label != 0]
    segments = _segments(pred_labels, background)
    segments += [-1] * (len(objects) - len(segments))  # no segment: an empty mask

    scores = np.full((2, len(segments), len(objects), len(gt_labels)), np.nan)
    for t in range(len(gt_labels)):
        gt, pred = _packed_frame(gt_labels[t], objects, pred_labels[t], segments, void, t)
        scores[0, ..., t] = _jaccard_table(pred, gt)
        if use_boundary:
            scores[1, ..., t] = _boundary_table(pred, gt, gt_labels.shape[1:])
    likeness = scores[: 1 + use_boundary].mean(axis=(0, -1))
    rows, columns = linear_sum_assignment(-likeness)
    order = np.lexsort((columns, [segments[row] for row in rows]))
    rows, columns = rows[order], columns[order]
    return ObjectMatch(
        pairs=tuple((segments[r], objects[c]) for r, c in zip(rows, columns, strict=True)),
        jaccard=scores[0, rows, columns],
        boundary_f=scores[1, rows, columns],
    )


def bootstrap_iou(
    gt_labels, pred_labels, void=None, *, background: int | None = None
) -> dict[int, np.ndarray]:
    """IoU of every annotated object with the segment most alike to it in that very frame (bIoU).

    Segments may serve several objects and change from frame to frame: no constancy in time is
    asked for.

    Args:
        gt_labels: annotated labels, int `[T, H, W]`, 0 = background, 1.. = objects.
        pred_labels: predicted labels, int `[T, H, W]`, >= 0, each of them a candidate.
        void: bool `[T, H, W]`, pixels that do not count; none by default.
        background: predicted label that is no candidate; None if all are.

    Returns:
        By object, float64 `[T]`; NaN in frames that do not show the object.

    Raises:
        ValueError: the shapes differ or are not `[T, H, W]`, or a label is negative.
        TypeError: labels are no integers.

    References:
        Thesis table 4.5; Lao et al., Divided Attention: Unsupervised Multi-Object Discovery with
        Contextually Separated Slots, 2023.
    """
    gt_labels, pred_labels, void = _checked(gt_labels, pred_labels, void)
    objects = [label for label in _labels_of(gt_labels, void) if label != 0]
    segments = _segments(pred_labels, background) or [-1]
    best = np.full((len(objects), len(gt_labels)), np.nan)
    for t in range(len(gt_labels)):
        gt, pred = _packed_frame(gt_labels[t], objects, pred_labels[t], segments, void, t)
        table = _jaccard_table(pred, gt).max(axis=0)
        shown = bitmasks.count(gt) > 0
        best[shown, t] = table[shown]
    return dict(zip(objects, best, strict=True))


def box_iou(gt: np.ndarray, foreground: np.ndarray) -> float:
    """IoU of two boxes: around the annotation, and around the largest region of a foreground.

    Args:
        gt: bool `[H, W]`, whose foreground spans the annotated box.
        foreground: bool `[H, W]`; its regions are 8-connected. Empty gives 0, unless both are.

    Raises:
        ValueError: the shapes differ or are not `[H, W]`.
        TypeError: a mask is neither bool nor integer.
    """
    gt, foreground = binary_masks("[H, W]", gt=gt, foreground=foreground)
    count, _, statistics, _ = cv2.connectedComponentsWithStats(
        foreground.view(np.uint8), connectivity=8
    )
    annotated = _spanned(gt)
    if count < 2 or annotated is None:
        return float(count < 2 and annotated is None)
    largest = 1 + statistics[1:, cv2.CC_STAT_AREA].argmax()
    left, top, width, height, _ = statistics[largest].tolist()
    a_left, a_top, a_right, a_bottom = annotated
    across = min(left + width, a_right) - max(left, a_left)
    down = min(top + height, a_bottom) - max(top, a_top)
    common = max(across, 0) * max(down, 0)
    union = width * height + (a_right - a_left) * (a_bottom - a_top) - common
    return common / union


def _checked(gt_labels, pred_labels, void):
    gt_labels, pred_labels = label_arrays(gt_labels=gt_labels, pred_labels=pred_labels)
    if void is not None:
        void = np.asarray(void, bool)
        check_shapes("[T, H, W]", {"gt_labels": gt_labels, "void": void})
    return gt_labels, pred_labels, void


def _labels_of(labels: np.ndarray, void: np.ndarray | None = None) -> list[int]:
    """Every label that occurs outside the void, in order."""
    found: set[int] = set()
    for t, frame in enumerate(labels):
        found.update(np.unique(frame if void is None else frame[~void[t]]).tolist())
    return sorted(found)


def _segments(pred_labels: np.ndarray, background: int | None) -> list[int]:
    return [label for label in _labels_of(pred_labels) if label != background]


def _packed_frame(gt, objects, pred, segments, void, t: int) -> tuple[np.ndarray, np.ndarray]:
    """Packed objects `[O, H, n]` and segments `[S, H, n]` of a frame, without its void pixels."""
    known = ~bitmasks.pack(void[t]) if void is not None else ~np.uint64(0)
    height = len(gt)
    empty = np.empty((0, height, 1), np.uint64)
    packed = (
        bitmasks.pack_labels(frame, labels) if labels else empty
        for frame, labels in ((gt, objects), (pred, segments))
    )
    objects_masks, segment_masks = (masks & known if masks.size else masks for masks in packed)
    return objects_masks, segment_masks


def _jaccard_table(segments: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Jaccard index of every segment with every object: `[S, O]`."""
    table = [[packed_jaccard(obj, segment) for obj in objects] for segment in segments]
    return np.array(table, np.float64).reshape(len(segments), len(objects))


def _boundary_table(segments: np.ndarray, objects: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """F of every segment with every object: `[S, O]`."""
    radius = tolerance(*size)
    found = [Contour(mask, size[1], radius) for mask in segments]
    wanted = [Contour(mask, size[1], radius) for mask in objects]
    table = [[contour_f(gt, pred) for gt in wanted] for pred in found]
    return np.array(table, np.float64).reshape(len(segments), len(objects))


def _spanned(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
