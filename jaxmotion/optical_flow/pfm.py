"""Portable float maps (`.pfm`), the files of FlyingThings3D."""

import os
import re
from pathlib import Path

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.files import reading
from jaxmotion.optical_flow.arrays import check_finite

# "PF" (three channels) or "Pf" (one), width and height, and a scale whose sign is the byte order.
_HEADER = re.compile(rb"(P[Ff])\s+(\d{1,6})\s+(\d{1,6})\s+(-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s")


def read_pfm(path: str | os.PathLike) -> np.ndarray:
    """Reads a portable float map. The factor that the header may give is left to the caller.

    Args:
        path: file of the map, whose rows go from the bottom up.

    Returns:
        float32 `[H, W, 1]` or `[H, W, 3]`, the top row first.

    Raises:
        InputError: missing, not such a file, truncated or too long.

    References:
        Debevec, PFM portable float map image format, 2001.
    """
    with reading(path):
        data = Path(path).read_bytes()
    header = _HEADER.match(data)
    if header is None:
        raise InputError(f"{path}: not a .pfm file, expected a header of PF or Pf, size and scale")
    channels = 3 if header[1] == b"PF" else 1
    width, height, scale = int(header[2]), int(header[3]), float(header[4])
    if not (width and height and scale):
        raise InputError(f"{path}: {width} x {height} with a scale of {scale:g}, expected none 0")
    expected = header.end() + 4 * width * height * channels
    if len(data) != expected:
        fault = "truncated" if len(data) < expected else "too long"
        raise InputError(
            f"{path}: {fault}, {len(data)} bytes where {width} x {height} x {channels} take "
            f"{expected}"
        )
    values = np.frombuffer(data, "<f4" if scale < 0 else ">f4", offset=header.end())
    return values.reshape(height, width, channels)[::-1].astype(np.float32)


def read_pfm_flow(path: str | os.PathLike) -> np.ndarray:
    """Reads the flow of one pair of frames; the third channel of such a file means nothing.

    Args:
        path: file to read.

    Returns:
        float32 `[H, W, 2]`, pixels.

    Raises:
        InputError: missing, not such a file, truncated or too long; one channel, NaN or infinite.
    """
    values = read_pfm(path)
    if values.shape[-1] != 3:
        raise InputError(f"{path}: a .pfm of one channel, expected flow in three")
    flow = np.ascontiguousarray(values[..., :2])
    check_finite(path, flow)
    return flow
