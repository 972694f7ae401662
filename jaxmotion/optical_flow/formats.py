"""Flow files: Middlebury `.flo`, `.npz` sequences, and a reader that goes by the suffix.

Flow is float32 `[H, W, 2]` or `[T, H, W, 2]` in pixels per frame, channel 0 to the right and
channel 1 down. Reading is strict: a file that is not exactly what its format says raises an
`InputError` that names the file, because a flow field that is silently wrong trains a network that
is silently wrong. What is unknown comes along (`known_vectors`). Writing is atomic.
"""

import os
import struct
from pathlib import Path
from typing import IO

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading
from jaxmotion.optical_flow.arrays import as_flow, as_valid, check_finite, known_flow
from jaxmotion.optical_flow.kitti import read_kitti_png
from jaxmotion.optical_flow.npz import Npz, open_npz

FLO_MAGIC = 202021.25  # reads "PIEH" as bytes: a check of the byte order too
_FLO_HEADER = struct.Struct("<fii")
_LARGEST_SIDE = 99_999  # as in the Middlebury reference reader
_NO_NPZ = "damaged or not an .npz file, expected one with the key 'flow'"


def flo_size(path: str | os.PathLike) -> tuple[int, int]:
    """Checks header and length of a `.flo` file without reading its vectors.

    Args:
        path: file to read.

    Returns:
        `(height, width)`.

    Raises:
        InputError: missing, wrong magic number, absurd size, truncated or too long.
    """
    with reading(path), open(path, "rb") as file:
        return _read_flo_header(path, file)


def read_flo(path: str | os.PathLike) -> np.ndarray:
    """Reads a Middlebury `.flo` file as it stands (unknown vectors keep their large values).

    Args:
        path: file to read.

    Returns:
        The flow, float32 `[H, W, 2]`.

    Raises:
        InputError: missing, wrong magic number, absurd size, truncated, too long, NaN or infinite.

    References:
        Baker et al., A database and evaluation methodology for optical flow, IJCV 2011.
    """
    with reading(path), open(path, "rb") as file:
        height, width = _read_flo_header(path, file)
        vectors = np.frombuffer(file.read(8 * height * width), "<f4")
        flow = vectors.reshape(height, width, 2).astype(np.float32)  # writable, our byte order
    check_finite(path, flow)
    return flow


def _read_flo_header(path: str | os.PathLike, file: IO[bytes]) -> tuple[int, int]:
    header, file_length = file.read(_FLO_HEADER.size), os.fstat(file.fileno()).st_size
    if len(header) < _FLO_HEADER.size:
        raise InputError(
            f"{path}: truncated, {len(header)} bytes where a .flo header of 12 was expected"
        )
    magic, width, height = _FLO_HEADER.unpack(header)
    if magic != FLO_MAGIC:
        raise InputError(f"{path}: not a .flo file, magic number {magic:g}, expected {FLO_MAGIC}")
    if not (1 <= width <= _LARGEST_SIDE and 1 <= height <= _LARGEST_SIDE):
        raise InputError(
            f"{path}: absurd size {width} x {height} (width x height), "
            f"expected 1 to {_LARGEST_SIDE} each"
        )
    expected = _FLO_HEADER.size + 8 * width * height
    if file_length != expected:
        fault = "truncated" if file_length < expected else "too long"
        raise InputError(
            f"{path}: {fault}, {file_length} bytes where {width} x {height} vectors take {expected}"
        )
    return height, width


def write_flo(path: str | os.PathLike, flow: np.ndarray) -> None:
    """Writes a Middlebury `.flo` file.

    Args:
        path: file to write.
        flow: vectors `[H, W, 2]`, in pixels, finite.

    Raises:
        InputError: wrong shape, not finite, or the file cannot be written.
    """
    flow = as_flow(path, flow, ndim=3)
    height, width, _ = flow.shape
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(_FLO_HEADER.pack(FLO_MAGIC, width, height))
        file.write(flow.astype("<f4").tobytes())


