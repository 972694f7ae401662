"""Outlines of segments that follow the frame: flow is blurred at the borders of objects."""

import math

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from jaxmotion.data.transforms import likeliest_labels
from jaxmotion.optical_flow.refinement import MATCHED_PIXELS
from jaxmotion.optical_flow.smoothing import spread

# In cells of the masks: how far an outline may be off, from where colors are told, and how far
# a probability spreads over a surface.
_OFF, _NEAR, _REACH = 2.0, 10.0, 4.5

# Place makes a segment e^-3 as likely as another at the least, and color a color of it. Color
# counts less than place.
_LEAST_LIKELY, _COLOR = -3.0, 0.3

# Colors are counted in 32³ bins, blurred by 0.7 of a bin, and no share of one is below 10^-5.
_BINS, _BLUR, _LEAST = 32, 0.7, 1e-5


def sharpen(masks: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Lets the outlines of segments follow the edges and colors of the frame.

    Flow tells where things move, at the size of the network and blurred where one thing hides
    another. So each pixel is looked at again: by its distance to the segments around, by how often
    they have its color close to their outlines, and by the surface that it lies on (`spread`). What
    is farther than a few cells of the masks from an outline stays what it was.

    Args:
        masks: probabilities of the segments, `[h, w, K]`.
        frame: frame of the video, uint8 `[H, W, 3]`, of any size.

    Returns:
        float32 `[H', W', K]`, probabilities that sum to 1, at the size of the frame, or, of a
        frame of more than 854×480 pixels, reduced to about as many.
    """
    height, width = frame.shape[:2]
    scale = min(1.0, math.sqrt(MATCHED_PIXELS / (height * width)))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    if size != (height, width):
        frame = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
    labels = likeliest_labels(masks, size)
    cell = math.sqrt(size[0] * size[1] / (masks.shape[0] * masks.shape[1]))
    found = np.equal(labels[..., None], np.arange(masks.shape[-1])).astype(np.float32)
    # A static camera and one object are the usual case: all the rest of the frame costs nothing.
    box = _around_outlines(labels, math.ceil((_NEAR + _REACH) * cell))
    if box is not None:
        present, number = np.unique(labels[box], return_inverse=True)
        number = number.reshape(labels[box].shape)
        chances = _chances(number, len(present), frame[box], cell)
        # All sum to 1, and do so after they have spread.
        spread_out = spread(chances[..., 1:], frame[box], (_REACH * cell) ** 2)
        found[(*box, present[0])] = 1 - spread_out.sum(axis=-1)
        for channel, label in enumerate(present[1:]):
            found[(*box, label)] = spread_out[..., channel]
    return found


def _around_outlines(labels: np.ndarray, margin: int) -> tuple[slice, slice] | None:
    """The box of all that is within a margin of where labels change; None where none does."""
    box = []
    for axis in (0, 1):
        changes = np.diff(labels, axis=axis) != 0, np.diff(labels, axis=1 - axis) != 0
        places = [np.flatnonzero(change.any(axis=1 - axis)) for change in changes]
        places = np.concatenate(places)
        if not places.size:
            return None
        box.append(slice(max(int(places.min()) - margin, 0), int(places.max()) + 2 + margin))
    return box[0], box[1]


def _chances(labels: np.ndarray, count: int, frame: np.ndarray, cell: float) -> np.ndarray:
    """Probabilities `[H, W, count]` of the labels by place and color."""
    away = [
        cv2.distanceTransform((labels != k).astype(np.uint8), cv2.DIST_L2, 3) for k in range(count)
    ]
    nearest = np.full(labels.shape, np.inf, np.float32)  # of the other labels
    for distance in away:
        np.minimum(nearest, distance, out=nearest, where=distance > 0)
    likely = _likelihoods(frame, labels, nearest < _NEAR * cell, count)
    planes = [
        np.exp(np.maximum(distance / (-_OFF * cell), _LEAST_LIKELY) + _COLOR * of_color)
        for distance, of_color in zip(away, np.moveaxis(likely, -1, 0), strict=True)
    ]
    chances = np.stack(planes, axis=-1)
    return chances / chances.sum(axis=-1, keepdims=True)


def _likelihoods(
    frame: np.ndarray, labels: np.ndarray, counted: np.ndarray, count: int
) -> np.ndarray:
    """Logarithms `[H, W, count]` of how often the counted pixels of each label have a color.

    That of the likeliest label is 0.
    """
    bins = (cv2.cvtColor(frame, cv2.COLOR_RGB2LAB) // (256 // _BINS)).astype(np.int64)
    color = (bins[..., 0] * _BINS + bins[..., 1]) * _BINS + bins[..., 2]
    colors = _BINS**3
    shares = np.bincount((labels * colors + color)[counted], minlength=count * colors)
    shares = shares.reshape(count, _BINS, _BINS, _BINS).astype(np.float32)
    shares = gaussian_filter(shares, (0, _BLUR, _BLUR, _BLUR)).reshape(count, colors)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    likely = np.log(shares + np.float32(_LEAST))
    return np.maximum(likely - likely.max(axis=0), _LEAST_LIKELY).T[color]
