"""`description_length`: the bits that it takes to send flow as segments that move by a model.

The shortest description names the number of segments: one more has to save more bits of the
residuals than its outline and its motion cost.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from jaxmotion.motion.fitting import fit
from jaxmotion.motion.model import MotionModel
from jaxmotion.motion.shapes import check_shapes

PRECISION = 1e-3
"""Precision to which flow is sent, in mean sizes of its components; finer noise costs nothing."""


class DescriptionLength(NamedTuple):
    """Bits of a description of the flow of a clip.

    Attributes:
        residuals: bits of what the motions leave of the flow.
        motions: bits of the parameters of the motions.
        labels: bits of the map of the segments.
    """

    residuals: float
    motions: float
    labels: float

    @property
    def total(self) -> float:
        """All bits."""
        return self.residuals + self.motions + self.labels


def description_length(
    flow: np.ndarray,
    labels: np.ndarray,
    model: MotionModel,
    *,
    valid: np.ndarray | None = None,
    independent: float = 1.0,
) -> DescriptionLength:
    """Measures the bits of a clip's flow, described by the motions of its segments.

    The residuals have a Laplace distribution, with one scale for all segments: that of the least
    sum of absolute residuals, which `fit` finds. A parameter is sent to the precision that n
    vectors give it, in `log2(n) / 2` bits. The label of a pixel is sent given those of the pixel
    to the left, above, and in the frame before, by an adaptive code that starts out knowing
    nothing of them (Krichevsky and Trofimov). Neither the order of the labels matters, nor unused
    ones, nor the unit of the flow.

    Args:
        flow: `[T, H, W, 2]`, pixels per frame.
        labels: integers `[T, H, W]`, the segment of each pixel.
        model: motion model of a segment.
        valid: `[T, H, W]` in {0, 1}; pixels at 0 are not sent, whatever flow and labels hold there.
        independent: share of the vectors whose errors do not depend on those of the others, above
            0 and at most 1. Errors of an estimator are smooth: many vectors then say what one says,
            and count like one.

    Returns:
        The `DescriptionLength`; zeros where no pixel is known.

    Raises:
        ValueError: for shapes that do not match, or a share out of range.

    References:
        Rissanen, Modeling by shortest data description, Automatica 14 (1978). Krichevsky and
        Trofimov, The performance of universal encoding, IEEE Trans. Inf. Theory 27 (1981).
    """
    flow, labels = np.asarray(flow), np.asarray(labels)
    check_shapes(flow=(flow, "T H W 2"), labels=(labels, "T H W"), valid=(valid, "T H W"))
    if not 0 < independent <= 1:
        raise ValueError(f"independent must be above 0 and at most 1; got {independent}")
    known = np.ones(labels.shape, bool) if valid is None else np.asarray(valid) > 0
    flow = np.where(known[..., None], flow, 0).astype(np.float32)
    names, pixels = np.unique(labels[known], return_counts=True)
    labels = np.where(known, np.searchsorted(names, labels), len(names))

    # One segment at a time, so that one compiled program serves any number of them.
    errors = sum(_absolute_residuals(flow, labels == index, model) for index in range(len(names)))
    count = 2 * int(pixels.sum())
    sent = independent * pixels
    parameters = model.num_parameters(len(flow))
    return DescriptionLength(
        residuals=independent * _laplace_bits(errors, float(np.abs(flow).sum()), count),
        motions=float((parameters / 2 * np.log2(np.maximum(sent, 1))).sum()),
        labels=_label_bits(labels, len(names)),
    )


def _absolute_residuals(flow: np.ndarray, inside: np.ndarray, model: MotionModel) -> float:
    """The sum of the absolute residuals of one segment."""
    found = fit(flow[None], inside[None, ..., None].astype(np.float32), model, penalty="l1")
    return float(found.objective[0, 0])


def _laplace_bits(errors: float, size: float, count: int) -> float:
    """Bits of so many numbers of a Laplace distribution, with these absolute sums."""
    if not size:
        return 0.0
    finest = PRECISION * size / count
    scale = max(errors / count, finest)
    return count * float(np.log2(2 * np.e * scale / finest))


def _label_bits(labels: np.ndarray, num_labels: int) -> float:
    """Bits of labels in 0 .. K - 1; K stands for what is unknown, and is not sent."""
    context = np.zeros(labels.shape, np.int64)
    for axis in range(3):
        before = np.full_like(labels, num_labels)
        there, here = [slice(None)] * 3, [slice(None)] * 3
        there[axis], here[axis] = slice(None, -1), slice(1, None)
        before[tuple(here)] = labels[tuple(there)]
        context = context * (num_labels + 1) + before
    sent = labels < num_labels
    _, context = np.unique(context[sent], return_inverse=True)
    counts = np.bincount(context * num_labels + labels[sent])
    counts = np.pad(counts, (0, -len(counts) % max(num_labels, 1))).reshape(-1, max(num_labels, 1))
    # The sequential code's product of (n_label + 1/2) / (n + K/2) over all pixels of a context.
    all_labels = gammaln(counts.sum(axis=1) + num_labels / 2) - gammaln(num_labels / 2)
    each_label = gammaln(counts + 0.5) - gammaln(0.5)
    return float(np.sum(all_labels) - np.sum(each_label)) / float(np.log(2)) if sent.any() else 0.0
