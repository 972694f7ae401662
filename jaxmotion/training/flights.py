"""Steps on their way: what the devices were given and have not been heard of yet."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import jax

from jaxmotion.training.step import Metrics


class Landed(NamedTuple):
    """A step that the devices have done.

    Attributes:
        step: number of the step, from 1.
        metrics: metrics of the step, on the devices.
        seconds: time that the run took for it: since the step before was done, or since the run
            went on after a pause.
        busy: seconds of these in which the devices computed it.
        waited: seconds of these in which the devices had nothing to do because its batch was not
            there yet.
    """

    step: int
    metrics: Metrics
    seconds: float
    busy: float
    waited: float


class _Flight(NamedTuple):
    step: int
    metrics: Metrics
    asked: float
    got: float
    started: float
    done: Future[float]


class Flights:
    """The steps in flight. A thread notes when each is done, while the run prepares the next."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "steps")
        self._flying: deque[_Flight] = deque()
        self._since = time.perf_counter()

    def add(self, step: int, metrics: Metrics, asked: float, got: float, started: float) -> None:
        """Adds a step that the devices have just been given.

        Args:
            step: number of the step, from 1.
            metrics: metrics of the step, which the devices have yet to compute.
            asked: time (`time.perf_counter`) at which the run began to take its batch.
            got: time at which the batch was on its way to the devices.
            started: time at which the devices were given the step.
        """
        done = self._thread.submit(_when_done, metrics)
        self._flying.append(_Flight(step, metrics, asked, got, started, done))

    def land(self, most: int) -> Iterator[Landed]:
        """Waits until at most so many steps are in flight.

        Args:
            most: largest number of steps that are left in flight.

        Returns:
            The steps that are done, in their order. What a step raised is raised in its place.
        """
        while len(self._flying) > most:
            flight = self._flying.popleft()
            done, before = flight.done.result(), self._since
            self._since = done
            yield Landed(
                flight.step,
                flight.metrics,
                seconds=done - before,
                busy=done - max(before, flight.started),
                waited=max(flight.got - max(before, flight.asked), 0.0),
            )

    def resume(self) -> None:
        """Says that the run goes on now, after a pause that was for no step's sake."""
        self._since = time.perf_counter()

    def close(self) -> None:
        """Ends the thread; it is not waited for."""
        self._thread.shutdown(wait=False)


def _when_done(metrics: Metrics) -> float:
    jax.block_until_ready(metrics)
    return time.perf_counter()
