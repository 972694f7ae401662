"""KITTI's pictures of flow: PNG of three channels of 16 bits."""

import os
from pathlib import Path

import cv2
import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading
from jaxmotion.optical_flow.arrays import as_flow

_STEP = 64.0  # 1/64 pixel
_ZERO = 2**15


def read_kitti_png(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Reads a KITTI flow picture: 16-bit RGB, `(value - 2**15) / 64` for u and v, B = known.

    Args:
      path: the file.

    Returns:
      flow float32 `[H, W, 2]`, zero where unknown, and valid bool `[H, W]`.

    Raises:
      InputError: missing, not a picture, or not three channels of 16 bits.

    References:
      Menze and Geiger, Object scene flow for autonomous vehicles, CVPR 2015 (development kit).
    """
    with reading(path):
        data = np.frombuffer(Path(path).read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if image is None:
        raise InputError(f"{path}: not a readable picture, expected a KITTI flow PNG")
    if image.dtype != np.uint16 or image.ndim != 3 or image.shape[-1] != 3:
        raise InputError(
            f"{path}: a picture of shape {image.shape} and {8 * image.dtype.itemsize} bits, "
            "expected a KITTI flow PNG (three channels of 16 bits)"
        )
    valid = image[..., 0] > 0  # OpenCV gives blue first: valid, v, u
    flow = (image[..., :0:-1].astype(np.float32) - _ZERO) / _STEP
    return np.where(valid[..., None], flow, np.float32(0)), valid


def write_kitti_png(
    path: str | os.PathLike, flow: np.ndarray, valid: np.ndarray | None = None
) -> None:
    """Writes a KITTI flow picture; vectors are rounded to 1/64 pixel.

    Args:
      path: where to.
      flow: `[H, W, 2]`, components in [-512, 512) where valid.
      valid: bool `[H, W]`; all known when left out.

    Raises:
      InputError: wrong shape, not finite, a vector out of range, or the file cannot be written.
    """
    flow = as_flow(path, flow, ndim=3)
    valid = np.ones(flow.shape[:2], bool) if valid is None else np.asarray(valid) > 0
    if valid.shape != flow.shape[:2]:
        raise InputError(f"{path}: valid of shape {valid.shape}, expected {flow.shape[:2]}")
    steps = np.rint(flow * _STEP) + _ZERO
    steps[~valid] = 0
    if steps.min() < 0 or steps.max() >= 2**16:
        raise InputError(f"{path}: a KITTI flow PNG holds components of -512 to 512 pixels only")
    image = np.stack([valid, steps[..., 1], steps[..., 0]], axis=-1).astype(np.uint16)
    with atomic_path(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", image)[1].tobytes())
