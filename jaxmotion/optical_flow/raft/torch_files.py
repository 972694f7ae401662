"""Tensors of a `.pth` file of PyTorch, without PyTorch and without running anything in it.

Such a file is a pickle, and a pickle is a program. The one here may do three things: make an
ordered dictionary, name the place of a tensor's numbers, and name the shape of a tensor. Whatever
else it asks for, by any of its instructions, is refused before it happens.

There are two kinds: a zip archive of a pickle and one member a storage (PyTorch 1.6 and later), and
a row of pickles followed by the storages (before; the official small network is one).
"""

import collections
import io
import math
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxmotion.errors import InputError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_DTYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("<u2"),  # the upper half of a float32
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class _Kind(NamedTuple):
    """A class of storages of PyTorch, by name."""

    name: str


class _Storage(NamedTuple):
    """The place of the numbers of a tensor."""

    kind: str
    key: str
    length: int


class _Tensor(NamedTuple):
    """A tensor, described."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def is_torch_file(path: str | os.PathLike, head: bytes) -> bool:
    """Tells by the content whether a file may be one of PyTorch.

    Args:
        path: file to read.
        head: first bytes of the file.

    Returns:
        True for a pickle, and for a zip archive that holds one.
    """
    if head[:1] == b"\x80":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        # One that was cut off has lost its table of contents, but begins with the pickle's name.
        return head[:4] == b"PK\x03\x04" and b"data.pkl" in head


def read_torch_file(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads the tensors of a state dictionary.

    Args:
        path: file written by `torch.save`.

    Returns:
        The tensors by name, as numpy arrays (bfloat16 as float32).

    Raises:
        InputError: truncated, damaged, or with anything but a dictionary of tensors in it.
    """
    try:
        with open(path, "rb") as file:
            legacy = file.read(1) == b"\x80"
        tensors, storages = (_read_legacy if legacy else _read_zip)(path)
        return {name: _array(tensor, storages) for name, tensor in _checked(tensors).items()}
    except _RefusedError as error:
        raise InputError(f"{path}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:
        # A damaged or malicious pickle can make the unpickler raise nearly anything.
        raise InputError(f"{path}: truncated or damaged, not a readable PyTorch file") from error


class _RefusedError(Exception):
    """A file that is not a dictionary of tensors, in words for the user."""


def _rebuild_tensor_v2(storage, offset, shape, strides, *_) -> _Tensor:
    """A stand-in for PyTorch's function of that name; gradients and hooks are left out."""
    return _Tensor(storage, offset, shape, strides)


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
}


class _Unpickler(pickle.Unpickler):
    """A pickle machine that knows ordered dictionaries and descriptions of tensors only."""

    def find_class(self, module: str, name: str, /) -> Any:
        """Resolves every name that a pickle can ask for."""
        if module == "torch" and name in _DTYPES:
            return _Kind(name)
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        raise _RefusedError(
            f"asks for {module}.{name}, expected a state dictionary of tensors only; not loaded"
        )

    def persistent_load(self, pid: Any, /) -> _Storage:
        """The reference to a storage: ("storage", kind, key, device, length[, view])."""
        word, kind, key, _, length, *view = pid
        if word != "storage" or not isinstance(kind, _Kind) or view not in ([], [None]):
            raise _RefusedError("refers to something that is no storage of a tensor")
        return _Storage(kind.name, str(key), int(length))


def _read_zip(path: str | os.PathLike) -> tuple[Any, dict[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
            raise _RefusedError("compressed members, which torch.save does not write")
        pickles = [name for name in members if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise _RefusedError("expected one pickle in the archive")
        folder = pickles[0].removesuffix("data.pkl")
        if members.get(f"{folder}byteorder") and archive.read(f"{folder}byteorder") != b"little":
            raise _RefusedError("written on a big-endian machine, expected little-endian")
        tensors = _Unpickler(io.BytesIO(archive.read(pickles[0]))).load()
        prefix = f"{folder}data/"
        storages = {
            name.removeprefix(prefix): archive.read(name)
            for name in members
            if name.startswith(prefix)
        }
    return tensors, storages


def _read_legacy(path: str | os.PathLike) -> tuple[Any, dict[str, bytes]]:
    with open(path, "rb") as file:
        magic, protocol, system = (_Unpickler(file).load() for _ in range(3))
        if (magic, protocol) != (_LEGACY_MAGIC, _LEGACY_PROTOCOL):
            raise _RefusedError("a pickle, but not one of PyTorch")
        if not system.get("little_endian"):
            raise _RefusedError("written on a big-endian machine, expected little-endian")
        tensors = _Unpickler(file).load()
        keys = _Unpickler(file).load()
        kinds = {tensor.storage.key: tensor.storage.kind for tensor in _checked(tensors).values()}
        storages = {}
        for key in keys:
            (length,) = struct.unpack("<q", file.read(8))
            expected = length * _DTYPES[kinds[key]].itemsize
            storages[key] = file.read(expected) if length >= 0 else b""
            if len(storages[key]) != expected:
                raise EOFError
    return tensors, storages


def _checked(tensors: Any) -> dict[str, _Tensor]:
    if not isinstance(tensors, dict) or not all(isinstance(name, str) for name in tensors):
        raise _RefusedError("expected a dictionary of tensors by name")
    for name, tensor in tensors.items():
        if not isinstance(tensor, _Tensor) or not isinstance(tensor.storage, _Storage):
            raise _RefusedError(f"{name!r} is no tensor, expected a state dictionary")
    return tensors


def _array(tensor: _Tensor, storages: dict[str, bytes]) -> np.ndarray:
    dtype = _DTYPES[tensor.storage.kind]
    numbers = np.frombuffer(storages[tensor.storage.key], dtype)
    shape = tuple(int(n) for n in tensor.shape)
    strides = tuple(int(n) for n in tensor.strides)
    last = tensor.offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if min((tensor.offset, *shape, *strides)) < 0 or math.prod(shape) > len(numbers):
        raise ValueError("a tensor larger than its storage")
    if len(numbers) != tensor.storage.length or (math.prod(shape) and last >= len(numbers)):
        raise ValueError("a storage shorter than announced")
    numbers = numbers[tensor.offset :]
    array = np.lib.stride_tricks.as_strided(
        numbers, shape, [s * dtype.itemsize for s in strides], writeable=False
    )
    if tensor.storage.kind == "BFloat16Storage":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.copy()
