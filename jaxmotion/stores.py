"""Object stores: places such as ``gs://BUCKET/FOLDER`` beside the folders of this machine.

A place in a store is an `etils.epath.Path`, which does what a `pathlib.Path` does. There are no
folders in a store, only objects whose names have slashes, and an object is put as a whole: it is
there with all that it holds, or not at all. That takes the part of renaming on a disk.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from jaxmotion.errors import InputError

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_SWALLOWED = re.compile(r"[a-z][a-z0-9+.-]+:/[^/]")


def is_url(path: str | os.PathLike) -> bool:
    """Whether a path is a place in an object store, `SCHEME://...`."""
    return _URL.match(os.fspath(path)) is not None


def run_place(path: str | os.PathLike) -> Path:
    """The place of a run's folder, which many hosts may write to together.

    Args:
        path: a folder of a file system, or ``gs://BUCKET/FOLDER``.

    Returns:
        The path; of a store, an `etils.epath.Path` (which has the methods used of a `Path`).

    Raises:
        InputError: another store, or a package that it needs and that is not installed.
    """
    text = os.fspath(path)
    if isinstance(path, Path) and _SWALLOWED.match(text):
        raise InputError(f"{text}: `Path` makes one slash of two; give a place in a store as text")
    if not is_url(text):
        return Path(path)
    if not text.startswith("gs://") or not text.removeprefix("gs://").strip("/"):
        raise InputError(
            f"{text}: expected a folder, or gs://BUCKET/FOLDER, the only store that checkpoints "
            "can be written to (a mounted bucket of another store is a folder)"
        )
    from etils import epath

    file_system(text)
    return cast(Path, epath.Path(text.rstrip("/")))


def file_system(url: str | os.PathLike) -> tuple[Any, str]:
    """The fsspec file system of a place in a store, and what it calls the place.

    Raises:
        InputError: a scheme that nothing knows, or whose package is not installed.
    """
    import fsspec
    import fsspec.config

    # Hosts write to one folder: what one of them has listed before says nothing.
    fsspec.config.conf.setdefault("gs", {}).setdefault("use_listings_cache", False)
    text = os.fspath(url)
    scheme = cast(re.Match, _URL.match(text))[1].lower()
    try:
        fsspec.get_filesystem_class(scheme)
    except (ImportError, ValueError) as error:
        package = _PACKAGES.get(scheme)
        needed = f"needs `pip install {package}`" if package else f"cannot be read: {line(error)}"
        raise InputError(f"{text}: {scheme}:// {needed}") from error
    with talking_to(text):
        return fsspec.core.url_to_fs(text)


_PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "s3": "s3fs", "az": "adlfs", "abfs": "adlfs"}
_PACKAGES |= {"hf": "huggingface_hub", "http": "aiohttp", "https": "aiohttp"}


@contextmanager
def talking_to(place: str | os.PathLike) -> Iterator[None]:
    """Turns whatever goes wrong between us and a store into one line; files' errors pass.

    Args:
        place: the place in the store, named in the line. Of a path on a disk nothing changes.

    Raises:
        InputError: in the place of an error of the store's client.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each client has its own, which are no OSError
        if not is_url(place):
            raise
        reason = line(error) or type(error).__name__
        reason = f"nothing there, {reason}" if isinstance(error, FileNotFoundError) else reason
        raise InputError(f"{os.fspath(place)}: the store says: {reason}") from error


def line(error: object) -> str:
    """The message of an error, in one line."""
    return " ".join(str(error).split())[:200]


def put_file(file: Path, place: str | os.PathLike) -> None:
    """Puts a file as one object: whole, or not at all, in the place of an earlier one.

    Args:
        file: file of this machine.
        place: place of the object.

    Raises:
        InputError: the store does not take it.
    """
    system, name = file_system(place)
    with talking_to(place):
        system.put_file(str(file), name)


def put_first(content: bytes, place: str | os.PathLike) -> bool:
    """Puts an object where there is none.

    Args:
        content: content of the object.
        place: place of the object.

    Returns:
        Whether it is ours; False where there is one already.

    Raises:
        InputError: the store does not take it.
    """
    system, name = file_system(place)
    with talking_to(place):
        try:
            system.pipe_file(name, content, mode="create")
        except FileExistsError:
            return False
        return True


def get_bytes(place: str | os.PathLike) -> bytes | None:
    """The content of an object; None where there is none.

    Raises:
        InputError: the store does not give it.
    """
    system, name = file_system(place)
    with talking_to(place):
        try:
            return bytes(system.cat_file(name))
        except FileNotFoundError:
            return None


def move_folder(source: Path, target: Path) -> None:
    """Moves a folder: by renaming on a disk, in a store object by object.

    Args:
        source: folder to move.
        target: its new place, where nothing is.

    Raises:
        OSError: the system refuses.
        InputError: the store refuses.
    """
    if not is_url(source):
        target.parent.mkdir(exist_ok=True)
        source.rename(target)
        return
    (system, here), (_, there) = file_system(source), file_system(target)
    with talking_to(source):
        for name in system.find(here):
            system.mv(name, there + name.removeprefix(here))
