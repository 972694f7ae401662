"""Stages of a pipeline that run beside each other, a few items apart."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

T = TypeVar("T")

_PAUSE = 0.1  # seconds after which a waiting stage looks whether it is still wanted


class Timed(Generic[T]):
    """An iterator, and the seconds that its items took to come."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items, self.seconds = iter(items), 0.0

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        start = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self.seconds += time.perf_counter() - start


@contextmanager
def beside(function: Callable[[], object]) -> Iterator[None]:
    """Lets a thread call a function while the block runs, and waits for it at the end.

    Args:
        function: function that prepares something. What it raises is not heard: whoever needs what
            it prepares does without.
    """

    def run() -> None:
        with suppress(Exception):
            function()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        # A process must not end while the thread is in native code: that aborts it.
        thread.join()


@contextmanager
def in_background(items: Iterable[T], ahead: int) -> Iterator[Iterator[T]]:
    """Lets a thread run an iterator ahead of the one who takes its items.

    Whatever ends the iterator is raised where the items are taken. When the block ends, so does the
    thread, after the item that it is at.

    Args:
        items: iterator that the thread runs.
        ahead: items that may wait.

    Yields:
        The same items.
    """
    waiting: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(ahead)
    unwanted = threading.Event()

    def put(entry: tuple[T | None, BaseException | None]) -> bool:
        while not unwanted.is_set():
            try:
                waiting.put(entry, timeout=_PAUSE)
                return True
            except queue.Full:
                continue
        return False

    def run() -> None:
        end: BaseException = StopIteration()
        try:
            if unwanted.is_set():  # the block ended before the thread began
                return
            for item in items:
                if not put((item, None)):
                    return
        except BaseException as error:  # also an interrupt: it is raised where it can be heeded
            end = error
        put((None, end))

    thread = threading.Thread(target=run, daemon=True)
    try:
        thread.start()
        yield _taken(waiting.get)
    finally:
        # A process must not end while the thread is in native code: that aborts it.
        unwanted.set()
        with suppress(RuntimeError):  # an interrupt came before the thread began
            thread.join()


def _taken(get: Callable[[], tuple[T | None, BaseException | None]]) -> Iterator[T]:
    while True:
        item, end = get()
        if isinstance(end, StopIteration):
            return
        if end is not None:
            raise end
        yield item  # pyright: ignore[reportReturnType]
