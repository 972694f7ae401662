"""The distances from the flow of each segment of a video to the motion of each other one."""

from dataclasses import dataclass

import numpy as np

from jaxmotion.motion import frame_motion


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
    meter = ResidualMeter(num_labels)
    for index, (frame, segments) in enumerate(zip(flow, labels, strict=True)):
        known = np.ones(frame.shape[:2], bool) if valid is None else np.asarray(valid[index]) > 0
        meter.add(segments, frame, known)
    return meter.residuals()


class ResidualMeter:
    """Measures the segments of a video while it arrives, frame by frame.

    Attributes:
        num_labels: number K of labels.
        memory: number of frames after which a frame counts 1/e of what it did; infinite where all
            count alike.
    """

    def __init__(self, num_labels: int, memory: float = np.inf) -> None:
        self.num_labels, self.memory = num_labels, memory
        self._total, self._pixels = np.zeros((num_labels, num_labels)), np.zeros(num_labels)

    def add(self, labels: np.ndarray, flow: np.ndarray, valid: np.ndarray) -> None:
        """Adds a frame.

        Args:
            labels: integers `[H, W]` in 0 .. K - 1, the segment of each pixel.
            flow: `[H, W, 2]`, pixels per frame.
            valid: `[H, W]` in {0, 1}, where the flow is known.
        """
        kept = np.exp(-1 / self.memory)
        self._total *= kept
        self._pixels *= kept
        known = np.asarray(valid) > 0
        flow = np.where(known[..., None], flow, 0).astype(np.float32)
        segments = labels[known]
        self._pixels += np.bincount(segments, minlength=self.num_labels)
        for label in np.unique(segments):
            motion = np.asarray(frame_motion(flow, (labels == label) & known))
            residual = np.linalg.norm(flow[known] - motion[known], axis=-1)
            self._total[label] += np.bincount(segments, residual, self.num_labels)

    def residuals(self) -> SegmentResiduals:
        """The sums over all frames so far, each as it counts."""
        return SegmentResiduals(self._total.copy(), self._pixels.copy())
