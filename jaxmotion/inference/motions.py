"""The motion models of segments, window by window."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from jaxmotion import losses
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.inference.fields import SegmentedField, checked_flow
from jaxmotion.inference.windows import ShapedFunction, run_windows
from jaxmotion.motion import MotionModel, PenaltyName, fit


class WindowMotions(NamedTuple):
    """The motion models of one window.

    Attributes:
        start: number of the window's first frame.
        length: number of frames of the window.
        theta: `[K, P]`, motion parameters of the segments; P depends on the length.
    """

    start: int
    length: int
    theta: np.ndarray


class MotionFitter:
    """Fits motion models to the segments of a video, as the loss of training does (eq. 3.4).

    Attributes:
        compilation_seconds: time spent on compiling so far.
    """

    def __init__(self, model: MotionModel, penalty: PenaltyName) -> None:
        """Makes a fitter.

        Args:
            model: motion model of a segment.
            penalty: robust penalty of a residual.
        """

        def theta(flow: jax.Array, masks: jax.Array, valid: jax.Array) -> jax.Array:
            weights = losses.frame_weights(flow, valid=valid)
            found = fit(flow, masks, model, penalty=penalty, valid=valid, frame_weights=weights)
            return found.theta

        self._theta = ShapedFunction(theta)

    @property
    def compilation_seconds(self) -> float:
        """Seconds spent on compiling so far."""
        return self._theta.seconds

    def prepare(self, size: tuple[int, ...], num_masks: int) -> None:
        """Compiles what `stream` needs for clips of a size.

        Args:
            size: numbers of clips, frames, rows and columns.
            num_masks: number of masks.
        """
        shapes = ((*size, 2), (*size, num_masks), size)
        self._theta.prepare(*(jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes))

    def of_video(
        self,
        flow: np.ndarray,
        masks: np.ndarray,
        valid: np.ndarray | None,
        inference: InferenceConfig,
    ) -> np.ndarray:
        """Fits the motion models of all windows of a video: theta `[N, K, P]`.

        Args:
            flow: `[T, H, W, 2]`, pixels per frame.
            masks: `[T, H, W, K]`.
            valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere.
            inference: length and overlap of the windows.

        Raises:
            InputError: on flow or masks of another shape.
        """
        flow, valid = checked_flow(flow, valid)
        masks = np.asarray(masks)
        if masks.ndim != 4 or masks.shape[:3] != flow.shape[:3]:
            raise InputError(f"masks of shape {masks.shape}: expected [T, H, W, K] of {flow.shape}")
        frames = zip(flow, masks, valid, strict=True)
        return np.stack([window.theta for window in self.stream(frames, inference)])

    def stream(
        self, frames: Iterable[SegmentedField], inference: InferenceConfig
    ) -> Iterator[WindowMotions]:
        """Fits the motion models of each window in turn.

        Args:
            frames: flow `[H, W, 2]` and masks `[H, W, K]` of each frame, and possibly where the
                flow is known, `[H, W]` in {0, 1}, or None for everywhere.
            inference: length and overlap of the windows.

        Raises:
            InputError: on flow or masks of another shape.
        """
        # Windows as long as they are: a motion model depends on the length of its clip.
        windows = run_windows(self._theta, _checked(frames), inference, bucketed=False)
        for start, length, theta in windows:
            yield WindowMotions(start, length, theta)


def _checked(
    frames: Iterable[SegmentedField],
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for index, (field, masks, *rest) in enumerate(frames):
        name = f"flow field {index}"
        flow, valid = checked_flow(field, rest[0] if rest else None, name, "[H, W, 2]")
        if np.ndim(masks) != 3 or np.shape(masks)[:2] != valid.shape:
            raise InputError(
                f"{name} of shape {flow.shape}: masks of shape {np.shape(masks)}, expected "
                "[H, W, K] of it"
            )
        yield flow, masks, valid
