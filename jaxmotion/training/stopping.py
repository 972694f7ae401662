"""The ends of a run before its last step, and the signal that asks for one."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax

from jaxmotion.errors import INTERRUPTED
from jaxmotion.training.distributed import AgreedEndError, told_to_stop


class NonFiniteLossError(AgreedEndError):
    """The loss or its gradient became NaN or infinite; the checkpoints before it are kept."""

    exit_status = 1


class InterruptedTrainingError(AgreedEndError):
    """SIGINT or SIGTERM came to one process; all have stored the state of the same step."""

    exit_status = INTERRUPTED


@contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Turns the first SIGINT or SIGTERM into an answer; a second SIGINT acts at once, as ever.

    Where several processes train as one, JAX listens for SIGTERM, once a second, and SIGINT is
    handed on as one. There a second SIGTERM does nothing more than the first.

    Yields:
        A function that says whether to stop after the coming step, the same in all processes, which
        call it together before each step.
    """
    together, asked = jax.distributed.is_initialized(), False
    earlier = {}

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        for signal_number, handler in earlier.items():
            signal.signal(signal_number, handler)
        if together:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            asked = True

    for number in (signal.SIGINT,) if together else (signal.SIGINT, signal.SIGTERM):
        earlier[number] = signal.signal(number, ask)
    try:
        yield lambda: asked or told_to_stop()
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
