"""What all sources of clips have in common: their protocol, and what tells their content."""

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

from jaxmotion.errors import InputError

Clip = Mapping[str, Any]
"""Arrays by the names of fields, all of the same frames and of one size; and its `name`."""


class ClipSource(Protocol):
    """What a loader needs of a source."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Clip: ...

    def hold_out(self, fraction: float, seed: int = 0) -> tuple["ClipSource", "ClipSource"]:
        """Splits into clips to train on and clips to validate on, which share no flow."""
        ...


def fingerprint(source: ClipSource) -> str:
    """What tells the content of a source from another one under the same name.

    Args:
        source: any; it may have a method of this name.

    Returns:
        Empty where a source has none: what it gives follows from its options, as scenes do.
    """
    return source.fingerprint() if hasattr(source, "fingerprint") else ""  # pyright: ignore


def old_fingerprint(source: ClipSource) -> str:
    """The fingerprint as checkpoints of earlier versions have it; files are read for it.

    Args:
        source: any; it may have a method of this name.

    Returns:
        That of `fingerprint` where a source has none of its own.
    """
    if hasattr(source, "old_fingerprint"):
        return source.old_fingerprint()  # pyright: ignore
    return fingerprint(source)


def has_content(source: ClipSource, known: str) -> bool:
    """Whether a source has the content that a checkpoint says.

    Args:
        source: any.
        known: what `fingerprint` gave, of this version or an earlier one.
    """
    return known == fingerprint(source) or known == old_fingerprint(source)


def checked_index(index: int, length: int) -> int:
    """The index of a clip; `IndexError` where there is none."""
    if not 0 <= index < length:
        raise IndexError(f"clip {index} of {length}")
    return int(index)


def held_out(count: int, fraction: float) -> int:
    """How many of `count` are a fraction: at least one, and not all.

    Args:
        count: number of things to share out.
        fraction: share of them, between 0 and 1.

    Raises:
        InputError: another fraction.
    """
    if not 0 < fraction < 1:
        raise InputError(f"a fraction of {fraction} to validate on, expected one between 0 and 1")
    return min(max(round(fraction * count), 1), max(count - 1, 1))


def rank(name: str, seed: int) -> bytes:
    """Where a sequence stands in an order that other sequences do not change.

    Args:
        name: name of the sequence.
        seed: another one gives another order.
    """
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()
