"""Copies on this machine of what lies in an object store, fetched once and brought up to date.

Readers seek in files, map them into memory and hand their names to libraries in C. So what is read
from a store is copied to the user's cache first, and read as any other file. The copy of a folder
has the files of the folder, no more and no less; a file is fetched again where the store's mark of
its content has changed.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path
from jaxmotion.locks import locked
from jaxmotion.stores import file_system, is_url, talking_to
from jaxmotion.user_cache import user_cache

_MARKS = (
    "etag",
    "ETag",
    "generation",
    "md5Hash",
    "content_md5",
    "mtime",
    "LastModified",
    "created",
)
_AT_ONCE = 16

Choice = Callable[[list[str]], list[str]]
"""From the names of all files of a folder, with slashes, to those that are needed."""


def local_copy(url: str, choose: Choice | None = None) -> Path:
    """The copy on this machine of a file or folder in a store, brought up to date.

    Args:
        url: place in the store.
        choose: function that says which files of a folder are needed; None for all.

    Returns:
        The file or folder of the copy, of the same name.

    Raises:
        InputError: nothing is there, it cannot be read, or it is larger than the free disk.
    """
    url = url.rstrip("/")
    above, _, name = url.rpartition("/")
    folder = user_cache("stores") / hashlib.sha256(above.encode()).hexdigest()[:16]
    with locked(folder, name, wait=True):  # processes of one host share the copy
        _bring_up_to_date(url, folder / name, folder / f".{name}.json", choose)
    return folder / name


@contextmanager
def named(copy: Path, url: str | os.PathLike) -> Iterator[None]:
    """Lets errors that name a copy name the place that it is of.

    Args:
        copy: the file or folder that is read.
        url: what it was asked for as.
    """
    try:
        yield
    except InputError as error:
        if not is_url(url):
            raise
        raise InputError(str(error).replace(str(copy), os.fspath(url))) from error


def _bring_up_to_date(url: str, copy: Path, note: Path, choose: Choice | None) -> None:
    system, root = file_system(url)
    there = _listed(url, system, root)
    wanted = {name: there[name] for name in (choose(sorted(there)) if choose else there)}
    known = _read_note(note)
    for name in known.keys() - there.keys():
        (copy / name).unlink(missing_ok=True)
    known = {name: mark for name, mark in known.items() if name in there}
    missing = [
        name
        for name, info in wanted.items()
        if known.get(name) != _mark(info) or not (copy / name).is_file()
    ]
    _check_room(url, note.parent, sum(wanted[name].get("size") or 0 for name in missing))

    def fetch(name: str) -> None:
        with atomic_path(copy / name if name else copy) as temporary, talking_to(url):
            system.get_file(f"{root}/{name}" if name else root, str(temporary))

    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            bar = tqdm(pool.map(fetch, missing), f"fetching {url}", len(missing), delay=2)
            for name, _ in zip(missing, bar, strict=True):
                known[name] = _mark(wanted[name])
    finally:
        with atomic_path(note) as temporary:
            temporary.write_text(json.dumps(known))


def _listed(url: str, system: Any, root: str) -> dict[str, dict[str, Any]]:
    """What is known of each file of a folder by its name in it; of a file alone, by no name."""
    with talking_to(url):
        try:
            if system.isfile(root):
                return {"": system.info(root)}
            found = system.find(root, detail=True)
        except FileNotFoundError:
            found = {}
    prefix = root.rstrip("/") + "/"
    files = {
        place.removeprefix(prefix): info
        for place, info in found.items()
        if place.startswith(prefix) and info.get("type") == "file" and not place.endswith("/")
    }
    unsafe = [name for name in files if ".." in name.split("/") or "" in name.split("/")]
    if unsafe:
        raise InputError(f"{url}/{unsafe[0]}: no name for a file of a disk")
    if not files:
        raise InputError(f"{url}: nothing is there, expected a file or a folder with files")
    return files


def _mark(info: dict[str, Any]) -> str:
    return str([info.get("size"), *(str(info[key]) for key in _MARKS if info.get(key))])


def _check_room(url: str, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{url}: {needed / 1e9:.1f} GB to fetch, and {folder} has {free / 1e9:.1f} GB free; "
            "XDG_CACHE_HOME may name another disk, or the bucket may be mounted"
        )


def _read_note(path: Path) -> dict[str, str]:
    try:
        note = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