def read_flow_npz(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads a sequence from an `.npz` file with the key `flow` and, possibly, `valid`.

    Args:
        path: file to read.

    Returns:
        flow float16 or float32 `[T, H, W, 2]` as stored, and valid bool `[T, H, W]` or None where
        the file has none.

    Raises:
        InputError: missing, not an `.npz`, damaged, key absent, wrong shape or kind, or not finite
            where it is valid.
    """
    flow, valid = load_flow_npz(path)
    check_finite(path, flow, valid)
    return flow, valid


def load_flow_npz(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray | None]:
    """`read_flow_npz` without the check for NaN and infinite vectors."""
    with open_npz(path, _NO_NPZ) as archive:
        shape, dtype = _flow_header(path, archive)
        flow = archive.read("flow")
        valid = archive.read("valid") if "valid" in archive.names else None
    if valid is not None:
        valid = as_valid(f"{path}: 'valid'", valid, shape[:-1])
    precision = np.float16 if dtype.itemsize == 2 else np.float32
    return flow.astype(precision, copy=False), valid  # in the machine's byte order


def flow_npz_size(path: str | os.PathLike) -> tuple[int, int, int]:
    """Reads the header of an `.npz` of flow.

    Args:
        path: file to read.

    Returns:
        `(T, height, width)`.

    Raises:
        InputError: missing, not an `.npz`, damaged, key absent, or wrong shape or kind.
    """
    with open_npz(path, _NO_NPZ) as archive:
        shape, _ = _flow_header(path, archive)
    return shape[0], shape[1], shape[2]


def flow_npz_is_half(path: str | os.PathLike) -> bool:
    """Whether an `.npz` holds its flow in float16; the errors are those of `flow_npz_size`.

    Args:
        path: file to read the header of.
    """
    with open_npz(path, _NO_NPZ) as archive:
        _, dtype = _flow_header(path, archive)
    return dtype.itemsize == 2


def _flow_header(path: str | os.PathLike, archive: Npz) -> tuple[tuple[int, ...], np.dtype]:
    if "flow" not in archive.names:
        raise InputError(f"{path}: holds the keys {archive.names}, expected 'flow'")
    shape, dtype = archive.header("flow")
    if len(shape) != 4 or shape[-1] != 2 or 0 in shape:
        raise InputError(f"{path}: 'flow' has the shape {shape}, expected [T, H, W, 2]")
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise InputError(f"{path}: 'flow' is {dtype}, expected float16 or float32")
    return shape, dtype


def write_flow_npz(
    path: str | os.PathLike, flow: np.ndarray, valid: np.ndarray | None = None
) -> None:
    """Writes a sequence as a compressed `.npz` with the key `flow` (and `valid`).

    Args:
        path: file to write.
        flow: vectors, float16 or float32 `[T, H, W, 2]`, finite where valid; kept in their
            precision.
        valid: `[T, H, W]` in {0, 1}, where they are known; left out of the file when left out here.

    Raises:
        InputError: wrong shape, not finite, or the file cannot be written.
    """
    if valid is not None:
        valid = as_valid(f"{path}: valid", valid, np.shape(flow)[:-1])
    flow = as_flow(path, flow, 4, valid)
    if flow.dtype != np.float16:
        flow = flow.astype(np.float32)
    parts = {"flow": flow} if valid is None else {"flow": flow, "valid": valid}
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **parts)


def read_flow_and_valid(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Reads the flow of one pair of frames, `.flo` or KITTI `.png` by the suffix.

    Args:
        path: file to read.

    Returns:
        flow float32 `[H, W, 2]`, zero where unknown, and bool `[H, W]`, where it is known.

    Raises:
        InputError: another suffix, or a file that is not what its suffix says.
    """
    match Path(path).suffix.lower():
        case ".flo":
            return known_flow(path, read_flo(path))
        case ".png":
            return known_flow(path, *read_kitti_png(path))
    raise InputError(f"{path}: unknown kind of flow file, expected .flo, .png (KITTI) or .npz")
