"""One run at a time writes to a folder, or to a file."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jaxmotion.errors import InputError
from jaxmotion.leases import leased
from jaxmotion.stores import is_url

try:
    import fcntl
except ImportError:  # Windows: no lock
    fcntl = None


@contextmanager
def locked(folder: Path, file: str = "", *, wait: bool = False) -> Iterator[None]:
    """Lets no other run write to a folder, or to a file in it, while the block runs.

    The system ends the lock with the process, however that ends. Where a file system has no locks,
    the block runs without. In an object store the lock is another (`jaxmotion.leases`).

    Args:
        folder: folder to lock, created if missing.
        file: name of the only file that is written there; empty for the whole folder.
        wait: whether to wait for the end of another run that has the lock.

    Raises:
        InputError: another run has the lock, and is not waited for, or the folder cannot be made
            or written to.
    """
    path = folder / (f".{file}.lock" if file else ".jaxmotion.lock")
    if is_url(folder):
        with leased(path, folder / file):
            yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror or error})") from error
    try:
        descriptor = _lock(path, wait)
    except BlockingIOError as error:
        raise InputError(
            f"{folder / file}: another run is writing there; wait for its end, or write to another"
        ) from error
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from error
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # while it is still ours: who opens it now will find it gone
        with suppress(OSError):
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may have it open as well
        os.close(descriptor)


def _lock(path: Path, wait: bool) -> int:
    """The descriptor of a lock that is now ours; `BlockingIOError` where another has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                os.close(descriptor)
                raise BlockingIOError from error
            return descriptor  # no locks here
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)  # its last holder removed it just now
