"""Orbax in the folders of a run: what is finished there, how many checkpoints it keeps, its errors.

On a disk Orbax writes a checkpoint beside its place and renames it. In a store it writes it in its
place, and last an object that says that it is whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.options import MultiprocessingOptions

from jaxmotion.errors import InputError
from jaxmotion.stores import is_url, line, talking_to

# What Orbax and tensorstore raise for files that are missing, cut short or overwritten. A
# ValueError of tensorstore begins with a status, and some are of the machine, not of the file.
DAMAGE = (ValueError, KeyError, TypeError, IndexError, EOFError)
DAMAGE += (FileNotFoundError, NotADirectoryError, IsADirectoryError)
COMMIT_MARK = "commit_success.txt"
"""The object that Orbax puts last into a checkpoint in a store."""

_PASSING = ("ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED")
_PASSING += ("UNAUTHENTICATED", "UNAVAILABLE")


@contextmanager
def writing(manager: ocp.CheckpointManager) -> Iterator[None]:
    """Turns a full disk or a folder that is gone into an `InputError` of one line."""
    try:
        with talking_to(manager.directory):
            yield
    except (OSError, ValueError, InputError) as error:  # tensorstore's are ValueErrors
        raise InputError(
            f"{manager.directory}: a checkpoint cannot be written, earlier ones are kept: "
            f"{line(error)}"
        ) from error


def may_pass(error: Exception) -> bool:
    """Whether it is the machine that failed, and not a file that is damaged."""
    if isinstance(error, DAMAGE):
        return str(error).startswith(_PASSING)
    return True


def keeping(count: int | None) -> dict[str, Any]:
    """Options for how many checkpoints a manager keeps; None for one that reads.

    A manager writes when it is told to, and a reader is told nothing. Orbax's own ``read_only``
    would change its options back to these, with a warning about each.
    """
    return {"max_to_keep": count, "create": count is not None}


def processes(name: str, *, alone: bool) -> MultiprocessingOptions:
    """Says which processes work on a folder: all, with process 0 as the first, or this one alone.

    Args:
        name: prefix of the names of the barriers between these processes.
        alone: whether this process works by itself, without waiting for the others.
    """
    if not alone:
        return MultiprocessingOptions(barrier_sync_key_prefix=name)
    here = jax.process_index()
    return MultiprocessingOptions(primary_host=here, active_processes={here})


def absolute(folder: Path) -> Path:
    """The folder for Orbax, which wants it absolute; a place in a store is."""
    return folder if is_url(folder) else folder.resolve()


def finished_steps(folder: Path) -> list[int]:
    """The steps of the whole checkpoints in a folder, in order. Writes nothing.

    Args:
        folder: folder of checkpoints, which need not be there.
    """
    with talking_to(folder):
        steps = [path for path in folder.glob("[0-9]*") if path.name.isdecimal()]
        if is_url(folder):
            steps = [path for path in steps if (path / COMMIT_MARK).exists()]
    return sorted(int(path.name) for path in steps)
