"""How well objects are told apart over time: agreement of pairs, purity, switches of identity."""

import numpy as np

from jaxmotion.metrics.arguments import label_arrays


def foreground_ari(gt_labels, pred_labels) -> float:
    """Adjusted Rand index of the pixels of annotated objects, over all frames of a video (FG-ARI).

    It asks of two pixels whether they belong together, so names of labels do not matter. Background
    in the annotation does not count; background in the prediction is one more group.

    Args:
        gt_labels: annotated labels, int `[T, H, W]`, 0 = background, 1.. = objects.
        pred_labels: predicted labels, int `[T, H, W]`, 0 = background.

    Returns:
        At most 1; 0 is what chance gives. 1 where there is one object, found as one group; NaN
        where there is none.

    References:
        Hubert and Arabie, Comparing partitions, 1985; Greff et al., Multi-object representation
        learning with iterative variational inference, 2019.
    """
    gt_labels, pred_labels = label_arrays(gt_labels=gt_labels, pred_labels=pred_labels)
    inside = gt_labels > 0
    if not inside.any():
        return float("nan")
    table = _contingency(gt_labels[inside], pred_labels[inside])
    together = _pairs(table).sum()
    true, found = (_pairs(table.sum(axis=axis)).sum() for axis in (1, 0))
    pairs = _pairs(table.sum())
    expected = true * found / max(pairs, 1)
    most = (true + found) / 2
    return 1.0 if most == expected else float((together - expected) / (most - expected))


def purity(gt_labels, pred_labels) -> float:
    """Share of the predicted objects' pixels that are of the annotated object each has most of.

    Args:
        gt_labels: annotated labels, int `[T, H, W]`, 0 = background, 1.. = objects.
        pred_labels: predicted labels, int `[T, H, W]`, 0 = background.

    Returns:
        0 to 1; what lies on the background is of no object. NaN where nothing was predicted.
    """
    gt_labels, pred_labels = label_arrays(gt_labels=gt_labels, pred_labels=pred_labels)
    found = pred_labels > 0
    if not found.any():
        return float("nan")
    truth = gt_labels[found]
    if not truth.any():
        return 0.0
    on_object = truth > 0
    table = _contingency(pred_labels[found][on_object], truth[on_object])
    return float(table.max(axis=1).sum() / found.sum())


def identity_switches(gt_labels, pred_labels) -> int:
    """Number of times that an annotated object is found under another label than before.

    In a frame an object is found by the label with which its IoU is above 0.5, and no other label
    can have that. Frames in which it is not found are passed over.

    Args:
        gt_labels: annotated labels, int `[T, H, W]`, 0 = background, 1.. = objects.
        pred_labels: predicted labels, int `[T, H, W]`, 0 = background.

    References:
        Voigtlaender et al., MOTS: Multi-object tracking and segmentation, 2019.
    """
    gt_labels, pred_labels = label_arrays(gt_labels=gt_labels, pred_labels=pred_labels)
    names: dict[int, int] = {}
    switches = 0
    for gt, pred in zip(gt_labels, pred_labels, strict=True):
        for obj in np.unique(gt[gt > 0]).tolist():
            mask = gt == obj
            labels, shared = np.unique(pred[mask], return_counts=True)
            for label, count in zip(labels.tolist(), shared.tolist(), strict=True):
                union = mask.sum() + (pred == label).sum() - count
                if label > 0 and 2 * count > union:
                    switches += names.get(obj, label) != label
                    names[obj] = label
    return switches


def _pairs(count: np.ndarray) -> np.ndarray:
    """Number of pairs among so many."""
    return count * (count - 1) / 2


def _contingency(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Counts `[R, C]` of each pair of labels, of which no row is empty."""
    (_, row), (_, column) = (np.unique(labels, return_inverse=True) for labels in (rows, columns))
    table = np.zeros((row.max() + 1, column.max() + 1))
    np.add.at(table, (row, column), 1)
    return table
