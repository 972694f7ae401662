"""Geometry of clips in numpy: resizing, flipping and cropping flow, labels and masks.

A flow field is not a picture: mirroring it turns vectors round, and resizing it may or may not
change their lengths. Pixel centres are kept (half-pixel convention) wherever a size changes.
"""

from typing import Literal

import cv2
import numpy as np

Size = tuple[int, int]  # height, width


def resize_flow(
    flow: np.ndarray,
    size: Size,
    rescale_vectors: bool = False,
    method: Literal["bilinear", "area"] = "bilinear",
) -> np.ndarray:
    """Resizes flow in space.

    Args:
      flow: `[..., H, W, 2]`, pixels.
      size: `(height, width)` of the result.
      rescale_vectors: measure vectors in pixels of the new size, u times W'/W and v times H'/H. The
        published systems do not: 128 x 224 fields hold pixels of the original video.
      method: "bilinear" samples four neighbours (as the published systems), "area" averages all
        pixels that go into one.

    Returns:
      float32 `[..., height, width, 2]`.
    """
    height, width = flow.shape[-3:-1]
    resized = _resize(flow, size, cv2.INTER_AREA if method == "area" else cv2.INTER_LINEAR)
    if rescale_vectors:
        resized = resized * np.array([size[1] / width, size[0] / height], np.float32)
    return resized


def resize_flow_and_valid(
    flow: np.ndarray, valid: np.ndarray, size: Size
) -> tuple[np.ndarray, np.ndarray]:
    """Resizes flow with unknown pixels, of which nothing leaks into known ones.

    Args:
      flow: `[..., H, W, 2]`; what it holds at unknown pixels does not matter.
      valid: `[..., H, W]` in {0, 1}.
      size: `(height, width)` of the result.

    Returns:
      flow float32 `[..., height, width, 2]`, zero where unknown, and valid float32
      `[..., height, width]`, 1 where at least half of what a pixel is made of is known.
    """
    known = np.asarray(np.asarray(valid) > 0, np.float32)[..., None]
    if known.all():
        return resize_flow(flow, size), np.ones((*flow.shape[:-3], *size), np.float32)
    share = _resize(known, size, cv2.INTER_LINEAR)
    total = _resize(np.where(known > 0, flow, 0), size, cv2.INTER_LINEAR)
    kept = share >= 0.5
    return np.where(kept, total / np.where(kept, share, 1), 0), kept[..., 0].astype(np.float32)


def resize_masks(masks: np.ndarray, size: Size) -> np.ndarray:
    """Resizes the probabilities of segments, bilinearly; they still sum to 1.

    Args:
      masks: `[..., h, w, K]`.
      size: `(height, width)` of the result.

    Returns:
      float32 `[..., height, width, K]`.
    """
    return _resize(masks, size, cv2.INTER_LINEAR)


def likeliest_labels(masks: np.ndarray, size: Size) -> np.ndarray:
    """The likeliest segment of every pixel at another size: the masks are resized before.

    Args:
      masks: `[h, w, K]`, probabilities.
      size: `(height, width)` of the result.

    Returns:
      uint8 `[height, width]`; the first of segments that are equally likely.
    """
    # Plane by plane: half the time of an argmax over the last axis.
    labels, best = np.zeros(size, np.uint8), None
    for label in range(masks.shape[-1]):
        plane = resize_masks(masks[..., label : label + 1], size)[..., 0]
        if best is None:
            best = plane
        else:
            np.putmask(labels, plane > best, label)
            best = np.maximum(best, plane)
    return labels


def resize_labels(labels: np.ndarray, size: Size) -> np.ndarray:
    """Resizes labels: each pixel takes the label of the nearest pixel centre.

    Args:
      labels: integers `[..., H, W]`.
      size: `(height, width)` of the result.

    Returns:
      The same kind of integers, `[..., height, width]`.
    """
    height, width = labels.shape[-2:]
    rows = _nearest(height, size[0])
    columns = _nearest(width, size[1])
    return labels[..., rows[:, None], columns]


def _nearest(old: int, new: int) -> np.ndarray:
    return np.minimum(((np.arange(new) + 0.5) * (old / new)).astype(np.int64), old - 1)


def _resize(array: np.ndarray, size: Size, interpolation: int) -> np.ndarray:
    """Resizes `[..., H, W, C]` to `size`, channel by channel where OpenCV takes only four."""
    array = np.asarray(array, np.float32)
    *lead, height, width, channels = array.shape
    if (height, width) == tuple(size):
        return array
    result = np.empty((int(np.prod(lead)), *size, channels), np.float32)
    for frame, target in zip(array.reshape(-1, height, width, channels), result, strict=True):
        for start in range(0, channels, 4):
            part = cv2.resize(
                np.ascontiguousarray(frame[..., start : start + 4]),
                (size[1], size[0]),
                interpolation=interpolation,
            )
            target[..., start : start + 4] = part.reshape(*size, -1)
    return result.reshape(*lead, *size, channels)
