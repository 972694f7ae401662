"""Descriptors of flow made by hand: histograms, and how the camera moves and jumps."""

import jax
import numpy as np

from jaxmotion.data.transforms import resize_flow_and_valid
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.inference.fields import checked_flow, working_size
from jaxmotion.inference.windows import ShapedFunction, each_frame_once, run_windows
from jaxmotion.motion import fit_global_motion, global_flow

DIRECTIONS = 8
"""Number of directions of a histogram; each has a bin for slow vectors and one for fast ones."""

_WORKING = (64, 112)  # about so many pixels are looked at
_REST = 0.1  # pixels per frame, below which a vector has no direction
_WINDOWS = InferenceConfig(window=8)


def motion_features(flow: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """Describes the motion of a clip without a network.

    Histograms of the flow, and of what a robust quadratic motion of each frame leaves of it, by
    direction and speed: the mean over the frames, and the standard deviation. Of the 12
    coefficients of that motion the mean, the standard deviation, and the mean absolute change from
    frame to frame.

    Args:
        flow: `[T, H, W, 2]`, pixels per frame; any T ≥ 1, any size.
        valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere.

    Returns:
        float32 `[104]`.

    Raises:
        InputError: on another shape, or vectors that are not finite where they are valid.

    References:
        Dalal, Triggs and Schmid, Human detection using oriented histograms of flow and appearance,
        ECCV 2006.
    """
    flow, valid = checked_flow(flow, valid)
    size = working_size(flow.shape[1:3], _WORKING, 8)
    small = resize_flow_and_valid(flow, valid, size)
    windows = run_windows(_CAMERA, zip(*small, strict=True), _WINDOWS, bucketed=True)
    frames = list(each_frame_once(windows))
    theta = np.stack([theta for theta, _ in frames])
    residual = np.stack([residual for _, residual in frames])
    fields = zip((small[0], residual), (small[1], small[1]), strict=True)
    histograms = np.concatenate([_histograms(*field) for field in fields], axis=1)
    jumps = np.abs(np.diff(theta, axis=0)).mean(axis=0) if len(theta) > 1 else 0 * theta[0]
    parts = [part(x, axis=0) for x in (histograms, theta) for part in (np.mean, np.std)]
    return np.concatenate([*parts, jumps]).astype(np.float32)


def _histograms(flow: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Shares of the known vectors of each frame, `[T, 1 + 2 · DIRECTIONS]`: at rest, slow, fast."""
    length = np.linalg.norm(flow, axis=-1)
    turn = np.arctan2(flow[..., 1], flow[..., 0]) / (2 * np.pi) * DIRECTIONS
    bins = 1 + np.rint(turn).astype(int) % DIRECTIONS + DIRECTIONS * (length > 10 * _REST)
    bins = np.where(length > _REST, bins, 0)
    count = 1 + 2 * DIRECTIONS
    shares = [
        np.bincount(frame[known > 0], minlength=count) / max((known > 0).sum(), 1)
        for frame, known in zip(bins, valid, strict=True)
    ]
    return np.stack(shares)


def _camera(flow: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Coefficients `[N, T, 12]` of the motion of frames, and what it leaves of the flow."""
    theta = fit_global_motion(flow, valid)
    return theta, flow - global_flow(theta, *flow.shape[2:4])


_CAMERA = ShapedFunction(_camera)
