"""Geometry of clips in numpy: resizing, mirroring and turning flow, labels, pictures and boxes.

A flow field is not a picture: mirroring it turns vectors round, and resizing it may or may not
change their lengths. Pixel centers are kept (half-pixel convention) wherever a size changes.

`Resize`, `Mirror` and `Turn` change all fields of a clip alike, each in its way; the fields are
those of `jaxmotion.data.sequence`. What is no such field stays as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

Size = tuple[int, int]  # height, width


_LABELS = ("labels", "instances", "void")
_PLANES = ("valid", *_LABELS)  # [T, H, W]


@dataclass(frozen=True)
class Resize:
    """Brings all fields of a clip to one size.

    Vectors keep their lengths, in pixels of the size that they had; labels take the nearest pixel,
    pictures the mean over the area; boxes are shares of the frame.

    Attributes:
        size: `(height, width)` of the result.
    """

    size: Size

    def __call__(self, clip: Mapping[str, Any]) -> dict[str, Any]:
        """Resizes a clip.

        Args:
            clip: arrays by field; flow of unknown vectors needs `valid` beside it.

        Returns:
            The same fields.
        """
        result = dict(clip)
        if "flow" in clip and "valid" in clip:
            result |= dict(
                zip(
                    ("flow", "valid"),
                    resize_flow_and_valid(clip["flow"], clip["valid"], self.size),
                    strict=True,
                )
            )
        elif "flow" in clip:
            result["flow"] = resize_flow(clip["flow"], self.size)
        for name in _LABELS:
            if name in clip:
                result[name] = resize_labels(clip[name], self.size)
        if "frames" in clip:
            frames = _resize(clip["frames"], self.size, cv2.INTER_AREA)
            result["frames"] = np.rint(frames).astype(np.uint8)
        return result


@dataclass(frozen=True)
class Mirror:
    """Mirrors a clip left to right; vectors are mirrored as well."""

    def __call__(self, clip: Mapping[str, Any]) -> dict[str, Any]:
        """Mirrors a clip.

        Args:
            clip: arrays by field.

        Returns:
            The same fields.
        """
        result = dict(clip)
        for name in ("flow", "frames"):
            if name in clip:
                result[name] = clip[name][..., ::-1, :]
        for name in _PLANES:
            if name in clip:
                result[name] = clip[name][..., ::-1]
        if "flow" in clip:
            result["flow"] = result["flow"] * np.array([-1, 1], np.float32)
        if "boxes" in clip:
            x, y, width, height = np.moveaxis(clip["boxes"], -1, 0)
            result["boxes"] = np.stack([1 - x - width, y, width, height], axis=-1)
        return result


@dataclass(frozen=True)
class Turn:
    """Turns a clip by a right angle, the upper edge to the left; vectors are turned as well."""

    def __call__(self, clip: Mapping[str, Any]) -> dict[str, Any]:
        """Turns a clip.

        Args:
            clip: arrays by field.

        Returns:
            The same fields, height and width exchanged.
        """
        result = dict(clip)
        for name in ("flow", "frames", *_PLANES):
            if name in clip:
                result[name] = np.rot90(clip[name], axes=(1, 2))
        if "flow" in clip:  # what went right goes up, what went down goes right
            u, v = np.moveaxis(result["flow"], -1, 0)
            result["flow"] = np.stack([v, -u], axis=-1)
        if "boxes" in clip:
            x, y, width, height = np.moveaxis(clip["boxes"], -1, 0)
            result["boxes"] = np.stack([y, 1 - x - width, height, width], axis=-1)
        return result


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
        rescale_vectors: whether to measure vectors in pixels of the new size, u times W'/W and v
            times H'/H. The published systems do not: 128 x 224 fields hold pixels of the original
            video.
        method: way to resize; "bilinear" samples four neighbors (as the published systems), "area"
            averages all pixels that go into one.

    Returns:
        The flow, float32 `[..., height, width, 2]`.
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
        valid: `[..., H, W]` in {0, 1}, where it is known.
        size: `(height, width)` of the result.

    Returns:
        flow float32 `[..., height, width, 2]`, zero where unknown, and valid float32 `[..., height,
        width]`, 1 where at least half of what a pixel is made of is known.
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
        masks: probabilities of the segments, `[..., h, w, K]`.
        size: `(height, width)` of the result.

    Returns:
        The probabilities, float32 `[..., height, width, K]`.
    """
    return _resize(masks, size, cv2.INTER_LINEAR)


def likeliest_labels(masks: np.ndarray, size: Size) -> np.ndarray:
    """The likeliest segment of every pixel at another size: the masks are resized before.

    Args:
        masks: probabilities of the segments, `[h, w, K]`.
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
    """Resizes labels: each pixel takes the label of the nearest pixel center.

    Args:
        labels: label of each pixel, integers `[..., H, W]`.
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
