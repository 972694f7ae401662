"""Files: nothing half-written under its final name, one clear line where reading fails, and the
order and the gaps of numbered series.
"""

import contextlib
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jaxmotion.errors import InputError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a temporary path beside `path`; moves it there when the block ends without error.

    Missing parent folders are made. After an error, or an interrupt, the temporary file is removed
    and whatever stood at `path` before is untouched. The temporary name keeps the suffix, because
    encoders choose the format by it.

    Args:
      path: where the finished file goes.

    Yields:
      The path to write to.

    Raises:
      InputError: the file cannot be written there (folder not writable, disk full, ...).
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _to_disk(temporary)  # or a power cut could leave an empty file under the final name
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _to_disk(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def read_error(path: str | os.PathLike, error: OSError) -> InputError:
    """The one line for a file or folder that the system does not let us read.

    Args:
      path: the file or folder.
      error: what the system said.

    Returns:
      The error to raise, naming the path and the reason ("No such file or directory", ...).
    """
    return InputError(f"{path}: cannot be read ({error.strerror or error})")


@contextlib.contextmanager
def reading(path: str | os.PathLike) -> Iterator[None]:
    """Turns what the system says when a file or folder cannot be read into our one line.

    Args:
      path: what is looked at; the error names the very file where the system tells it.

    Raises:
      InputError: in the place of an `OSError`, and of a `MemoryError`.
    """
    try:
        yield
    except OSError as error:
        raise read_error(error.filename or path, error) from error
    except MemoryError as error:
        raise InputError(f"{path}: cannot be read (larger than the free memory)") from error


def list_files(folder: str | os.PathLike, suffixes: Sequence[str]) -> list[Path]:
    """The files of a folder with one of the suffixes, without hidden and temporary ones.

    Args:
      folder: the folder.
      suffixes: in lower case, with the dot; a file may have them in capitals.

    Returns:
      The paths, in alphabetical order.

    Raises:
      InputError: no such folder, or one that cannot be read.
    """
    with reading(folder):
        return sorted(
            path
            for path in Path(folder).iterdir()
            if path.suffix.lower() in suffixes and not path.name.startswith(".")
        )


def numbered(files: Sequence[Path]) -> tuple[list[Path], dict[int, Path]]:
    """Sorts numbered files and finds the gaps in their numbering.

    The counting number is the one that differs from name to name (`seq2_frame_0007` counts 7); it
    may advance by any constant step.

    Args:
      files: paths of one folder, at least one.

    Returns:
      The sorted paths; and, for every gap, the index of the path before it with the first path that
      is missing there.

    Raises:
      InputError: names that are not one numbered series, so that their order is unknown.
    """
    pieces = {path: re.split(r"(\d+)", path.stem) for path in files}  # text, number, text, ...
    files = sorted(files, key=lambda path: [int(s) if s.isdigit() else s for s in pieces[path]])
    first = pieces[files[0]]
    for path in files[1:]:
        if len(pieces[path]) != len(first) or pieces[path][::2] != first[::2]:
            raise InputError(
                f"{path.parent}: {files[0].name} and {path.name} are not of one numbered series, "
                "expected one sequence in a folder"
            )
    counting = [
        i for i in range(1, len(first), 2) if len({int(pieces[path][i]) for path in files}) > 1
    ]
    if len(counting) != 1:
        return files, {}
    place = counting[0]
    numbers = np.array([int(pieces[path][place]) for path in files])
    steps = np.diff(numbers)
    if steps.min() == 0:
        twice = int(np.argmin(steps))
        raise InputError(f"{files[twice]}: has the same number as {files[twice + 1].name}")
    gaps = {}
    for index in np.flatnonzero(steps != steps.min()):
        names = list(pieces[files[index]])
        names[place] = f"{numbers[index] + steps.min():0{len(names[place])}d}"
        gaps[int(index)] = files[index].with_name("".join(names) + files[index].suffix)
    return files, gaps
