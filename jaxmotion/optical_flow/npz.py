"""Reading of `.npz` archives that anyone may have written.

What a header claims is held against what the file has before memory is asked for. Nothing in such a
file can run.
"""

import contextlib
import math
import os
import threading
import zipfile
from collections.abc import Iterator
from typing import IO, cast

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.files import reading

MOST_INFLATED = 1032  # by deflate, bytes of one
_HEADERS = 4096  # of a member, which may hold no more than them

# NumPy parses headers as Python, and the parser of Python 3.11 counts wrongly where two threads
# are in it: a SystemError now and then.
_PARSING = threading.Lock()


class Npz:
    """An open archive.

    Attributes:
        names: names of its arrays, in the order of the file.
    """

    def __init__(self, archive: zipfile.ZipFile, length: int) -> None:
        """Takes an open zip archive.

        Args:
            archive: open archive.
            length: length of its file, in bytes.
        """
        self._archive, self._length = archive, length
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        self.names = list(self._members)

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and type of an array, without its numbers."""
        with self._archive.open(self._members[name]) as file:
            shape, _, dtype = self._read_header(name, file)
        return shape, dtype

    def checksum(self, name: str) -> tuple[int, int]:
        """Length and CRC-32 of an array with its header, as the archive notes them.

        They are the same however the archive was compressed, and reading holds the array to them.
        """
        member = self._members[name]
        return member.file_size, member.CRC

    def read(self, name: str) -> np.ndarray:
        """Reads an array by its name."""
        with self._archive.open(self._members[name]) as file:
            shape, by_columns, dtype = self._read_header(name, file)
            array = np.empty(math.prod(shape), dtype)
            into = cast(zipfile.ZipExtFile, file).readinto
            if array.nbytes and into(array.view(np.uint8).data) != array.nbytes:
                raise ValueError("ends early")
            return array.reshape(shape, order="F" if by_columns else "C")

    def _read_header(self, name: str, file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
        """Shape, whether columns come first, and type; the file is then at the numbers."""
        version = np.lib.format.read_magic(file)
        with _PARSING:
            if version == (1, 0):
                shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
            else:
                shape, by_columns, dtype = np.lib.format.read_array_header_2_0(file)
        if dtype.hasobject:
            raise ValueError("objects, which are programs")
        self._check(name, file.tell() + math.prod(shape) * dtype.itemsize)
        return shape, by_columns, dtype

    def _check(self, name: str, expected: int) -> None:
        """Refuses a member of another length than its header says, or than the file can hold."""
        member = self._members[name]
        possible = min(member.compress_size, self._length) * MOST_INFLATED + _HEADERS
        bounded = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if member.file_size != expected or (bounded and expected > possible):
            raise InputError(
                f"{self._archive.filename}: damaged, {name!r} claims {expected} bytes that are "
                "not there"
            )


@contextlib.contextmanager
def open_npz(path: str | os.PathLike, fault: str) -> Iterator[Npz]:
    """Opens an archive to read from.

    Args:
        path: file of the archive.
        fault: words of the message on a file that cannot be read, and on what was expected.

    Yields:
        The archive. What it raises in the block of the `with` becomes one line as well.

    Raises:
        InputError: missing, not an `.npz`, damaged, or larger than memory.
    """
    try:
        with reading(path), zipfile.ZipFile(path) as archive:
            yield Npz(archive, os.path.getsize(path))
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged archive makes zipfile and numpy raise nearly anything
        raise InputError(f"{path}: {fault}") from error
