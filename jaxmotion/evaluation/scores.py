"""The official DAVIS measures: region (J), boundary (F), their statistics, object matching.

Plain numpy and OpenCV on the host: masks are scored once, at full resolution, frame by frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

Statistics = tuple[float, float, float]


def _as_masks(mask, name: str) -> np.ndarray:
    """Checks a binary mask [..., H, W]: bool, or integers where non-zero is foreground."""
    mask = np.asarray(mask)
    if mask.dtype != bool:
        if not np.issubdtype(mask.dtype, np.integer):
            raise TypeError(f"{name} must be bool or integer, got {mask.dtype}: threshold it first")
        mask = mask != 0
    if mask.ndim < 2:
        raise ValueError(f"{name} must have shape [..., H, W], got {mask.shape}")
    return mask


def _as_pair(gt, pred) -> tuple[np.ndarray, np.ndarray]:
    gt, pred = _as_masks(gt, "gt"), _as_masks(pred, "pred")
    if gt.shape != pred.shape:
        raise ValueError(f"gt {gt.shape} and pred {pred.shape} must have the same shape")
    return gt, pred


def jaccard(gt, pred) -> np.ndarray:
    """Intersection over union of two binary masks, 1 where both are empty.

    Args:
        gt: bool `[..., H, W]`.
        pred: bool, same shape.

    Returns:
        float64 `[...]`.

    Raises:
        ValueError: The shapes differ, or have fewer than two axes.
        TypeError: A mask is not bool or integer.

    References:
        Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object
        Segmentation, CVPR 2016 (region similarity J).
    """
    gt, pred = _as_pair(gt, pred)
    scores = np.empty(gt.shape[:-2])
    for index in np.ndindex(scores.shape):
        a, b = gt[index], pred[index]
        intersection = np.count_nonzero(a & b)
        union = np.count_nonzero(a) + np.count_nonzero(b) - intersection
        scores[index] = intersection / union if union else 1.0
    return scores


def boundary_f(gt, pred, bound_th: float = 0.008) -> np.ndarray:
    """F-measure of the boundary pixels of two binary masks that lie near each other.

    A boundary pixel counts as matched when the other mask has a boundary pixel within a disk of
    radius `ceil(bound_th * diagonal)`. With one boundary empty F is 0, with both it is 1.

    Args:
        gt: bool `[..., H, W]`.
        pred: bool, same shape.
        bound_th: Tolerance, as a fraction of the image diagonal.

    Returns:
        float64 `[...]`.

    Raises:
        ValueError: The shapes differ, or have fewer than two axes.
        TypeError: A mask is not bool or integer.

    References:
        Perazzi et al., CVPR 2016 (contour accuracy F); Martin, Fowlkes and Malik, PAMI 2004.
    """
    gt, pred = _as_pair(gt, pred)
    height, width = gt.shape[-2:]
    scores = np.empty(gt.shape[:-2])
    for index in np.ndindex(scores.shape):
        tolerance = _Tolerance(height, width, bound_th)
        scores[index] = tolerance.score(_Contour(gt[index]), _Contour(pred[index]))
    return scores


class _Contour:
    """The boundary pixels of one mask, and (on demand) their dilation by the tolerance disk.

    A pixel is on the boundary when it differs from its right, lower or lower-right neighbour; on
    the last row and column only the neighbour inside the image counts.
    """

    def __init__(self, mask: np.ndarray):
        height, width = mask.shape
        self.rows = self.columns = np.empty(0, np.intp)
        self.dilated: np.ndarray | None = None
        box = _bounding_box(mask)
        if box is None:
            return
        # One pixel of background above and to the left of the box may belong to the boundary.
        top, bottom, left, right = box
        top, left = max(top - 1, 0), max(left - 1, 0)
        bottom, right = min(bottom + 2, height), min(right + 2, width)
        part = mask[top:bottom, left:right]
        edge = np.zeros(part.shape, bool)
        edge[:, :-1] |= part[:, :-1] != part[:, 1:]
        edge[:-1] |= part[:-1] != part[1:]
        edge[:-1, :-1] |= part[:-1, :-1] != part[1:, 1:]
        self.rows, self.columns = np.nonzero(edge)
        self.rows += top
        self.columns += left

    def __len__(self) -> int:
        return len(self.rows)


class _Tolerance:
    """Boundary matching within a disk, for masks of one size."""

    def __init__(self, height: int, width: int, bound_th: float):
        self.shape = (height, width)
        self.radius = int(np.ceil(bound_th * np.hypot(height, width)))
        reach = np.arange(-self.radius, self.radius + 1)
        disk = reach[:, None] ** 2 + reach[None, :] ** 2 <= self.radius**2
        self.disk = disk.astype(np.uint8)

    def _near(self, contour: _Contour) -> np.ndarray:
        """Where a contour has a pixel within the disk: bool [H, W]."""
        if contour.dilated is None:
            near = np.zeros(self.shape, np.uint8)
            rows, columns = contour.rows, contour.columns
            top, left = max(rows.min() - self.radius, 0), max(columns.min() - self.radius, 0)
            box = np.s_[top : rows.max() + self.radius + 1, left : columns.max() + self.radius + 1]
            near[rows, columns] = 1
            near[box] = cv2.dilate(near[box], self.disk, borderType=cv2.BORDER_CONSTANT)
            contour.dilated = near.view(bool)
        return contour.dilated

    def score(self, gt: _Contour, pred: _Contour) -> float:
        if not len(gt) or not len(pred):
            return float(len(gt) == len(pred))
        precision = np.count_nonzero(self._near(gt)[pred.rows, pred.columns]) / len(pred)
        recall = np.count_nonzero(self._near(pred)[gt.rows, gt.columns]) / len(gt)
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _bounding_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """First and last row, first and last column of the foreground, or None."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def sequence_statistics(per_frame) -> Statistics:
    """Mean, recall and decay of the scores of one sequence.

    Args:
        per_frame: `[T]` scores of a sequence in time order. A frame without a score is NaN: it is
            left out of mean and decay and counts as a miss in the recall.

    Returns:
        `(mean, recall, decay)`: recall is the fraction of frames above 0.5; decay the mean over
        the first quarter of the frames minus that over the last. NaN where nothing has a score.

    Raises:
        ValueError: The scores are not a non-empty vector.

    References:
        Perazzi et al., CVPR 2016, section 4.
    """
    values = np.asarray(per_frame, np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"per_frame must be a vector of at least one score, got {values.shape}")
    # Quarters share their end frames, as the benchmark has it; halves round to even.
    ends = np.round(np.linspace(1, len(values), 5) + 1e-10).astype(int) - 1
    first, last = values[: ends[1] + 1], values[ends[3] :]
    return (
        _mean(values),
        float(np.mean(values > 0.5)) if not np.isnan(values).all() else float("nan"),
        _mean(first) - _mean(last),
    )


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


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
    def J(self) -> list[Statistics]:
        """Mean, recall and decay of J for each pair."""
        return [sequence_statistics(scores) for scores in self.jaccard]

    @property
    def F(self) -> list[Statistics]:
        """Mean, recall and decay of F for each pair."""
        return [sequence_statistics(scores) for scores in self.boundary_f]

    @property
    def J_mean(self) -> list[float]:
        """Mean J of each pair."""
        return [_mean(scores) for scores in self.jaccard]

    @property
    def F_mean(self) -> list[float]:
        """Mean F of each pair."""
        return [_mean(scores) for scores in self.boundary_f]

    @property
    def JF(self) -> float:
        """Mean of J and F over all pairs."""
        return float(np.mean(self.J_mean + self.F_mean)) if self.pairs else float("nan")


