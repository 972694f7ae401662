"""Flow files: Middlebury `.flo`, `.npz` sequences, and whatever a name stands for.

Flow is float32 `[H, W, 2]` or `[T, H, W, 2]` in pixels per frame, channel 0 to the right and
channel 1 down. Reading is strict: a file that is not exactly what its format says raises an
`InputError` that names the file, because a flow field that is silently wrong trains a network that
is silently wrong. Writing is atomic.
"""

import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, list_files, numbered, reading
from jaxmotion.optical_flow.arrays import as_flow, check_finite
from jaxmotion.optical_flow.kitti import read_kitti_png

FLO_MAGIC = 202021.25  # reads "PIEH" as bytes: a check of the byte order too
UNKNOWN_FLOW = 1e9  # Middlebury: a vector with a component above this is unknown
_FLO_HEADER = struct.Struct("<fii")
_LARGEST_SIDE = 99_999  # as in the Middlebury reference reader


def known_vectors(flow: np.ndarray) -> np.ndarray:
    """Tells which vectors are known, by the Middlebury convention (a component above 1e9 is not).

    Args:
      flow: `[..., H, W, 2]`.

    Returns:
      bool `[..., H, W]`.
    """
    limit = min(UNKNOWN_FLOW, float(np.finfo(flow.dtype).max))  # float16 ends at 65504
    return np.asarray((np.abs(flow) <= flow.dtype.type(limit)).all(axis=-1))


def flo_size(path: str | os.PathLike) -> tuple[int, int]:
    """Checks header and length of a `.flo` file without reading its vectors.

    Args:
      path: the file.

    Returns:
      `(height, width)`.

    Raises:
      InputError: missing, wrong magic number, absurd size, truncated or too long.
    """
    with reading(path), open(path, "rb") as file:
        header = file.read(_FLO_HEADER.size)
        length = os.fstat(file.fileno()).st_size
    return _check_flo_header(path, header, length)


def read_flo(path: str | os.PathLike) -> np.ndarray:
    """Reads a Middlebury `.flo` file as it stands (unknown vectors keep their large values).

    Args:
      path: the file.

    Returns:
      float32 `[H, W, 2]`.

    Raises:
      InputError: missing, wrong magic number, absurd size, truncated, too long, NaN or infinite.

    References:
      Baker et al., A database and evaluation methodology for optical flow, IJCV 2011.
    """
    with reading(path):
        data = Path(path).read_bytes()
    height, width = _check_flo_header(path, data[: _FLO_HEADER.size], len(data))
    flow = np.frombuffer(data, "<f4", offset=_FLO_HEADER.size).reshape(height, width, 2)
    flow = flow.astype(np.float32)  # a writable copy, in the machine's byte order
    check_finite(path, flow)
    return flow


