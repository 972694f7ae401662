"""Orbax in the folders of a run: how many checkpoints it keeps, and its errors in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.options import MultiprocessingOptions

from jaxmotion.errors import InputError

# What Orbax and tensorstore raise for files that are missing, cut short or overwritten. A
# ValueError of tensorstore begins with a status, and some are of the machine, not of the file.
DAMAGE = (ValueError, KeyError, TypeError, IndexError, EOFError)
DAMAGE += (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_PASSING = ("ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED")
_PASSING += ("UNAUTHENTICATED", "UNAVAILABLE")


@contextmanager
def writing(manager: ocp.CheckpointManager) -> Iterator[None]:
    """Turns a full disk or a folder that is gone into an `InputError` of one line."""
    try:
        yield
    except (OSError, ValueError) as error:  # tensorstore's are ValueErrors
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


def line(error: Exception) -> str:
    """The message of an error, in one line."""
    return " ".join(str(error).split())[:200]
