"""A lock in an object store: an object that its holder renews as long as it lives.

A store knows no processes, so that no lock there ends with one. The lock is an object with the name
of its holder, put where there was none, and renewed every `PERIOD` seconds. Who finds one watches
it: one that changes has a living holder, and one that stays as it is for `PATIENCE` seconds belongs
to nobody. No clocks are compared. A run that ends in order removes its lock; after one that was
killed the next run waits once. A holder that finds another name on its lock was silent for too
long, and ends itself.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jaxmotion.errors import InputError
from jaxmotion.stores import file_system, get_bytes, put_first, talking_to

PERIOD = 15.0
"""Seconds from one renewal of a lock to the next."""

PATIENCE = 60.0
"""Seconds without a renewal after which a lock belongs to nobody."""


@contextmanager
def leased(place: Path, what: Path) -> Iterator[None]:
    """Keeps other runs out while the block runs.

    Args:
        place: place of the lock's object.
        what: what it locks, for messages.

    Raises:
        InputError: another run has the lock, or the store does not let us write.
    """
    lease = _Lease(place)
    while not lease.take():
        _wait_for_silence(place, what)
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(lease, what, ended), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        lease.drop()


class _Lease:
    """The object of one holder."""

    def __init__(self, place: Path) -> None:
        self._place, self._renewals = place, 0
        self._name = f"{socket.gethostname()}, process {os.getpid()}"
        self._token = uuid.uuid4().hex

    def _content(self) -> bytes:
        note = {"holder": self._name, "token": self._token, "renewals": self._renewals}
        return json.dumps(note).encode()

    def take(self) -> bool:
        return put_first(self._content(), self._place)

    def is_ours(self) -> bool:
        return _note(get_bytes(self._place)).get("token") == self._token

    def renew(self) -> None:
        self._renewals += 1
        system, name = file_system(self._place)
        with talking_to(self._place):
            system.pipe_file(name, self._content())

    def drop(self) -> None:
        try:
            if self.is_ours():
                _remove(self._place)
        except InputError as error:  # the next run waits for a while, nothing worse
            print(f"{error}; the lock stays behind", file=sys.stderr)


def _renew(lease: _Lease, what: Path, ended: threading.Event) -> None:
    while not ended.wait(PERIOD):
        try:
            ours = lease.is_ours()
            if ours and not ended.is_set():
                lease.renew()
        except InputError:  # the store is away: to be tried again
            continue
        if not ours:
            print(f"{what}: another run has taken over, this one ends", file=sys.stderr)
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _wait_for_silence(place: Path, what: Path) -> None:
    """Removes a lock that nobody renews; `InputError` where somebody does."""
    found = get_bytes(place)
    if found is None:
        return
    holder = _note(found).get("holder", "an unknown holder")
    print(
        f"{what}: locked by {holder}; waiting up to {PATIENCE:.0f} s to see whether it lives",
        file=sys.stderr,
    )
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        time.sleep(min(PERIOD / 5, PATIENCE / 5))
        now = get_bytes(place)
        if now is None:
            return
        if now != found:
            raise InputError(
                f"{what}: another run is writing there ({holder}); wait for its end, or write to "
                "another"
            )
    if get_bytes(place) == found:
        _remove(place)


def _remove(place: Path) -> None:
    system, name = file_system(place)
    with talking_to(place), suppress(FileNotFoundError):
        system.rm_file(name)


def _note(content: bytes | None) -> dict:
    try:
        note = json.loads(content or b"{}")
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}
