"""KITTI's pictures of flow: PNG of three channels of 16 bits."""

import os
import struct
from pathlib import Path

import cv2
import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading
from jaxmotion.optical_flow.arrays import as_flow, as_valid
from jaxmotion.optical_flow.npz import MOST_INFLATED

_STEP = 64.0  # 1/64 pixel
_ZERO = 2**15
_START = struct.Struct(">8sI4sII")  # signature, length and name of the first chunk, width, height
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEEP_COLORS = bytes((16, 2))  # bits a channel, and the code of three channels


def kitti_size(path: str | os.PathLike) -> tuple[int, int]:
    """Reads the header of a KITTI flow picture.

    Args:
        path: file to read.

    Returns:
        `(height, width)`.

    Raises:
        InputError: missing, not a PNG of three channels of 16 bits, or an absurd size.
    """
    with reading(path), open(path, "rb") as file:
        start = file.read(_START.size + len(_DEEP_COLORS))
        length = os.fstat(file.fileno()).st_size
    height, width = _check_start(path, start, length)
    if start[_START.size :] != _DEEP_COLORS:
        raise InputError(f"{path}: not of three channels of 16 bits, expected a KITTI flow PNG")
    return height, width


def read_kitti_png(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Reads a KITTI flow picture: 16-bit RGB, `(value - 2**15) / 64` for u and v, B = known.

    Args:
        path: file to read.

    Returns:
        flow float32 `[H, W, 2]`, zero where unknown, and valid bool `[H, W]`.

    Raises:
        InputError: missing, not a picture, or not three channels of 16 bits.

    References:
        Menze and Geiger, Object scene flow for autonomous vehicles, CVPR 2015 (development kit).
    """
    with reading(path):
        data = Path(path).read_bytes()
        _check_start(path, data, len(data))
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            image = None
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


def _check_start(path: str | os.PathLike, data: bytes, length: int) -> tuple[int, int]:
    """Height and width; refuses another kind of picture, and rows that the file cannot hold."""
    signature, _, _, width, height = _START.unpack(data[: _START.size].ljust(_START.size, b"\0"))
    if signature != _SIGNATURE:
        raise InputError(f"{path}: not a readable picture, expected a KITTI flow PNG")
    if width * height > 8 * MOST_INFLATED * length:  # a pixel has one bit at least
        raise InputError(
            f"{path}: absurd size {width} x {height} (width x height), expected one that "
            f"{length} bytes can hold"
        )
    return height, width


def write_kitti_png(
    path: str | os.PathLike, flow: np.ndarray, valid: np.ndarray | None = None
) -> None:
    """Writes a KITTI flow picture; vectors are rounded to 1/64 pixel.

    Args:
        path: file to write.
        flow: vectors `[H, W, 2]`, finite and with components in [-512, 512) where valid.
        valid: `[H, W]` in {0, 1}, where they are known; all known when left out.

    Raises:
        InputError: wrong shape, not finite, a vector out of range, or the file cannot be written.
    """
    size = np.shape(flow)[:2]
    valid = np.ones(size, bool) if valid is None else as_valid(f"{path}: valid", valid, size)
    flow = as_flow(path, flow, 3, valid)
    steps = np.where(valid[..., None], np.rint(flow * _STEP) + _ZERO, 0)
    if steps.min() < 0 or steps.max() >= 2**16:
        raise InputError(f"{path}: a KITTI flow PNG holds components of -512 to 512 pixels only")
    image = np.stack([valid, steps[..., 1], steps[..., 0]], axis=-1).astype(np.uint16)
    with atomic_path(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", image)[1].tobytes())
