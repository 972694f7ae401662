"""Clips of several sources in turn: real flow beside procedural scenes, or several data sets."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxmotion.data.clips import (
    Clip,
    ClipSource,
    fingerprint,
    is_stored_in_half,
    old_fingerprint,
)
from jaxmotion.data.sources import open_source


@dataclass(frozen=True)
class MixedSource:
    """Clips of several sources in turn, each with the same share whatever its size.

    An epoch is one of the longest source; the others go round again in it.

    Attributes:
        sources: sources of the clips, at least one, with clips of one shape.
    """

    sources: tuple[ClipSource, ...]

    def __len__(self) -> int:
        return len(self.sources) * max(len(source) for source in self.sources)

    def __getitem__(self, index: int) -> Clip:
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        turn, number = divmod(int(index), len(self.sources))
        return self.sources[number][turn % len(self.sources[number])]

    @property
    def stored_in_half(self) -> bool:
        """Whether all flow of all sources is stored in float16."""
        return all(is_stored_in_half(source) for source in self.sources)

    def fingerprint(self) -> str:
        """The fingerprints of the sources, as `clips.fingerprint` has them, in one."""
        return "+".join(fingerprint(source) for source in self.sources)

    def old_fingerprint(self) -> str:
        """The fingerprints that earlier versions had of the sources, in one."""
        return "+".join(old_fingerprint(source) for source in self.sources)

    def hold_out(self, fraction: float, seed: int = 0) -> tuple["MixedSource", "MixedSource"]:
        """Holds the fraction out of each source; the errors are those of its own `hold_out`.

        Args:
            fraction: share of each source to validate on, between 0 and 1.
            seed: seed of the choice.
        """
        pairs = [source.hold_out(fraction, seed) for source in self.sources]
        train, validation = zip(*pairs, strict=True)
        return MixedSource(train), MixedSource(validation)


def open_sources(specs: str | os.PathLike, **options: Any) -> ClipSource:
    """Opens one source, or several that take turns.

    Args:
        specs: source that `open_source` knows, or several joined by commas.
        options: options of `open_source`, for all of them; each takes what concerns it.

    Returns:
        The source.

    Raises:
        InputError: a source is unknown, empty or damaged; the message names the file.
    """
    words: Sequence[str | os.PathLike] = [specs]
    if not os.path.exists(specs):
        words = os.fspath(specs).split(",")
    sources = tuple(open_source(word, **options) for word in words)
    return sources[0] if len(sources) == 1 else MixedSource(sources)
