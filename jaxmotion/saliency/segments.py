"""Which segments of a video move on their own, told from masks and flow alone.

The background is the segment with most pixels. A segment moves on its own where its flow is far
from the motion of the background, measured over the whole video, and not much nearer to it than
that of the segment that stands out most.
"""

import numpy as np

from jaxmotion.saliency.residuals import SegmentResiduals, segment_residuals

SHARE = 0.3
"""Least residual of a salient segment, relative to the strongest one.

On 38 DAVIS 2016 sequences everything from 0.25 to 0.35 gives the same mean J within 0.001
(`benchmarks/saliency.py`).
"""

FLOOR = 0.5
"""Least residual of the strongest segment, in pixels per frame."""

# Segments with less than this share of the pixels outside the background do not set the scale: a
# few outliers of the flow make the highest residuals of all.
_LEAST_SHARE_OF_FOREGROUND = 0.05


def salient(
    residuals: SegmentResiduals, *, share: float = SHARE, floor: float = FLOOR
) -> np.ndarray:
    """Chooses the segments that move on their own.

    Args:
        residuals: residuals of the segments, over as much of the video as there is.
        share: least mean residual against the background's motion, relative to the strongest
            segment's.
        floor: the mean residual, in pixels per frame, that the strongest segment has to reach.
            Where none does, nothing is chosen.

    Returns:
        bool `[K]`. The background is never chosen.
    """
    background = int(residuals.pixels.argmax())
    others = np.where(np.arange(len(residuals.pixels)) == background, 0, residuals.pixels)
    distance = residuals.mean[background]
    large = others > _LEAST_SHARE_OF_FOREGROUND * others.sum()
    strongest = distance[large].max(initial=0)
    if strongest < floor:
        return np.zeros(len(others), bool)
    return (others > 0) & (distance >= share * strongest)


def salient_segments(
    masks: np.ndarray,
    flow: np.ndarray,
    share: float = SHARE,
    *,
    floor: float = FLOOR,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Tells which segments of a video move on their own.

    Works best over a whole video, or 25 frames at least. In fewer frames the flow of a static
    thing that is close to the camera can be as far from the background's motion as an object's.

    Args:
        masks: `[T, H, W, K]`, the probability of each segment; each pixel counts for the
            likeliest.
        flow: `[T, H, W, 2]`, pixels per frame.
        share: least mean residual of a salient segment, relative to the strongest segment's.
        floor: least mean residual of the strongest segment, in pixels per frame; below it nothing
            is chosen.
        valid: optional `[T, H, W]` in {0, 1}; pixels at 0 count nowhere.

    Returns:
        bool `[K]`, which segments move on their own.

    Raises:
        ValueError: shapes that do not match.
    """
    masks = np.asarray(masks)
    if masks.ndim != 4:
        raise ValueError(f"masks {masks.shape}: expected [T, H, W, K]")
    residuals = segment_residuals(masks.argmax(axis=-1), flow, masks.shape[-1], valid)
    return salient(residuals, share=share, floor=floor)


def salient_foreground(
    masks: np.ndarray,
    flow: np.ndarray,
    share: float = SHARE,
    *,
    floor: float = FLOOR,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Computes the probability of each pixel to be in a segment that moves on its own.

    Args:
        masks: `[T, H, W, K]`, probabilities of the segments, which sum to 1 over K.
        flow: `[T, H, W, 2]`, pixels per frame.
        share: least mean residual of a salient segment, relative to the strongest segment's.
        floor: least mean residual of the strongest segment, in pixels per frame; below it nothing
            is chosen.
        valid: optional `[T, H, W]` in {0, 1}; pixels at 0 count nowhere.

    Returns:
        float32 `[T, H, W]`, the sum of the salient segments' masks; zeros where nothing moves.

    Raises:
        ValueError: shapes that do not match.
    """
    chosen = salient_segments(masks, flow, share, floor=floor, valid=valid)
    return np.asarray(masks, np.float32)[..., chosen].sum(axis=-1)
