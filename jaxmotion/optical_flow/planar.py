"""Flow over a plane: the camera's motion, but where something clearly moves otherwise.

From far away the ground is a plane, and its flow one quadratic polynomial. An estimator that looks
for small objects errs on such a ground, most of all where it is plain or striped and many flows
explain it. There the camera's motion explains it as well, and is the likelier answer.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from jaxmotion.motion import frame_motion
from jaxmotion.optical_flow.estimators import Estimator

# Pixels that differ by less than twice the median are taken to be of the ground.
_OUTLIERS = 2.0


@dataclass(frozen=True)
class Planar:
    """Flow of an estimator where it explains the frames better than the camera's motion does.

    Elsewhere it is the camera's motion, fitted to the flow of the whole frame.

    Attributes:
        base: estimator of the flow.
        window: side of the square of pixels over which two explanations are compared, odd.
        margin: gray levels by which the estimator's flow has to be better.
    """

    base: Estimator
    window: int = 5
    margin: float = 1.0

    @property
    def name(self) -> str:
        """Name of the estimator of the flow."""
        return self.base.name

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the estimator, and under "planar" window and margin."""
        own = {"window": self.window, "margin": self.margin}
        return {**self.base.settings, "planar": own}

    def __call__(self, image0: np.ndarray, image1: np.ndarray) -> np.ndarray:
        """Estimates the flow from `image0` to `image1`, both uint8 `[H, W, 3]`."""
        flow = self.base(image0, image1)
        motion = np.asarray(frame_motion(flow, np.ones(flow.shape[:2], np.float32)))
        (by_flow, known), (by_motion, seen) = differences(image0, image1, flow, motion)
        side = (self.window, self.window)
        # Without evidence for both there is no reason to leave the camera's motion.
        certain = cv2.erode((known & seen).astype(np.uint8), np.ones(side, np.uint8))
        better = cv2.blur(by_motion - by_flow, side) > self.margin
        return np.where((better & (certain > 0))[..., None], flow, motion)


def differences(
    image0: np.ndarray, image1: np.ndarray, flow: np.ndarray, motion: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """How far the colors differ that a flow brings together, and those that a motion does.

    Before that, the second frame gets the brightness and contrast of the first: a line is fitted
    to the gray levels that the motion brings together, then once more without the pixels that are
    far from it, which are those that move otherwise.

    Args:
        image0: first frame, uint8 `[H, W, 3]`.
        image1: second frame, uint8 `[H, W, 3]`.
        flow: from the first to the second frame, `[H, W, 2]`, pixels.
        motion: the same of most of the picture.

    Returns:
        For the flow and for the motion: the mean over the channels, `[H, W]`, gray levels, and
        where it is known, bool `[H, W]`: where the vector stays within the frame.
    """
    (by_flow, known), (by_motion, seen) = (_match(image1, vectors) for vectors in (flow, motion))
    gain, level, counts = 1.0, 0.0, seen
    for _ in range(2):
        if counts.any():
            gain, level = _line(by_motion[counts], image0[counts])
            apart = _apart(image0, gain * by_motion + level)
            counts = seen & (apart <= _OUTLIERS * np.median(apart[seen]))
    return (
        (_apart(image0, gain * by_flow + level), known),
        (_apart(image0, gain * by_motion + level), seen),
    )


def _match(image: np.ndarray, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a flow finds in the frame that it goes to, and where it stays within it."""
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32) + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    colors = image.astype(np.float32)
    match = cv2.remap(colors, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return match, (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def _apart(image: np.ndarray, match: np.ndarray) -> np.ndarray:
    """The mean difference of the channels."""
    return np.abs(image - match).mean(axis=-1)


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and level of the line of least squares; slope 1 where x does not vary."""
    x, y = (values.astype(np.float64).ravel() for values in (x, y))
    spread = x.var()
    slope = np.mean((x - x.mean()) * (y - y.mean())) / spread if spread > 0 else 1.0
    return float(slope), float(y.mean() - slope * x.mean())
