"""What is known of the frames of a video, on disk until the whole of it has been seen.

Memory does not grow with the video then. The file has no name, and is gone with the process.
"""

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, NamedTuple, Self, TypeVar

import numpy as np

from jaxmotion.inference.tracks import TrackedFrame
from jaxmotion.networks import Attention

_Frame = TypeVar("_Frame")


class _Spool(ABC, Generic[_Frame]):
    """Arrays of each frame, in a file."""

    def __init__(self, folder: Path) -> None:
        """Makes an empty file.

        Args:
            folder: folder on the disk to write to; nothing is seen there.
        """
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by __exit__)
        self._places: list[tuple[int, int]] = []  # where the arrays of a frame begin; their number

    def _append(self, *arrays: np.ndarray) -> None:
        self._places.append((self._file.seek(0, os.SEEK_END), len(arrays)))
        for array in arrays:
            np.save(self._file, array)

    def _read(self, index: int) -> list[np.ndarray]:
        place, count = self._places[index]
        self._file.seek(place)  # others may read as well
        return [np.load(self._file) for _ in range(count)]

    def __len__(self) -> int:
        return len(self._places)

    def __exit__(self, *error_details: object) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __getitem__(self, index: int) -> _Frame:
        """Reads a frame."""

    def __iter__(self) -> Iterator[_Frame]:
        """Reads the frames in turn."""
        for index in range(len(self)):
            yield self[index]


class SegmentedField(NamedTuple):
    """Flow of a frame and its segments, at the size that the network works at.

    Attributes:
        flow: float32 `[h, w, 2]`.
        masks: float32 `[h, w, K]`.
        valid: bool `[h, w]`, where the flow is known.
    """

    flow: np.ndarray
    masks: np.ndarray
    valid: np.ndarray


class Kept(_Spool[SegmentedField]):
    """Flow, masks and validity of each frame, until it is known what moves."""

    def add(self, flow: np.ndarray, masks: np.ndarray, valid: np.ndarray) -> None:
        """Adds a frame.

        Args:
            flow: `[h, w, 2]`, kept in half precision.
            masks: `[h, w, K]`, kept in 8 bits.
            valid: `[h, w]` in {0, 1}.
        """
        small = flow.astype(np.float16), np.rint(255 * masks).astype(np.uint8)
        self._append(*small, valid.astype(bool))

    def __getitem__(self, index: int) -> SegmentedField:
        """Reads a frame."""
        flow, masks, valid = self._read(index)
        return SegmentedField(flow.astype(np.float32), masks.astype(np.float32) / 255, valid)


class TrackedField(NamedTuple):
    """Flow of a frame and the objects in it, at the size that the network works at.

    Attributes:
        flow: float32 `[h, w, 2]`.
        valid: bool `[h, w]`, where the flow is known.
        found: the objects; their seediness and probability in half precision.
    """

    flow: np.ndarray
    valid: np.ndarray
    found: TrackedFrame


class KeptTracks(_Spool[TrackedField]):
    """Flow and objects of each frame, until it is known which of them live long."""

    def add(self, flow: np.ndarray, valid: np.ndarray, found: TrackedFrame) -> None:
        """Adds a frame.

        Args:
            flow: `[h, w, 2]`, kept in half precision.
            valid: `[h, w]` in {0, 1}.
            found: the objects of the frame.
        """
        flow, probability, seediness = (
            array.astype(np.float16) for array in (flow, found.probability, found.seediness)
        )
        weights = () if found.attention is None else map(np.asarray, found.attention)
        known = valid > 0
        self._append(flow, known, found.labels, found.nearest, probability, seediness, *weights)

    def __getitem__(self, index: int) -> TrackedField:
        """Reads a frame."""
        arrays: list[Any] = list(self._read(index))
        flow, valid, labels, nearest, probability, seediness, *weights = arrays
        attention = Attention(*weights) if weights else None
        found = TrackedFrame(labels, nearest, probability, seediness, attention)
        return TrackedField(flow.astype(np.float32), valid, found)
