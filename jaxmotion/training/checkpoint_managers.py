"""Orbax's managers of a run's two folders: how many checkpoints are kept, and which is the best."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.options import MultiprocessingOptions

COST = "criterion"
"""Among the values of a kept network, what it has the least of; older runs have the loss alone."""


def newest_manager(workdir: Path, *, read_only: bool = False) -> ocp.CheckpointManager:
    """Manages the checkpoints to resume from.

    Args:
        workdir: the run's folder.
        read_only: whether nothing is written, and no other process is waited for.
    """
    together = _processes("newest", alone=read_only)
    return ocp.CheckpointManager(
        (workdir / "checkpoints").resolve(),
        options=ocp.CheckpointManagerOptions(
            **_keeping(None if read_only else 2), multiprocessing_options=together
        ),
        item_handlers={
            "state": ocp.StandardCheckpointHandler(multiprocessing_options=together),
            "data": ocp.JsonCheckpointHandler(multiprocessing_options=together),
            "config": ocp.JsonCheckpointHandler(multiprocessing_options=together),
        },
    )


def best_manager(workdir: Path, *, read_only: bool = False) -> ocp.CheckpointManager:
    """Manages the kept variables.

    Args:
        workdir: the run's folder.
        read_only: as of `newest_manager`.
    """
    together = _processes("best", alone=read_only)
    return ocp.CheckpointManager(
        (workdir / "best").resolve(),
        options=ocp.CheckpointManagerOptions(
            **_keeping(None if read_only else 1),
            best_fn=cost,
            best_mode="min",
            multiprocessing_options=together,
        ),
        item_handlers={
            "params": ocp.StandardCheckpointHandler(multiprocessing_options=together),
            "collections": ocp.StandardCheckpointHandler(multiprocessing_options=together),
            "config": ocp.JsonCheckpointHandler(multiprocessing_options=together),
        },
    )


def _keeping(count: int | None) -> dict[str, Any]:
    """How many checkpoints a manager keeps; None for one that reads.

    A manager writes when it is told to, and a reader is told nothing. Orbax's own ``read_only``
    would change its options back to these, with a warning about each.
    """
    return {"max_to_keep": count, "create": count is not None}


def _processes(name: str, *, alone: bool) -> MultiprocessingOptions:
    """Who works on a folder: all processes, process 0 first among them, or this one alone."""
    if not alone:
        return MultiprocessingOptions(barrier_sync_key_prefix=name)
    here = jax.process_index()
    return MultiprocessingOptions(primary_host=here, active_processes={here})


def cost(values: Mapping[str, Any]) -> float:
    """What a kept network has the least of.

    Args:
        values: loss and metrics in validation, as they were stored.
    """
    found = values.get(COST, values.get("loss"))
    return math.inf if found is None else float(found)


def one_line(error: Exception) -> str:
    """What an error of Orbax or tensorstore says, in a line for the user."""
    return " ".join(str(error).split())[:200]
