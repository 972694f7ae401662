"""The distances from the flow of each segment of a video to the motion of each other one."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion import MotionModel, fit, parametric_flow

_MOTION = MotionModel(spatial="quadratic")

# Frames that one call of the compiled program takes; the last ones are filled up.
_FRAMES_AT_ONCE = 16


@dataclass(frozen=True)
class SegmentResiduals:
    """Sums over the frames of a video. Those of two parts of a video add up to those of both.

    Attributes:
        total: `[K, K]`. At `[b, k]`, the sum over the pixels of segment k of the length of their
            flow minus the motion of segment b, extended over the frame; pixels per frame.
        pixels: `[K]`, number of pixels of each segment.
    """

    total: np.ndarray
    pixels: np.ndarray

    def __add__(self, other: "SegmentResiduals") -> "SegmentResiduals":
        return SegmentResiduals(self.total + other.total, self.pixels + other.pixels)

    @property
    def mean(self) -> np.ndarray:
        """Mean over the pixels of each segment: `[K, K]`, pixels per frame; 0 without pixels."""
        return self.total / np.maximum(self.pixels, 1)


def segment_residuals(
    labels: np.ndarray, flow: np.ndarray, num_labels: int, valid: np.ndarray | None = None
) -> SegmentResiduals:
    """Measures each segment against the motion of each other one.

    A quadratic motion is fitted to every segment of every frame with the L1 penalty.

    Args:
        labels: integers `[T, H, W]` in 0 .. K - 1.
        flow: `[T, H, W, 2]`, pixels per frame.
        num_labels: number K of labels.
        valid: optional `[T, H, W]` in {0, 1}; pixels at 0 count nowhere.

    Returns:
        The sums over these frames.

    Raises:
        ValueError: shapes that do not match, or labels out of range.
    """
    labels = np.asarray(labels)
    if labels.ndim != 3 or np.shape(flow) != (*labels.shape, 2):
        raise ValueError(
            f"labels {labels.shape} and flow {np.shape(flow)}: expected [T, H, W] and [T, H, W, 2]"
        )
    if valid is not None and np.shape(valid) != labels.shape:
        raise ValueError(f"valid {np.shape(valid)}: expected {labels.shape} as the labels")
    if labels.size and not 0 <= labels.min() <= labels.max() < num_labels:
        raise ValueError(
            f"labels from {labels.min()} to {labels.max()}: expected 0 to {num_labels - 1}"
        )
    total = np.zeros((num_labels, num_labels))
    pixels = np.zeros(num_labels)
    for start in range(0, len(labels), _FRAMES_AT_ONCE):
        part = slice(start, start + _FRAMES_AT_ONCE)
        known = np.zeros((_FRAMES_AT_ONCE, *labels.shape[1:]), bool)
        known[: len(labels[part])] = True if valid is None else np.asarray(valid[part]) > 0
        frames = _filled_up(np.asarray(flow[part], np.float32))
        sums = _sums(_filled_up(labels[part].astype(np.int32)), frames, known, num_labels)
        total += np.asarray(sums[0], np.float64).sum(axis=0)
        pixels += np.asarray(sums[1], np.float64).sum(axis=0)
    return SegmentResiduals(total, pixels)


class ResidualMeter:
    """Measures the segments of a video while it arrives, with a few frames in memory.

    Attributes:
        num_labels: number K of labels.
    """

    def __init__(self, num_labels: int) -> None:
        self.num_labels = num_labels
        self._sum = SegmentResiduals(np.zeros((num_labels, num_labels)), np.zeros(num_labels))
        self._waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, labels: np.ndarray, flow: np.ndarray, valid: np.ndarray) -> None:
        """Adds a frame.

        Args:
            labels: integers `[H, W]` in 0 .. K - 1, the segment of each pixel.
            flow: `[H, W, 2]`, pixels per frame.
            valid: `[H, W]` in {0, 1}, where the flow is known.
        """
        self._waiting.append((labels, flow, valid))
        if len(self._waiting) == _FRAMES_AT_ONCE:
            self.residuals()

    def residuals(self) -> SegmentResiduals:
        """The sums over all frames so far."""
        if self._waiting:
            labels, flow, valid = (np.stack(part) for part in zip(*self._waiting, strict=True))
            self._sum += segment_residuals(labels, flow, self.num_labels, valid)
            self._waiting.clear()
        return self._sum


def _filled_up(frames: np.ndarray) -> np.ndarray:
    missing = _FRAMES_AT_ONCE - len(frames)
    return np.pad(frames, [(0, missing)] + [(0, 0)] * (frames.ndim - 1))


@jax.jit(static_argnames="num_labels")
def _sums(
    labels: jax.Array, flow: jax.Array, valid: jax.Array, num_labels: int
) -> tuple[jax.Array, jax.Array]:
    """Sums of each frame: residuals `[T, K, K]` and pixels `[T, K]`."""
    flow = jnp.where(valid[..., None], flow, 0)
    masks = jax.nn.one_hot(labels, num_labels) * valid[..., None]
    theta = fit(flow[:, None], masks[:, None], _MOTION).theta
    motions = parametric_flow(_MOTION, theta, (1, *flow.shape[1:3]))[:, :, 0]
    residual = jnp.linalg.norm(flow[:, None] - motions, axis=-1)
    total = jnp.einsum("tbhw,thwk->tbk", residual, masks, precision="highest")
    return total, masks.sum(axis=(1, 2))