def _check_flo_header(path: str | os.PathLike, header: bytes, file_length: int) -> tuple[int, int]:
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
      path: where to.
      flow: `[H, W, 2]`, finite.

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
      path: the file.

    Returns:
      flow float16 or float32 `[T, H, W, 2]` as stored, and valid bool `[T, H, W]` or None where the
      file has none.

    Raises:
      InputError: missing, not an `.npz`, damaged, key absent, wrong shape or kind, not finite.
    """
    flow, valid = load_flow_npz(path)
    check_finite(path, flow)
    return flow, valid


def load_flow_npz(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray | None]:
    """`read_flow_npz` without the check for NaN and infinite vectors."""
    try:
        with reading(path), np.load(path, allow_pickle=False) as archive:  # of an .npy: TypeError
            keys = archive.files
            flow = archive["flow"] if "flow" in keys else None
            valid = archive["valid"] > 0 if "valid" in keys else None
    except InputError:
        raise
    except (ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: damaged or not an .npz file, expected one with the key 'flow'"
        ) from error
    if flow is None:
        raise InputError(f"{path}: holds the keys {keys}, expected 'flow'")
    if flow.ndim != 4 or flow.shape[-1] != 2 or 0 in flow.shape:
        raise InputError(f"{path}: 'flow' has the shape {flow.shape}, expected [T, H, W, 2]")
    if flow.dtype == np.float64:
        flow = flow.astype(np.float32)
    if flow.dtype not in (np.float16, np.float32):
        raise InputError(f"{path}: 'flow' is {flow.dtype}, expected float16 or float32")
    if valid is not None and valid.shape != flow.shape[:-1]:
        raise InputError(f"{path}: 'valid' has the shape {valid.shape}, expected {flow.shape[:-1]}")
    return flow, valid


def write_flow_npz(
    path: str | os.PathLike, flow: np.ndarray, valid: np.ndarray | None = None
) -> None:
    """Writes a sequence as a compressed `.npz` with the key `flow` (and `valid`).

    Args:
      path: where to.
      flow: float16 or float32 `[T, H, W, 2]`, finite; kept in its precision.
      valid: `[T, H, W]`; left out of the file when left out here.

    Raises:
      InputError: wrong shape, not finite, or the file cannot be written.
    """
    flow = as_flow(path, flow, ndim=4)
    if flow.dtype != np.float16:
        flow = flow.astype(np.float32)
    if valid is not None and np.shape(valid) != flow.shape[:-1]:
        raise InputError(f"{path}: valid of shape {np.shape(valid)}, expected {flow.shape[:-1]}")
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        if valid is None:
            np.savez_compressed(file, flow=flow)
        else:
            np.savez_compressed(file, flow=flow, valid=np.asarray(valid) > 0)


def read_flow(path: str | os.PathLike) -> np.ndarray:
    """Reads the flow of one pair of frames, `.flo` or KITTI `.png` by the suffix.

    Args:
      path: the file.

    Returns:
      float32 `[H, W, 2]`, zero where unknown (`read_flow_and_valid` tells where that is).

    Raises:
      InputError: another suffix, or a file that is not what its suffix says.
    """
    return read_flow_and_valid(path)[0]


def read_flow_and_valid(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """`read_flow` with the known pixels: flow `[H, W, 2]` and valid bool `[H, W]`."""
    suffix = Path(path).suffix.lower()
    if suffix == ".flo":
        flow = read_flo(path)
        valid = known_vectors(flow)
        return np.where(valid[..., None], flow, np.float32(0)), valid
    if suffix == ".png":
        return read_kitti_png(path)
    raise InputError(f"{path}: unknown kind of flow file, expected .flo or .png (KITTI)")


def read_flow_sequence(path: str | os.PathLike) -> np.ndarray:
    """Reads the flow of a whole video.

    Args:
      path: an `.npz` file, a folder of numbered `.flo` files, or a single `.flo` file.

    Returns:
      float32 `[T, H, W, 2]`, zero where unknown.

    Raises:
      InputError: nothing there, a missing frame, files of different sizes, or a bad file.
    """
    path = Path(path)
    with reading(path):
        is_file = path.is_file()
    if is_file and path.suffix.lower() == ".npz":
        flow, valid = read_flow_npz(path)
        known = known_vectors(flow) if valid is None else valid & known_vectors(flow)
        return np.where(known[..., None], flow, 0).astype(np.float32)
    if is_file:
        return read_flow(path)[None]
    files = flo_files(path)
    first = flo_size(files[0])
    for file in files[1:]:
        size = flo_size(file)
        if size != first:
            raise InputError(
                f"{file}: {size[1]} x {size[0]}, expected {first[1]} x {first[0]} "
                f"as {files[0].name}"
            )
    return np.stack([read_flow(file) for file in files])


def flo_files(folder: str | os.PathLike) -> list[Path]:
    """Lists the `.flo` files of a folder in the order of their numbers.

    Args:
      folder: one sequence.

    Returns:
      The paths, at least one.

    Raises:
      InputError: no such folder, no `.flo` file in it, or a gap in the numbering.
    """
    folder = Path(folder)
    files = list_files(folder, (".flo",))
    if not files:
        raise InputError(f"{folder}: no .flo file in this folder, expected one per pair of frames")
    files, missing = numbered(files)
    if missing:
        raise InputError(f"{min(missing.values())}: missing frame in a sequence of {len(files)}")
    return files
