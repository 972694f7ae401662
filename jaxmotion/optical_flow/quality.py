"""Quality of flow, judged without ground truth: by the frames, and by the flow back.

Both measures look where a pixel's match lies inside the other frame. Neither is an error in
pixels of the true motion: a gray wall is matched perfectly by any flow, and a pixel that becomes
hidden has no match. Vectors that are unknown (`known_vectors`) count nowhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from jaxmotion.optical_flow.arrays import known_vectors
from jaxmotion.options import Figure

# A flow and the one back agree where |f + b|² < 0.01 (|f|² + |b|²) + 0.5.
_RELATIVE, _ABSOLUTE = 0.01, 0.5


@dataclass(frozen=True)
class FlowQuality:
    """The quality of one flow field, or its mean over a video.

    Attributes:
        warp_error: mean absolute difference of the first frame and the second one brought back by
            the flow, in gray levels of 0..255.
        still_error: mean absolute difference of the two frames as they are, over the same pixels,
            in gray levels, to compare with.
        consistency_error: mean distance, in pixels, at which one ends after going by the flow and
            back by the flow back.
        consistent: share of pixels for which that distance is small (`consistency`).
        inside: share of the known pixels whose match lies inside the other frame; all other figures
            are over these.
    """

    warp_error: Figure
    still_error: Figure
    consistency_error: Figure
    consistent: Figure
    inside: Figure

    def __str__(self) -> str:
        """One line for the end of the command."""
        return (
            f"warp error {self.warp_error:.2f} gray levels ({self.still_error:.2f} without flow); "
            f"forward-backward {self.consistency_error:.2f} px, "
            f"{100 * self.consistent:.1f} % consistent"
        )

    @classmethod
    def mean(cls, qualities: Sequence["FlowQuality"]) -> "FlowQuality":
        """The mean of each figure over the fields that have it, where it is not NaN.

        Args:
            qualities: qualities of the fields.

        Returns:
            The mean.
        """
        figures = {}
        for name in (field.name for field in fields(cls)):
            known = [x for x in (getattr(q, name) for q in qualities) if not math.isnan(x)]
            figures[name] = math.fsum(known) / len(known) if known else math.nan
        return cls(**figures)


def flow_quality(
    image0: np.ndarray,
    image1: np.ndarray,
    flow: np.ndarray,
    backward: np.ndarray,
    valid: np.ndarray | None = None,
    backward_valid: np.ndarray | None = None,
) -> FlowQuality:
    """Judges a flow by the frames it is between and by the flow back.

    Args:
        image0: first frame, uint8 `[H, W, 3]`.
        image1: frame that the flow goes to, uint8 `[H, W, 3]`.
        flow: flow from `image0` to `image1`, float32 `[H, W, 2]`, pixels.
        backward: flow from `image1` to `image0`, float32 `[H, W, 2]`, pixels.
        valid: `[H, W]` in {0, 1}, where `flow` is known; everywhere by default.
        backward_valid: `[H, W]` in {0, 1}, where `backward` is known; everywhere by default.

    Returns:
        The figures; NaN, but for `inside`, where no match lies inside, for `inside` too where
        nothing is known. A match where the flow back is unknown counts in neither figure of the
        two.

    Raises:
        InputError: another `valid` than `as_valid` takes.
    """
    known = known_vectors(flow, valid)
    warped, inside = warp(image1.astype(np.float32), flow, valid)
    first = image0.astype(np.float32)
    still = np.abs(first - image1).mean(axis=-1)
    distance, agrees, both = consistency(flow, backward, valid, backward_valid)

    def mean(values: np.ndarray, over: np.ndarray) -> float:
        return float(values[over].mean(dtype=np.float64)) if over.any() else math.nan

    return FlowQuality(
        warp_error=mean(np.abs(first - warped).mean(axis=-1), inside),
        still_error=mean(still, inside),
        consistency_error=mean(distance, both),
        consistent=mean(agrees, both),
        inside=mean(inside, known),
    )


def warp(
    image: np.ndarray, flow: np.ndarray, valid: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Brings a frame back along the flow that leads to it, bilinearly.

    Args:
        image: frame that the flow goes to (or flow there, C = 2), float32 `[H, W, C]`.
        flow: flow to that frame, float32 `[H, W, 2]`, pixels.
        valid: `[H, W]` in {0, 1}, where the flow is known; everywhere by default.

    Returns:
        `[H, W, C]`, zero where there is no match, and bool `[H, W]`, where there is one. What is
        unknown has none.
    """
    height, width = flow.shape[:2]
    known = known_vectors(flow, valid)
    flow = np.where(known[..., None], flow, np.float32(0))
    y, x = np.indices((height, width), np.float32)
    x, y = x + flow[..., 0], y + flow[..., 1]
    inside = known & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    x, y = np.where(inside, x, 0), np.where(inside, y, 0)
    # Not cv2.remap, whose weights are rounded to 1/32 pixel.
    x0 = np.minimum(x.astype(np.int32), max(width - 2, 0))
    y0 = np.minimum(y.astype(np.int32), max(height - 2, 0))
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    across, down = (x - x0)[..., None], (y - y0)[..., None]
    above = (1 - across) * image[y0, x0] + across * image[y0, x1]
    below = (1 - across) * image[y1, x0] + across * image[y1, x1]
    warped = (1 - down) * above + down * below
    return np.where(inside[..., None], warped, 0).astype(np.float32), inside


def consistency(
    flow: np.ndarray,
    backward: np.ndarray,
    valid: np.ndarray | None = None,
    backward_valid: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measures the distance of each pixel from the end of its way by the flow and back.

    Args:
        flow: flow from one frame to another, float32 `[H, W, 2]`, pixels.
        backward: flow back, float32 `[H, W, 2]`, pixels.
        valid: `[H, W]` in {0, 1}, where `flow` is known; everywhere by default.
        backward_valid: `[H, W]` in {0, 1}, where `backward` is known; everywhere by default.

    Returns:
        The distance from the start at which one ends, `[H, W]` in pixels; bool `[H, W]`, where it
        is within what flow is usually right to (|f + b|² < 0.01 (|f|² + |b|²) + 0.5) and hence the
        pixel not hidden in the other frame; and bool `[H, W]`, whether the match lies inside, where
        the flow back is known. Distance and agreement say nothing elsewhere.

    References:
        Sundaram, Brox and Keutzer, Dense point trajectories by GPU-accelerated large displacement
        optical flow, ECCV 2010.
    """
    known, known_back = known_vectors(flow, valid), known_vectors(backward, backward_valid)
    flow = np.where(known[..., None], flow, np.float32(0))
    backward = np.where(known_back[..., None], backward, np.float32(0))
    back, inside = warp(np.dstack([backward, known_back]), flow, known)
    inside &= back[..., 2] > 1 - 1e-4  # all of the neighbors that the match lies between
    back = back[..., :2]
    squared = np.square(flow + back).sum(axis=-1)
    lengths = np.square(flow).sum(axis=-1) + np.square(back).sum(axis=-1)
    agrees = inside & (squared < _RELATIVE * lengths + _ABSOLUTE)
    return np.sqrt(squared), agrees, inside
