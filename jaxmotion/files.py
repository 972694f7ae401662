"""Files: nothing half-written under its final name, one clear line where reading fails, and the
order and the gaps of numbered series.
"""

import contextlib
import itertools
import os
import re
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from jaxmotion.errors import InputError
from jaxmotion.stores import is_url, put_file


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike, *, durable: bool = False) -> Iterator[Path]:
    """Gives a temporary path beside `path`; moves it there when the block ends without error.

    Missing parent folders are made. After an error, or an interrupt, the temporary file is removed
    and whatever stood at `path` before is untouched. The temporary name keeps the suffix, because
    encoders choose the format by it. In an object store the file is put as one object.

    Args:
        path: place of the finished file, of a disk or in a store (`jaxmotion.stores`).
        durable: whether the file is on disk before it gets its name, so that a power cut leaves no
            empty one. It costs some milliseconds: for what a run goes on from, not for pictures.

    Yields:
        The path to write to.

    Raises:
        InputError: the file cannot be written there (folder not writable, disk full, ...).
    """
    if is_url(path):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder) / PurePosixPath(path).name
            yield temporary
            put_file(temporary, path)
        return
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if durable:
            _to_disk(temporary)
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
    """Makes the one-line error for a file or folder that the system does not let us read.

    Args:
        path: file or folder that cannot be read.
        error: error of the system.

    Returns:
        The error to raise, naming the path and the reason ("No such file or directory", ...).
    """
    return InputError(f"{path}: cannot be read ({error.strerror or error})")


@contextlib.contextmanager
def reading(path: str | os.PathLike) -> Iterator[None]:
    """Turns an error of the system on a file or folder into our one line.

    Args:
        path: file or folder that is read; the error names the very file where the system tells it.

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
    """Lists the files of a folder with one of the suffixes, without hidden and temporary ones.

    Args:
        folder: folder to look in.
        suffixes: suffixes in lower case, with the dot; a file may have them in capitals.

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


# A number in a name, in ASCII digits. A hyphen is its sign at the start, and after "_" and "=". Ten
# digits with a fraction are seconds since 1970.
_NUMBER = re.compile(r"((?<![0-9])[0-9]{10}\.[0-9]+|(?:(?<![^_=])-)?[0-9]+)")


def stamps(path: str | os.PathLike) -> list[list]:
    """Name, size and time of every file of a folder, or of one file: has anything changed?"""
    path = Path(path)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    statuses = ((file, file.stat()) for file in files if file.exists())
    return [
        [str(file.relative_to(path)) if file != path else file.name, s.st_size, s.st_mtime_ns]
        for file, s in statuses
    ]


def numbered(files: Sequence[Path]) -> tuple[list[Path], dict[int, Path]]:
    """Sorts numbered files and finds the gaps in their numbering.

    The names differ in numbers only, of which one counts (`seq2_frame_0007` counts 7), by any
    constant step; what it leaves out is a gap. Where several numbers advance together, as in
    `f000_t0100`, the one without gaps, or else of the smallest step, counts. Where none goes along
    with the numbers on its left, all are read as the digits of one: 10-59-59 is followed by
    11-00-00, and 1305031102.99 by 1305031103.02.

    Numbers can also be times, which have no gaps: they advance by ten or more, and by nearly the
    same each time (33, 67, 100), or have twelve digits or more (nanoseconds).

    Args:
        files: paths of one folder, at least one.

    Returns:
        The sorted paths; and, for every gap, the index of the path before it with the first path
        that is missing there, `*` standing for what is not known of its name.

    Raises:
        InputError: names that are not one numbered series, so that their order is unknown.
    """
    files = sorted(files)
    pieces = [_NUMBER.split(path.stem) for path in files]  # text, number, text, ...
    for path, parts in zip(files, pieces, strict=True):
        if parts[::2] != pieces[0][::2]:
            raise _no_series(files[0], path)
    columns = {place: _values(pieces, place) for place in range(1, len(pieces[0]), 2)}
    _refuse_twins(files, columns)
    if len(files) == 1:
        return files, {}
    alone = {place: c for place, c in columns.items() if len(set(c)) == len(files)}
    leading = [place for place in alone if _follows(columns, place)]
    if leading:
        place = min(
            leading, key=lambda place: (not _is_even(alone[place]), min(_steps(alone[place])))
        )
        numbers = alone[place]
    else:
        readings = {0: _read_together(pieces, columns), **alone}
        place = next((place for place in readings if not _breaks(readings[place])), 0)
        numbers = readings[place]
    order = sorted(range(len(files)), key=lambda index: numbers[index])
    gaps = {}
    for at in _breaks(numbers):
        before = order[at]
        if place == 0:
            raise _no_series(files[before], files[order[at + 1]])
        name = list(pieces[before])
        for other, column in columns.items():
            name[other] = name[other] if len(set(column)) == 1 else "*"
        name[place] = _like(pieces[before][place], numbers[before] + min(_steps(numbers)))
        gaps[at] = files[before].with_name("".join(name) + files[before].suffix)
    return [files[index] for index in order], gaps


