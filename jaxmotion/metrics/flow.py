"""Errors of optical flow against the truth, apart for what moves, around it, and the rest.

Small objects are a hundredth of the pixels: a mean over the frame says nothing of them.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt


class FlowErrors(NamedTuple):
    """Errors over all pixels of a kind in all fields; NaN where there are none.

    Attributes:
        moving: mean end-point error on moving objects, in pixels.
        within: share of their pixels with an error below one pixel.
        ring: mean end-point error around them.
        background: mean end-point error elsewhere.
    """

    moving: float
    within: float
    ring: float
    background: float


def flow_errors(
    flow: np.ndarray, truth: np.ndarray, moving: np.ndarray, *, ring: float = 4.0, border: int = 16
) -> FlowErrors:
    """Measures how far estimated vectors are from the true ones.

    Args:
        flow: estimated flow, `[N, H, W, 2]`, pixels.
        truth: true flow, `[N, H, W, 2]`, pixels.
        moving: bool `[N, H, W]`, what moves on its own.
        ring: greatest distance of the pixels around it, in pixels.
        border: pixels along the edges of the frame that do not count.

    Returns:
        The errors.

    Raises:
        ValueError: arrays of different shapes.
    """
    if flow.shape != truth.shape or flow.ndim != 4 or moving.shape != flow.shape[:3]:
        raise ValueError(
            f"flow {flow.shape}, truth {truth.shape} and moving {moving.shape}: expected "
            "[N, H, W, 2] twice and [N, H, W]"
        )
    error = np.linalg.norm(np.float64(flow) - truth, axis=-1)
    moving = np.asarray(moving, bool)
    near = np.zeros_like(moving)
    for number, mask in enumerate(moving):
        if mask.any():
            near[number] = np.asarray(distance_transform_edt(~mask)) <= ring
    counted = np.zeros(moving.shape, bool)
    counted[:, border : moving.shape[1] - border, border : moving.shape[2] - border] = True

    def mean(values: np.ndarray, where: np.ndarray) -> float:
        return float(values[where & counted].mean()) if (where & counted).any() else float("nan")

    return FlowErrors(
        moving=mean(error, moving),
        within=mean(error < 1, moving),
        ring=mean(error, near & ~moving),
        background=mean(error, ~near),
    )