def match_objects(gt_labels, pred_labels) -> ObjectMatch:
    """Assigns predicted segments to annotated objects, as the DAVIS 2017 unsupervised benchmark.

    The assignment maximises the sum over objects of (J + F) / 2 averaged over the frames
    (Hungarian). Every label that occurs in the prediction is a candidate, 0 included, since a
    motion segmentation has no label set aside for the background; in the ground truth 0 is
    background.

    Args:
        gt_labels: int `[T, H, W]`, 0 = background, 1.. = objects.
        pred_labels: int `[T, H, W]`, labels >= 0.

    Returns:
        The match and its scores per frame; empty if the ground truth has no object.

    Raises:
        ValueError: The shapes differ or are not `[T, H, W]`, or a label is negative.

    References:
        Caelles et al., The 2019 DAVIS Challenge on VOS, arXiv:1905.00737.
    """
    gt_labels, pred_labels = np.asarray(gt_labels), np.asarray(pred_labels)
    if gt_labels.shape != pred_labels.shape or gt_labels.ndim != 3:
        raise ValueError(
            "gt_labels and pred_labels must both be [T, H, W], "
            f"got {gt_labels.shape} and {pred_labels.shape}"
        )
    if min(gt_labels.min(initial=0), pred_labels.min(initial=0)) < 0:
        raise ValueError("labels must be >= 0")
    objects = [int(label) for label in np.unique(gt_labels) if label != 0]
    segments = [int(label) for label in np.unique(pred_labels)]
    segments += [-1] * (len(objects) - len(segments))  # no segment: an empty mask

    scores = np.empty((2, len(segments), len(objects), len(gt_labels)))
    for t, (gt, pred) in enumerate(zip(gt_labels, pred_labels, strict=True)):
        scores[..., t] = _score_all_pairs(
            [gt == label for label in objects], [pred == label for label in segments]
        )
    rows, columns = linear_sum_assignment(-scores.mean(axis=(0, -1)))
    order = np.lexsort((columns, [segments[row] for row in rows]))
    rows, columns = rows[order], columns[order]
    return ObjectMatch(
        pairs=tuple((segments[r], objects[c]) for r, c in zip(rows, columns, strict=True)),
        jaccard=scores[0, rows, columns],
        boundary_f=scores[1, rows, columns],
    )


def _score_all_pairs(objects: Sequence[np.ndarray], segments: Sequence[np.ndarray]) -> np.ndarray:
    """J and F of every segment with every object of one frame: [2, segments, objects]."""
    scores = np.empty((2, len(segments), len(objects)))
    if not objects:
        return scores
    tolerance = _Tolerance(*objects[0].shape, bound_th=0.008)
    object_contours = [_Contour(mask) for mask in objects]
    segment_contours = [_Contour(mask) for mask in segments]
    for i, segment in enumerate(segments):
        for j, obj in enumerate(objects):
            scores[0, i, j] = jaccard(obj, segment)
            scores[1, i, j] = tolerance.score(object_contours[j], segment_contours[i])
    return scores
