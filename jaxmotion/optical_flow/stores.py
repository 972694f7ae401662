"""Places that keep the flow of a video while it is made, so that an interrupted run goes on.

A store knows a field by its name. `files` keeps one file a field; `archive` does too until all are
there, and then makes one `.npz` of them.
"""

import os
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import IO, Protocol

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, list_files, reading
from jaxmotion.optical_flow.fields import ARCHIVE, UNFINISHED
from jaxmotion.optical_flow.formats import (
    flo_size,
    read_flo,
    read_flow_npz,
    write_flo,
)
from jaxmotion.optical_flow.kitti import read_kitti_png, write_kitti_png
from jaxmotion.optical_flow.npz import open_npz


class Store(Protocol):
    """The fields of a video, in a folder."""

    def has(self, name: str, size: tuple[int, ...]) -> bool:
        """Whether a field is there, whole.

        Args:
            name: name of the field.
            size: `(height, width)` that it must have.
        """
        ...

    def read(self, name: str) -> np.ndarray:
        """A field that is there, float32 `[H, W, 2]`."""
        ...

    def write(self, name: str, flow: np.ndarray) -> None:
        """Keeps a field, whole or not at all.

        Args:
            name: name of the field.
            flow: vectors of the field, float32 `[H, W, 2]`, pixels.
        """
        ...

    def finish(self, names: Sequence[str]) -> None:
        """Ends with exactly these fields, in this order; `InputError` if there are others."""
        ...


class FlowFiles:
    """A file a field, `.flo` or KITTI's `.png`."""

    def __init__(self, folder: Path, suffix: str):
        """Names the place of the fields.

        Args:
            folder: folder of the files.
            suffix: suffix of each file, ".flo" or ".png".
        """
        self.folder, self.suffix = folder, suffix

    def path(self, name: str) -> Path:
        """The file of a field."""
        return self.folder / f"{name}{self.suffix}"

    def has(self, name: str, size: tuple[int, ...]) -> bool:
        """Tells whether a field is there, as `Store.has` does."""
        try:
            if self.suffix == ".flo":
                return flo_size(self.path(name)) == size
            return read_kitti_png(self.path(name))[1].shape == size
        except InputError:
            return False

    def read(self, name: str) -> np.ndarray:
        """Reads a field, as `Store.read` does."""
        path = self.path(name)
        return read_flo(path) if self.suffix == ".flo" else read_kitti_png(path)[0]

    def write(self, name: str, flow: np.ndarray) -> None:
        """Keeps a field, as `Store.write` does."""
        (write_flo if self.suffix == ".flo" else write_kitti_png)(self.path(name), flow)

    def finish(self, names: Sequence[str]) -> None:
        """Ends with these fields, as `Store.finish` does."""
        expected = {self.path(name).name for name in names}
        strangers = {path.name for path in list_files(self.folder, (self.suffix,))} - expected
        if strangers:
            raise InputError(
                f"{self.folder / min(strangers)}: of no frame of this video, expected only its own"
            )


class FlowArchive:
    """One `flow.npz` for all: "flow" `[T, H, W, 2]` and "names" `[T]`."""

    def __init__(self, folder: Path):
        """Opens the archive in `folder`; the fields of an unfinished one lie in a folder inside."""
        self.path, self.unfinished = folder / ARCHIVE, folder / UNFINISHED
        self.parts = FlowFiles(self.unfinished, ".flo")
        with reading(folder):
            self.is_finished = self.path.exists()
        self.names, self.size = _names_and_size(self.path) if self.is_finished else ([], ())

    def has(self, name: str, size: tuple[int, ...]) -> bool:
        """Tells whether a field is there, as `Store.has` does."""
        if self.is_finished:
            return name in self.names and self.size == size
        return self.parts.has(name, size)

    @cached_property
    def _fields(self) -> np.ndarray:
        return read_flow_npz(self.path)[0]

    def read(self, name: str) -> np.ndarray:
        """Reads a field, as `Store.read` does; the first read of a finished archive reads all."""
        return self._fields[self.names.index(name)] if self.is_finished else self.parts.read(name)

    def write(self, name: str, flow: np.ndarray) -> None:
        """Keeps a field, as `Store.write` does."""
        if self.is_finished:
            raise InputError(f"{self.path}: has no flow of frame {name}; of another video?")
        self.parts.write(name, flow)

    def finish(self, names: Sequence[str]) -> None:
        """Ends with these fields, as `Store.finish` does."""
        if self.is_finished:
            if self.names != list(names):
                raise InputError(f"{self.path}: of other frames than those of this video")
        else:
            self.parts.finish(names)
            _pack(self.path, names, self.parts.read)
            self.names, self.is_finished = list(names), True
        for name in names:
            self.parts.path(name).unlink(missing_ok=True)
        with suppress(OSError):  # not there, or something of somebody else's is left in it
            self.unfinished.rmdir()


def _pack(path: Path, names: Sequence[str], read: Callable[[str], np.ndarray]) -> None:
    """Writes the archive field by field: the whole video need not fit in memory."""
    shape = (len(names), *read(names[0]).shape)
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        with archive.open("flow.npy", "w", force_zip64=True) as file:
            _write_header(file, np.dtype("<f4"), shape)
            for name in names:
                file.write(np.ascontiguousarray(read(name), "<f4").tobytes())
        with archive.open("names.npy", "w") as file:
            np.lib.format.write_array(file, np.array(names))


def _write_header(file: IO[bytes], dtype: np.dtype, shape: tuple[int, ...]) -> None:
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _names_and_size(path: str | os.PathLike) -> tuple[list[str], tuple[int, ...]]:
    """Names and size that an archive holds, without its vectors."""
    with open_npz(path, "damaged, remove it or give another folder") as archive:
        shape, _ = archive.header("flow")
        return [str(name) for name in archive.read("names")], tuple(shape[1:3])


def open_store(folder: Path, kind: str) -> Store:
    """The store of a folder.

    Args:
        folder: folder of the flow, which exists.
        kind: kind of the store, one of `KINDS`.

    Returns:
        The store.

    Raises:
        InputError: a finished archive that is damaged.
    """
    return FlowArchive(folder) if kind == "npz" else FlowFiles(folder, f".{kind}")


KINDS = ("flo", "png", "npz")
