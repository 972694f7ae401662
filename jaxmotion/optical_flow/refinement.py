"""Better flow from any estimator, without weights: what is certain is kept, the rest filled in.

The flow and the one back tell which vectors are certain. From these the others are filled in, over
surfaces and not across their borders, which are taken to be where the frame has edges.
"""

import math
import os
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from jaxmotion.motion import frame_motion
from jaxmotion.optical_flow.enlarged import Enlarged, enlarged
from jaxmotion.optical_flow.estimators import DIS, Estimator, make_estimator
from jaxmotion.optical_flow.planar import Planar
from jaxmotion.optical_flow.smoothing import smooth

Size = tuple[int, int]  # height, width

# How strong the smoothing is where the flow shall become masks, be flow, or show small objects.
MASK_STRENGTH, FLOW_STRENGTH, SMALL_STRENGTH = 3000.0, 100.0, 500.0

# A flow and the one back differ by chance where |f + b|² is about 0.05 (|f|² + |b|²) + 0.5, and the
# colors of a match by 20 gray levels. Nothing is less certain than 0.0001, so that there is an
# answer where nothing is certain.
_RELATIVE, _ABSOLUTE, _GRAY_LEVELS, _LEAST = 0.05, 0.5, 20.0, 1e-4

_MEAN_OF_COLORS = np.full((1, 3), 1 / 3, np.float32)

# Calls beside each other; each holds some 50 MB.
_MOST_CALLS = 16

# What the constants above were measured on.
MATCHED_PIXELS = 480 * 854


@dataclass(frozen=True)
class Refined:
    """Flow of an estimator, refined: certain vectors spread along surfaces that the frame shows.

    The defaults are for masks, where flow has to be right in the large: with a `size` below that of
    the frames it is smoothed there, at a fraction of the cost. As flow it is then too smooth.

    Attributes:
        base: estimator of the flow and the flow back.
        strength: strength of the smoothing, λ of `smooth`.
        size: rows and columns of the result, where the frames have more; None for those of the
            frames. Vectors are pixels of the frames in any case.
        matched: number of pixels that frames with more are reduced to about, before they are
            matched; they are not where there is no `size`.
    """

    base: Estimator = field(default_factory=lambda: DIS("medium"))
    strength: float = MASK_STRENGTH
    size: Size | None = None
    matched: int = MATCHED_PIXELS

    @property
    def name(self) -> str:
        """Name of the estimator that is refined."""
        return self.base.name

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the estimator, and under "refined" strength and size.

        Also the number of matched pixels, where it is not the usual one.
        """
        size = None if self.size is None else list(self.size)
        refined: dict[str, Any] = {"strength": self.strength, "size": size}
        if self.matched != MATCHED_PIXELS:
            refined["matched"] = self.matched
        return {**self.base.settings, "refined": refined}

    def at(self, size: Size) -> "Refined":
        """This estimator with results of another size, `(rows, columns)`."""
        return replace(self, size=size)

    def __call__(self, image0: np.ndarray, image1: np.ndarray) -> np.ndarray:
        """Estimates the flow from `image0` to `image1`, both uint8 `[H, W, 3]`."""
        height, width = image0.shape[:2]
        size = (height, width)
        if self.size is not None:
            size = (min(self.size[0], height), min(self.size[1], width))
            scale = min(1.0, math.sqrt(self.matched / (height * width)))
            shrunk = (max(size[0], round(height * scale)), max(size[1], round(width * scale)))
            image0, image1 = _shrink(image0, shrunk), _shrink(image1, shrunk)
        flow, backward = self.base(image0, image1), self.base(image1, image0)
        certain = confidence(image0, image1, flow, backward)
        # A copy: what a network gives may not be written to.
        flow = (flow * (width / flow.shape[1], height / flow.shape[0])).astype(np.float32)
        weights = _shrink(certain, size)
        flow = _shrink(certain[..., None] * flow, size) / weights[..., None]
        motion = np.asarray(frame_motion(flow, weights))
        return motion + smooth(flow - motion, weights, _shrink(image0, size), self.strength)


def estimator_for_masks(name: str, scale: int = 1, **settings: Any) -> Estimator:
    """Makes an estimator of `ESTIMATORS` as it serves masks best.

    DIS is refined. SoFlow, which is for views from far above, is refined less, and is over a plane
    (`Planar`). Others are as they are.

    Args:
        name: name of the estimator, as `make_estimator` takes it.
        scale: factor by which frames are enlarged for it.
        **settings: settings of the estimator, as `make_estimator` takes them; without a preset DIS
            takes "medium", which refined is as good as "fine" at a third of the time.

    Returns:
        The estimator.

    Raises:
        InputError: an unknown name, a setting that the estimator does not have, or a bad one.
    """
    if name == "soflow":
        base = enlarged(make_estimator(name, **settings), scale)
        return Planar(Refined(base, SMALL_STRENGTH))
    if name != "dis":
        return enlarged(make_estimator(name, **settings), scale)
    return Refined(enlarged(make_estimator(name, **{"preset": "medium", **settings}), scale))


def concurrent_calls(estimator: Estimator) -> int:
    """Number of calls of an estimator that together keep a machine busy.

    Args:
        estimator: estimator of the flow of two frames.

    Returns:
        As many as there are cores for DIS, refined or not, which works on one; else 1.
    """
    base = estimator
    while isinstance(base, Refined | Enlarged | Planar):
        base = base.base
    return min(_MOST_CALLS, os.cpu_count() or 1) if isinstance(base, DIS) else 1


def confidence(
    image0: np.ndarray, image1: np.ndarray, flow: np.ndarray, backward: np.ndarray
) -> np.ndarray:
    """Certainty of each vector, by the flow back and by the colors that it brings together.

    Args:
        image0: first frame, uint8 `[H, W, 3]`.
        image1: frame that the flow goes to, uint8 `[H, W, 3]`.
        flow: flow from `image0` to `image1`, float32 `[H, W, 2]`, pixels.
        backward: flow from `image1` to `image0`, float32 `[H, W, 2]`, pixels.

    Returns:
        float32 `[H, W]`, from 0.0001 to about 1; 0.0001 where the match lies outside of `image1`.
    """
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32) + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    # In steps of 1/32 pixel, unlike `quality.warp`, at a tenth of its time; that is exact enough
    # to tell good from bad.
    back = cv2.remap(backward, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    match = cv2.remap(image1, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    tolerance = _RELATIVE * (_squared(flow) + _squared(back)) + _ABSOLUTE
    colors = cv2.transform(cv2.absdiff(image0, match).astype(np.float32), _MEAN_OF_COLORS)
    agreement = np.exp(-_squared(flow + back) / tolerance - colors / _GRAY_LEVELS)
    return np.where(inside, agreement, 0) + np.float32(_LEAST)


def _squared(vectors: np.ndarray) -> np.ndarray:
    """Squared lengths of `[H, W, 2]`; a sum over its last axis takes NumPy five times as long."""
    return vectors[..., 0] ** 2 + vectors[..., 1] ** 2


def _shrink(picture: np.ndarray, size: Size) -> np.ndarray:
    """Means over areas: `[H, W]` or `[H, W, C]` to a size that is no larger."""
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
