"""Writing files so that nothing half-written ever stands under its final name."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

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
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def read_error(path: str | os.PathLike, error: OSError) -> InputError:
    """The one line for a file or folder that the system does not let us read.

    Args:
      path: the file or folder.
      error: what the system said.

    Returns:
      The error to raise, naming the path and the reason ("No such file or directory", ...).
    """
    return InputError(f"{path}: cannot be read ({error.strerror or error})")
