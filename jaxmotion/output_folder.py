"""Folders of results: one run at a time writes to one, earlier results give way as a whole, and
nothing is touched there that we did not write.

A folder of results has hidden files of ours: `.jaxmotion.lock` while a run writes to it, and
`.jaxmotion.COMMAND.json`, the mark: what that command wrote there, and what the files held. By it a
file that somebody else put there, or has worked on since, is told from one that may be replaced.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import jaxmotion
from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading
from jaxmotion.locks import locked

_FORMAT = 1
_BY_THE_SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini")  # of file browsers, nobody misses them


def keep_apart(folder: Path, names: Iterable[str], inputs: Iterable[Path]) -> None:
    """Refuses a folder of results that would go over their own input.

    Files are told apart by what they are, not by their paths: links, `..` and capitals hide
    nothing.

    Args:
        folder: folder of the results.
        names: names of files and folders in it that may be written or removed.
        inputs: files and folders that are read.

    Raises:
        InputError: the folder is an input, or something in it that may be replaced is one or holds
            one.
    """
    outputs = {_identity(folder / name): folder / name for name in names}
    for path in inputs:
        if _identity(path) == _identity(folder) is not None:
            raise InputError(f"{folder}: is what is read; expected another folder for the results")
        for place in (path.resolve(), *path.resolve().parents):
            identity = _identity(place)
            if identity is not None and identity in outputs:
                raise InputError(
                    f"{outputs[identity]}: the results would replace it, and {path} is read from "
                    "there; expected another folder for the results"
                )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def take_place(new: Path, folder: Path, outdated: Iterable[str] = ()) -> None:
    """Moves all that is in a folder into another one, in the place of what is there.

    All of it or nothing: after an error or an interrupt everything is back where it was.

    Args:
        new: a folder of the same file system; what was replaced is in it afterwards.
        folder: folder whose content is replaced.
        outdated: names in `folder` that go without a successor.

    Raises:
        OSError: the system refuses.
    """
    names = sorted({*outdated, *(entry.name for entry in new.iterdir())})
    old = new / ".old"
    old.mkdir()
    with ExitStack() as undo:
        for name in names:
            for source, target in ((folder / name, old / name), (new / name, folder / name)):
                if os.path.lexists(source):
                    undo.callback(_move_back, target, source)
                    source.rename(target)
        undo.pop_all()


def _move_back(target: Path, source: Path) -> None:
    if os.path.lexists(target) and not os.path.lexists(source):
        target.rename(source)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Gives a temporary folder that takes the place of another when the block ends well.

    Args:
        path: folder to replace. What it held before goes, so it has to be ours.

    Yields:
        Where to write instead.

    Raises:
        InputError: it cannot be written.
    """
    new = path.parent / f".{path.name}.{os.getpid()}.part"
    try:
        (new / path.name).mkdir(parents=True)
        yield new / path.name
        take_place(new, path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


@dataclass(frozen=True)
class Results:
    """The results that one command leaves in a folder.

    Attributes:
        folder: folder of the results.
        command: name of the command, "segment" or "eval".
        names: names of the files and folders in it that the command writes or replaces.
        source: name of the input of the results, for the mark.
        of_an_earlier_version: function that recognizes the files of a version that left no mark.
    """

    folder: Path
    command: str
    names: tuple[str, ...]
    source: str = ""
    of_an_earlier_version: Callable[[Path], bool] = lambda file: False

    @property
    def mark(self) -> Path:
        """The file that lists what is ours."""
        return self.folder / f".jaxmotion.{self.command}.json"

    @contextmanager
    def claimed(self, inputs: Iterable[Path] = ()) -> Iterator[None]:
        """Holds the folder while the block runs, once it is sure that only ours can be replaced.

        Args:
            inputs: files and folders that are read.

        Raises:
            InputError: another run has the folder; the results would go over an input; or a file
                is there that this command did not write, or that was changed since.
        """
        keep_apart(self.folder, self.names, inputs)
        with locked(self.folder):
            mark = self._read_mark()
            for file in _files(self.folder, self.names):
                fault = self._fault(file, mark)
                if fault:
                    raise InputError(
                        f"{file}: {fault}, so it is kept; move it away or give another folder"
                    )
            yield

    def known_files(self, names: Iterable[str]) -> list[Path]:
        """The files under these names, folders or files, that this command wrote, as it did."""
        mark = self._read_mark()
        return [file for file in _files(self.folder, names) if not self._fault(file, mark)]

    @contextmanager
    def replaced(self) -> Iterator[Path]:
        """A temporary folder whose content takes the place of earlier results, all at once.

        It does so when the block ends well; otherwise nothing changes. The folder has to be
        `claimed`.

        Yields:
            Where to write, under the final names.

        Raises:
            InputError: the results cannot be written.
        """
        new = self.folder / f".jaxmotion.{self.command}.part"
        shutil.rmtree(new, ignore_errors=True)  # of a run that was killed
        try:
            new.mkdir()
            yield new
            self._write_mark(new / self.mark.name, self._digests(new))
            take_place(new, self.folder, self.names)
        except InputError as error:
            raise InputError(str(error).replace(str(new), str(self.folder))) from error
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{self.folder}: cannot be written ({reason})") from error
        finally:
            shutil.rmtree(new, ignore_errors=True)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """For results that are written one by one under their final names: marks them as ours.

        Whatever is there under our names counts as ours until the block has ended, also if it never
        does because the process is killed. The folder has to be `claimed`.
        """
        earlier = (self._read_mark() or {}).get("files") or {}
        self._write_mark(self.mark, None)
        try:
            yield
        finally:
            there = {
                place: digest for place, digest in earlier.items() if (self.folder / place).exists()
            }
            with suppress(InputError):  # it would hide what ended the block
                self._write_mark(self.mark, there | self._digests(self.folder))

    def _fault(self, file: Path, mark: dict | None) -> str:
        """The reason why a file is not known as ours; empty if it is."""
        place = file.relative_to(self.folder).as_posix()
        if mark is None and self.of_an_earlier_version(file):
            return ""
        if mark is not None and mark["files"] is None:  # of a run that was killed
            return ""
        if mark is None or place not in mark["files"]:
            return f"is there and was not written by jaxmotion {self.command}"
        changed = mark["files"][place] != _digest(file)
        return f"was changed after jaxmotion {self.command} wrote it" if changed else ""

    def _read_mark(self) -> dict | None:
        """The mark; None where there is none, or none of this version."""
        with reading(self.mark):
            text = self.mark.read_text(errors="replace") if self.mark.is_file() else ""
        try:
            mark = json.loads(text)
            if mark["format"] == _FORMAT and isinstance(mark["files"], dict | None):
                return mark
        except (ValueError, TypeError, KeyError, RecursionError):
            pass
        return None

    def _digests(self, root: Path) -> dict[str, str]:
        files = _files(root, self.names)
        return {file.relative_to(root).as_posix(): _digest(file) for file in files}

    def _write_mark(self, path: Path, files: dict[str, str] | None) -> None:
        """Lists the files that are ours; None while they are being written. No files, no mark."""
        mark = {
            "format": _FORMAT,
            "made_by": f"jaxmotion {self.command}",
            "version": jaxmotion.__version__,
            "source": self.source,
            "files": files,
        }
        with atomic_path(path, durable=True) as temporary:
            temporary.write_text(json.dumps(mark, indent=1) + "\n")
        if files == {}:
            path.unlink()


def _files(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """All that is under these names but folders, in order; a link is a file."""
    for name in names:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            with reading(path):
                inside = sorted(entry.name for entry in path.iterdir())
            yield from _files(path, (entry for entry in inside if entry not in _BY_THE_SYSTEM))
        elif os.path.lexists(path):
            yield path


def _digest(file: Path) -> str:
    """What a file holds, in short; of what is no plain file nothing that was ever written."""
    if file.is_symlink() or not file.is_file():
        return ""
    with reading(file), open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:32]