def _follows(columns: dict[int, list[int]], place: int) -> bool:
    """Whether no number on the left goes down where the one at a place goes up."""
    order = sorted(range(len(columns[place])), key=lambda index: columns[place][index])
    return all(
        column[one] <= column[other]
        for left, column in columns.items()
        if left < place
        for one, other in itertools.pairwise(order)
    )


def _values(pieces: list[list[str]], place: int) -> list[int]:
    """The numbers at a place of all names; the digits of fractions are made as many."""
    numbers = [parts[place] for parts in pieces]
    width = max(map(len, numbers))
    if any("." in number for number in numbers):
        parts = [number.partition(".") for number in numbers]
        return [int(whole + part.ljust(width, "0")) for whole, _, part in parts]
    is_fraction = place > 1 and pieces[0][place - 1] == "." and min(map(len, numbers)) < width
    if is_fraction and any(number.startswith("0") and number != "0" for number in numbers):
        numbers = [number.ljust(width, "0") for number in numbers]
    return [int(number) for number in numbers]


def _refuse_twins(files: list[Path], columns: dict[int, list[int]]) -> None:
    seen: dict[tuple[int, ...], Path] = {}
    for index, path in enumerate(files):
        twin = seen.setdefault(tuple(column[index] for column in columns.values()), path)
        if twin is not path:
            raise InputError(f"{path}: has the same number as {twin.name}")


def _read_together(pieces: list[list[str]], columns: dict[int, list[int]]) -> list[int]:
    """The numbers of each name as the digits of one; two digits below 60 count minutes, seconds."""
    together = [0] * len(pieces)
    for place, column in columns.items():
        if len(set(column)) == 1:
            continue
        width = max(len(parts[place]) for parts in pieces)
        radix = 60 if width == 2 and max(column) < 60 else 10**width
        together = [high * radix + low for high, low in zip(together, column, strict=True)]
    return together


def _steps(numbers: list[int]) -> list[int]:
    return [after - before for before, after in itertools.pairwise(sorted(numbers))]


def _is_even(numbers: list[int]) -> bool:
    return len(set(_steps(numbers))) == 1


def _breaks(numbers: list[int]) -> list[int]:
    """The indices, in order, after which numbers that count advance by more than elsewhere."""
    steps = _steps(numbers)
    step = min(steps)
    uneven = step > 0 and any(other % step for other in steps)
    nearly = len(steps) > 2 and sorted(steps)[len(steps) * 3 // 4] < 1.15 * step
    if step >= 10 and ((uneven and nearly) or max(numbers) >= 10**11):
        return []  # times
    return [index for index, other in enumerate(steps) if other != step]


def _like(written: str, number: int) -> str:
    """A number as its neighbor is written, with as many digits where that is padded."""
    digits = written.lstrip("-")
    width = len(digits) if digits.startswith("0") or len(str(number)) > len(digits) else 1
    return f"{'-' * (number < 0)}{abs(number):0{width}d}"


def _no_series(one: Path, other: Path) -> InputError:
    return InputError(
        f"{one.parent}: {one.name} and {other.name} are not of one numbered series, "
        "expected one sequence in a folder"
    )
