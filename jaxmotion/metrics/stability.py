"""Stability of the labels of objects in time, which scores of single frames do not show."""

from dataclasses import dataclass

import numpy as np

from jaxmotion.metrics.arguments import label_arrays


@dataclass(frozen=True)
class LabelStability:
    """The label of one object in the frames that show it.

    The object's label in a frame is that of most of its pixels. Where the pixels around it mostly
    have the same label, it is not told apart from the ground, which is a fault of another kind: so
    there are two figures of each, and both are of interest.

    Attributes:
        frames: number of frames that show the object.
        apart: share of these in which its label is not that of the ground.
        share: share of the frames in which it has the label that it has most often.
        switches: number of changes of its label from one such frame to the next, per 100 frames.
        share_apart: share of the frames in which it is apart with the label that it has most often
            in these; NaN if there are none.
        switches_apart: number of changes of its label among these, per 100 of them.
    """

    frames: int
    apart: float
    share: float
    switches: float
    share_apart: float
    switches_apart: float


def label_stability(gt_labels, pred_labels, min_share: float = 0.002) -> dict[int, LabelStability]:
    """Stability of the label of each annotated object.

    Args:
        gt_labels: annotated labels, int `[T, H, W]`, 0 = ground, 1.. = objects.
        pred_labels: predicted labels, int `[T, H, W]`, >= 0, whichever they are.
        min_share: share of a frame that an object must have, from 0 to 1, to count as shown.

    Returns:
        The stability of each object that is shown in some frame, by its label in the annotation.

    Raises:
        ValueError: the shapes differ or are not `[T, H, W]`, or a label is negative.
        TypeError: labels are no integers.
    """
    gt_labels, pred_labels = label_arrays(gt_labels=gt_labels, pred_labels=pred_labels)
    counts = _counts(gt_labels, pred_labels)
    ground = np.where(counts[:, 0].any(axis=-1), counts[:, 0].argmax(axis=-1), -1)
    least = max(1, min_share * gt_labels.shape[1] * gt_labels.shape[2])
    found = {}
    for gt in range(1, counts.shape[1]):
        shown = counts[:, gt].sum(axis=-1) >= least
        if shown.any():
            labels = counts[shown, gt].argmax(axis=-1)
            apart = labels != ground[shown]
            found[gt] = LabelStability(
                int(shown.sum()), float(apart.mean()), *_steady(labels), *_steady(labels[apart])
            )
    return found


def _counts(gt: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Pixels of each label in each object, frame by frame: int `[T, objects + 1, labels]`."""
    rows, columns = (int(x.max(initial=0)) + 1 for x in (gt, labels))
    pairs = gt.astype(np.int64) * columns + labels
    counts = [np.bincount(frame.ravel(), minlength=rows * columns) for frame in pairs]
    return np.reshape(counts, (len(pairs), rows, columns))


def _steady(labels: np.ndarray) -> tuple[float, float]:
    if not len(labels):
        return float("nan"), float("nan")
    switches = (labels[1:] != labels[:-1]).sum()
    return float(np.bincount(labels).max() / len(labels)), float(100 * switches / len(labels))
