"""Flow of enlarged frames: for objects that are too small for an estimator."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.optical_flow.estimators import Estimator

LARGEST_SCALE = 4


@dataclass(frozen=True)
class Enlarged:
    """Flow of an estimator on enlarged frames, reduced to the size of the frames.

    Attributes:
        base: estimator of the flow of two frames.
        scale: factor by which both sides are enlarged; the time grows with its square.
    """

    base: Estimator
    scale: int

    def __post_init__(self):
        if not 1 < self.scale <= LARGEST_SCALE:
            raise InputError(f"scale {self.scale}: expected 1 to {LARGEST_SCALE}")

    @property
    def name(self) -> str:
        """Name of the estimator."""
        return self.base.name

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the estimator, and the scale."""
        return {**self.base.settings, "scale": self.scale}

    def __call__(self, image0: np.ndarray, image1: np.ndarray) -> np.ndarray:
        """Estimates the flow from `image0` to `image1`, both uint8 `[H, W, 3]`."""
        height, width = image0.shape[:2]
        large = (
            cv2.resize(image, None, fx=self.scale, fy=self.scale, interpolation=cv2.INTER_CUBIC)
            for image in (image0, image1)
        )
        flow = self.base(*large)
        reduced = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA)
        return reduced / np.float32(self.scale)


def enlarged(estimator: Estimator, scale: int) -> Estimator:
    """An estimator on frames enlarged by a factor; the estimator itself for the factor 1.

    Args:
        estimator: estimator of the flow of two frames.
        scale: factor, from 1.

    Raises:
        InputError: a factor below 1 or above `LARGEST_SCALE`.
    """
    return estimator if scale == 1 else Enlarged(estimator, scale)
