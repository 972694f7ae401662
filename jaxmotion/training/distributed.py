"""Several processes that train as one: how they join, agree and end. One alone needs none of it.

The engine is JAX's own: `jax.distributed` connects the processes, a coordination service in
process 0 hears the heartbeats of all and ends the run where they stop, and also which step they all
stop after. Collectives carry what else they agree on, never from step to step.
"""

import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxmotion.errors import InputError
from jaxmotion.training.config import Processes

HEARTBEAT_SECONDS = 100
"""A process that is silent for so long counts as gone, and the others end."""

END_SECONDS = 1800
"""Seconds that a process waits at its end for the others, which may still write their own files."""


_POINTS = itertools.count()
"""Numbers of the points at which all processes may stop. One series for all that a process trains,
so that no number comes twice."""


class AgreedEndError(RuntimeError):
    """An end before the last step that every process comes to at the same step."""


class LostProcessError(RuntimeError):
    """A computation across processes failed, most often because another one is gone."""

    exit_status = 1


@contextmanager
def joined(processes: Processes) -> Iterator[None]:
    """Connects the processes for the time of the block. No device may have been asked for before.

    The block ends in order where all come to its end, or to the same `AgreedEndError`. After any
    other exception this process must leave by `end_at_once`, which does not wait for the others.

    Raises:
        InputError: where nothing says which processes there are. If they do not all come in time,
            the process ends with one line and status 2.
        LostProcessError: in place of JAX's error, where one of several processes cannot go on.
    """
    if processes.distributed:
        _join(processes)
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        raise LostProcessError(
            f"process {jax.process_index()} of {jax.process_count()} cannot go on; if another one "
            "ended first, its log says why. The stored checkpoints are kept, the same commands "
            f"continue from them ({' '.join(str(error).split())[:200]})"
        ) from error
    except AgreedEndError:
        _part()
        raise
    _part()


def _part() -> None:
    if jax.distributed.is_initialized():
        jax.distributed.shutdown()
        # JAX had SIGTERM and does not give it back; Python remembers who had it before.
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)


def _join(processes: Processes) -> None:
    where = processes.coordinator or "process 0"

    def give_up() -> None:
        print(
            f"error: --distributed: not all processes came to {where} within "
            f"{processes.join_timeout} s; expected the same command on every host, and a "
            "coordinator that all can reach",
            file=sys.stderr,
            flush=True,
        )
        os._exit(2)

    # JAX aborts at the end of its own time; ours comes first and says what was expected.
    waiting = threading.Timer(processes.join_timeout, give_up)
    waiting.daemon = True
    waiting.start()
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", True)
    try:
        jax.distributed.initialize(
            processes.coordinator,
            processes.num_processes,
            processes.process_id,
            initialization_timeout=processes.join_timeout + 60,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=END_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"--distributed: {' '.join(str(error).split())[:200]} Expected a TPU pod, SLURM, Open "
            "MPI or Kubernetes, or --coordinator HOST:PORT --num-processes N --process-id I"
        ) from error
    finally:
        waiting.cancel()
    told_to_stop()  # a SIGTERM from now on is for the first step


def end_at_once(status: int) -> None:
    """Ends this process where others wait for it, which Python's own exit would not do."""
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def is_main() -> bool:
    """Whether this process writes what the run needs once: log, pictures, configuration."""
    return jax.process_index() == 0


def told_to_stop() -> bool:
    """Whether all processes stop now, because one of them got SIGTERM; the same answer in all.

    All call it equally often. It costs no communication: of a signal JAX's coordination service
    tells the others in the background, and sets the next point that none of them has passed.
    """
    return multihost_utils.reached_preemption_sync_point(next(_POINTS))


def gather(value: Any) -> np.ndarray:
    """A number (or array of one shape) of every process, `[processes, ...]`.

    All processes call it at the same point.
    """
    return multihost_utils.process_allgather(np.asarray(value)).reshape(
        jax.process_count(), *np.shape(value)
    )


def anywhere(flag: bool) -> bool:
    """Whether a flag is set in any process, the same answer in all; all call it together."""
    return flag if jax.process_count() == 1 else bool(gather(flag).any())


def on_host(tree: Any) -> Any:
    """Whole arrays in place of those that are spread over processes; all call it together."""
    return tree if jax.process_count() == 1 else multihost_utils.process_allgather(tree, tiled=True)
