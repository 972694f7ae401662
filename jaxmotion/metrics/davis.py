"""The official DAVIS measures: region (J), boundary (F), and their statistics over a sequence.

Plain numpy on the host, on masks packed into bits: the same numbers as the official code, counted
64 pixels at a time.
"""

import math

import numpy as np

from jaxmotion.metrics import masks as bitmasks
from jaxmotion.metrics.arguments import binary_masks

BOUND_TH = 0.008


def jaccard(gt, pred, void=None) -> np.ndarray:
    """Intersection over union of two binary masks, 1 where both are empty.

    Args:
        gt: mask of the ground truth, bool `[..., H, W]`.
        pred: predicted mask, bool, same shape.
        void: bool, same shape, pixels that count neither for nor against; none by default.

    Returns:
        The index of each mask, float64 `[...]`.

    Raises:
        ValueError: the shapes differ, or have fewer than two axes.
        TypeError: a mask is not bool or integer.

    References:
        Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object
        Segmentation, CVPR 2016 (region similarity J).
    """
    masks = _checked(gt, pred, void)
    scores = np.empty(masks[0].shape[:-2])
    for index in np.ndindex(scores.shape):
        a, b = _packed(masks, index)
        scores[index] = packed_jaccard(a, b)
    return scores


def boundary_f(gt, pred, bound_th: float = BOUND_TH, void=None) -> np.ndarray:
    """F-measure of the boundary pixels of two binary masks that lie near each other.

    A boundary pixel counts as matched when the other mask has a boundary pixel within a disk of
    radius `ceil(bound_th * diagonal)`. With one boundary empty F is 0, with both it is 1.

    Args:
        gt: mask of the ground truth, bool `[..., H, W]`.
        pred: predicted mask, bool, same shape.
        bound_th: tolerance, as a fraction of the image diagonal; from 1 on in pixels.
        void: bool, same shape, pixels taken out of both masks; none by default.

    Returns:
        The F-measure of each mask, float64 `[...]`.

    Raises:
        ValueError: the shapes differ, or have fewer than two axes.
        TypeError: a mask is not bool or integer.

    References:
        Perazzi et al., CVPR 2016 (contour accuracy F); Martin, Fowlkes and Malik, PAMI 2004.
    """
    masks = _checked(gt, pred, void)
    height, width = masks[0].shape[-2:]
    radius = tolerance(height, width, bound_th)
    scores = np.empty(masks[0].shape[:-2])
    for index in np.ndindex(scores.shape):
        a, b = _packed(masks, index)
        scores[index] = contour_f(Contour(a, width, radius), Contour(b, width, radius))
    return scores


def packed_jaccard(gt: np.ndarray, pred: np.ndarray) -> float:
    """Jaccard index of two packed masks.

    Args:
        gt: words of the ground truth, `[H, n]`.
        pred: words of the prediction, `[H, n]`.
    """
    union = int(bitmasks.count(gt | pred))
    return int(bitmasks.count(gt & pred)) / union if union else 1.0


def tolerance(height: int, width: int, bound_th: float = BOUND_TH) -> int:
    """Largest distance of matching boundary pixels, in pixels.

    Args:
        height: rows of the image.
        width: columns of the image.
        bound_th: tolerance, as a fraction of the image diagonal; from 1 on in pixels.
    """
    if bound_th >= 1:
        return int(bound_th)
    return math.ceil(bound_th * float(np.linalg.norm((height, width))))


class Contour:
    """The boundary pixels of one packed mask, and what lies within the tolerance of them.

    Attributes:
        pixels: packed boundary `[H, n]`.
        length: number of boundary pixels.
    """

    def __init__(self, mask: np.ndarray, width: int, radius: int) -> None:
        self.pixels = bitmasks.outline(mask, width)
        self.length = int(bitmasks.count(self.pixels))
        self._width, self._radius = width, radius
        self._near: np.ndarray | None = None

    @property
    def near(self) -> np.ndarray:
        """Packed pixels within the tolerance, computed once."""
        if self._near is None:
            self._near = bitmasks.dilate(self.pixels, self._width, self._radius)
        return self._near


def contour_f(gt: Contour, pred: Contour) -> float:
    """F-measure of two contours.

    Args:
        gt: contour of the ground truth.
        pred: contour of the prediction.
    """
    if not gt.length or not pred.length:
        return float(gt.length == pred.length)
    precision = int(bitmasks.count(pred.pixels & gt.near)) / pred.length
    recall = int(bitmasks.count(gt.pixels & pred.near)) / gt.length
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def sequence_statistics(per_frame) -> tuple[float, float, float]:
    """Mean, recall and decay of the scores of one sequence.

    Args:
        per_frame: `[T]` scores of a sequence in time order. A frame without a score is NaN: it is
            left out of mean and decay and counts as a miss in the recall.

    Returns:
        `(mean, recall, decay)`: recall is the fraction of frames above 0.5; decay the mean over
        the first quarter of the frames minus that over the last. NaN where nothing has a score.

    Raises:
        ValueError: the scores are not a non-empty vector.

    References:
        Perazzi et al., CVPR 2016, section 4.
    """
    values = np.asarray(per_frame, np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"per_frame {values.shape}: expected [T], of at least one score")
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


def _checked(gt, pred, void) -> list[np.ndarray]:
    masks = {"gt": gt, "pred": pred} | ({} if void is None else {"void": void})
    return binary_masks("[..., H, W]", **masks)


def _packed(masks: list[np.ndarray], index) -> tuple[np.ndarray, np.ndarray]:
    """Packed ground truth and prediction of one frame, without the void pixels."""
    gt, pred, *void = (bitmasks.pack(mask[index]) for mask in masks)
    return (gt & ~void[0], pred & ~void[0]) if void else (gt, pred)
