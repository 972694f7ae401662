"""Named tensors of a weight file, whatever its kind: `.pth`, `.npz` or `.safetensors`.

The kind is told by the content, not by the name. No kind can run code here.
"""

import json
import math
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.files import reading
from jaxmotion.optical_flow.raft.torch_files import is_torch_file, read_torch_file

_LARGEST_HEADER = 100_000_000  # the limit of the format's own library
_SAFETENSORS_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),  # the upper half of a float32
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads the named tensors of a file.

    Args:
      path: a `.pth` of PyTorch, an `.npz`, or a `.safetensors`.

    Returns:
      The tensors by name.

    Raises:
      InputError: missing, truncated, damaged, of another kind, or with something else in it.
    """
    with reading(path), open(path, "rb") as file:
        head = file.read(256)
    if is_torch_file(path, head):
        return read_torch_file(path)
    if head[:2] == b"PK":
        return _read_npz(path)
    if head[8:9] == b"{":
        return _read_safetensors(path)
    raise InputError(
        f"{path}: not a weight file, expected a .pth of PyTorch, an .npz or a .safetensors"
    )


def _read_npz(path: str | os.PathLike) -> dict[str, np.ndarray]:
    try:
        with reading(path), np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except InputError:
        raise
    except (ValueError, EOFError, TypeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: truncated or damaged, expected an .npz of arrays") from error


def _read_safetensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Length of the header, header in JSON, numbers: see the format's page at Hugging Face."""
    with reading(path):
        data = Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    try:
        if length > min(_LARGEST_HEADER, len(data) - 8):
            raise ValueError
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        numbers = memoryview(data)[8 + length :]
        return {name: _safetensor(entry, numbers) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: truncated or damaged, expected a .safetensors file") from error


def _safetensor(entry: dict, numbers: memoryview) -> np.ndarray:
    dtype, shape = _SAFETENSORS_DTYPES[entry["dtype"]], tuple(entry["shape"])
    start, end = entry["data_offsets"]
    if not 0 <= start <= end <= len(numbers) or end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError
    array = np.frombuffer(numbers[start:end], dtype).reshape(shape)
    return (array.astype(np.uint32) << 16).view(np.float32) if entry["dtype"] == "BF16" else array
