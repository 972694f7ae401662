"""Common parts of all sources of clips: their protocol, and the fingerprint of their content."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Protocol

from jaxmotion.errors import InputError

Clip = Mapping[str, Any]
"""Arrays by the names of fields, all of the same frames and of one size; and its `name`."""


class ClipSource(Protocol):
    """A source of clips, as a loader needs it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Clip: ...

    def hold_out(self, fraction: float, seed: int = 0) -> tuple["ClipSource", "ClipSource"]:
        """Splits into clips to train on and clips to validate on, which share no flow.

        Args:
            fraction: share of the data to validate on, between 0 and 1.
            seed: seed of the choice.
        """
        ...


def fingerprint(source: ClipSource) -> str:
    """A word that tells the content of a source from another one under the same name.

    Args:
        source: source of clips; it may have a method of this name.

    Returns:
        Empty where a source has none: what it gives follows from its options, as scenes do.
    """
    return source.fingerprint() if hasattr(source, "fingerprint") else ""  # pyright: ignore


def old_fingerprint(source: ClipSource) -> str:
    """The fingerprint as checkpoints of earlier versions have it; files are read for it.

    Args:
        source: source of clips; it may have a method of this name.

    Returns:
        The result of `fingerprint` where a source has none of its own.
    """
    if hasattr(source, "old_fingerprint"):
        return source.old_fingerprint()  # pyright: ignore
    return fingerprint(source)


def has_content(source: ClipSource, known: str) -> bool:
    """Whether a source has the content that a checkpoint says.

    Args:
        source: source of clips.
        known: result of `fingerprint`, of this version or an earlier one.
    """
    now = fingerprint(source)
    # A version noted the part before the dot alone, and those before it the old fingerprint.
    return known in (now, re.sub(r"\.\w+", "", now)) or known == old_fingerprint(source)


def is_stored_in_half(source: ClipSource) -> bool:
    """Whether all flow of a source is stored in float16, so that it is no finer than that.

    Args:
        source: source of clips; it may have an attribute ``stored_in_half``.
    """
    return getattr(source, "stored_in_half", False)


def checked_index(index: int, length: int) -> int:
    """Checks the index of a clip.

    Args:
        index: index of the clip, from 0 to `length` - 1.
        length: number of clips.

    Raises:
        IndexError: there is no such clip.
    """
    if not 0 <= index < length:
        raise IndexError(f"clip {index} of {length}")
    return int(index)


def held_out(count: int, fraction: float) -> int:
    """Number of things in a fraction of `count`: at least one, and not all.

    Args:
        count: number of things to share out.
        fraction: share of them, between 0 and 1.

    Raises:
        InputError: a fraction that is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise InputError(f"a fraction of {fraction} to validate on, expected one between 0 and 1")
    return min(max(round(fraction * count), 1), max(count - 1, 1))


def rank(name: str, seed: int) -> bytes:
    """The key of a sequence in an order that other sequences do not change.

    Args:
        name: name of the sequence.
        seed: seed of the order.
    """
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()
