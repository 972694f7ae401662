"""Precomputed flow of a video: which field is of which frame, and whether it can be.

Fields belong to frames as `jaxmotion.data.pairing` has it: by name, or else by number. Only where
names tell nothing, as in an `.npz`, they belong together by their place.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxmotion.data.pairing import check_places, frame_numbers, place_names
from jaxmotion.errors import InputError
from jaxmotion.files import numbered, reading
from jaxmotion.optical_flow.arrays import known_flow
from jaxmotion.optical_flow.fields import archive_names, field_files
from jaxmotion.optical_flow.formats import load_flow_npz, read_flow_and_valid
from jaxmotion.optical_flow.notes import NOTES, notes_beside
from jaxmotion.optical_flow.origin import read_flow_origin

if TYPE_CHECKING:
    from jaxmotion.data.video import Video

_log = logging.getLogger(__name__)

_SIDE_OFF = 8  # pixels that a side may be off: sides are rounded, or padded, to multiples of 16


class GivenFlow:
    """The flow of a video from files, from each frame to the next.

    Iterating gives each field in turn with where it is known, float32 `[h, w, 2]` and bool
    `[h, w]`. One field fewer than frames is expected, or as many. The frames are read along, so
    that a video is not believed how many it has, nor a folder that it is of this video.

    Attributes:
        files: the files that are read.
    """

    def __init__(self, path: Path, video: "Video"):
        """Finds the fields, and checks what can be checked without reading all of them.

        Args:
            path: an `.npz`; a folder of `.flo` files, of KITTI's `.png`, or with a `flow.npz`, as
                `write_flow_folder` makes them; or one `.flo` or `.png`.
            video: the video that the flow belongs to.

        Raises:
            InputError: no flow there; flow that is not forward with a gap of 1; of another shape
                than the frames; or a field that is missing or of no frame.
        """
        self._path, self._video = path, video
        _check_origin(path, video)
        self._fields: _Files | _Archive = _find(path)
        self.files = self._fields.files
        first = self._fields.read(0)[0].shape
        if not _is_scaled(first[:2], (video.height, video.width)):
            raise InputError(
                f"{path}: flow of {first[1]} x {first[0]} for the frames of {video.width} x "
                f"{video.height} of {video.path}; expected the same shape, at any size"
            )
        self._shape = first
        self._notes = notes_beside(path)
        places, self._called = self._paired()
        self._by_frame = {place: index for index, place in enumerate(places) if place is not None}
        self._strangers = [index for index, place in enumerate(places) if place is None]
        count = video.num_frames
        if video.files:
            self._check_count(len(video.files))
        elif count is None or self._fault(count):
            self._check_count(self._count())  # what a header says can be off

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields flow and valid.

        Raises:
            InputError: a field that cannot be read, that is missing, of another size than the
                first, or of another frame than was noted beside the flow; or more fields than
                frames.
        """
        earlier, count = None, 0
        for count, image in enumerate(self._video, start=1):
            if earlier is not None:
                yield self._field(count - 2, earlier)
            earlier = image
        self._check_count(count)
        if earlier is not None and count - 1 in self._by_frame:
            yield self._field(count - 1, earlier)

    def _field(self, number: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flow of a frame, and where it is known."""
        if number not in self._by_frame:
            self._check_count(self._count())
        index = self._by_frame[number]
        flow, valid = self._fields.read(index)
        name = self._fields.label(index)
        if flow.shape != self._shape:
            raise InputError(f"{name}: flow of shape {flow.shape}, expected {self._shape} as first")
        if self._fields.names and not self._notes.is_of(self._fields.names[index], image):
            raise InputError(
                f"{name}: not the flow of frame {number} of {self._video.path}, but of another "
                f"video or another frame of it, as {NOTES} tells"
            )
        return flow, valid

    def _paired(self) -> tuple[Sequence[int | None], Sequence[str | int] | None]:
        """The frame of each field, and what frames are called; None stands for their numbers."""
        names, frames = self._fields.names, [file.stem for file in self._video.files]
        places = place_names(names, frames or None) if names else None
        if places is None:
            self._fields = self._fields.in_order()
            return range(len(self._fields)), None
        check_places([self._fields.label(i) for i in range(len(names))], places)
        if not frames or set(names) <= set(frames):
            return places, frames or None
        return places, frame_numbers(frames)

    def _count(self) -> int:
        """The frames of a video file, by reading it."""
        return sum(1 for _ in self._video)

    def _check_count(self, num_frames: int) -> None:
        fault = self._fault(num_frames)
        if fault:
            raise InputError(
                f"{fault}; {len(self._fields)} flow fields for the {num_frames} frames of "
                f"{self._video.path}, expected {num_frames - 1}, each with the number of its frame"
            )

    def _fault(self, num_frames: int) -> str:
        """The first field that is missing, or of no frame, of so many; empty where all is well."""
        for number in range(num_frames - 1):
            if number not in self._by_frame:
                called = self._called[number] if self._called else number
                return f"{self._fields.missing(called)}: missing"
        strangers = [i for frame, i in self._by_frame.items() if frame >= num_frames]
        strangers += self._strangers
        return f"{self._fields.label(min(strangers))}: of no frame" if strangers else ""


class _Files:
    """A file a field."""

    def __init__(self, files: Sequence[Path]):
        self.files, self.names = tuple(files), [file.stem for file in files]

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return read_flow_and_valid(self.files[index])

    def label(self, index: int) -> str:
        return str(self.files[index])

    def in_order(self) -> "_Files":
        files, gaps = numbered(self.files)
        if gaps:
            raise InputError(f"{min(gaps.values())}: missing frame in a sequence of {len(files)}")
        return _Files(files)

    def missing(self, frame: str | int) -> str:
        first = self.files[0]
        if isinstance(frame, int):
            # Named like the others, with the last number in place of theirs.
            digits = [*re.finditer("[0-9]+", first.stem)][-1:]
            start, end = digits[0].span() if digits else (0, len(first.stem))
            frame = f"{first.stem[:start]}{frame:0{end - start}d}{first.stem[end:]}"
        return str(first.with_name(f"{frame}{first.suffix}"))


class _Archive:
    """All fields in one file. It is read as a whole."""

    def __init__(self, path: Path):
        flow, self._known = known_flow(path, *load_flow_npz(path))
        self._flow = flow.astype(np.float32)
        self._path, self.files = path, (path,)
        names = archive_names(path)
        self.names = names if len(names) == len(flow) else []

    def __len__(self) -> int:
        return len(self._flow)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self._flow[index], self._known[index]

    def label(self, index: int) -> str:
        return f"{self._path}, field {self.names[index] if self.names else index}"

    def in_order(self) -> "_Archive":
        return self

    def missing(self, frame: str | int) -> str:
        return f"{self._path}, field of frame {frame}"


def _find(path: Path) -> _Files | _Archive:
    """Finds the files of the fields."""
    with reading(path):
        files = field_files(path) if path.is_dir() else [path]
    is_archive = files[0].suffix.lower() == ".npz" and files[0].is_file()
    return _Archive(files[0]) if is_archive else _Files(files)


def _check_origin(path: Path, video: "Video") -> None:
    """Refuses flow that goes elsewhere than to the next frame, where that is noted beside it."""
    origin = read_flow_origin(path)
    if origin is None:
        return
    if origin.backward or origin.gap != 1:
        raise InputError(f"{path}: {origin} (flow.json), expected forward flow with a gap of 1")
    if not len(notes_beside(path)) and origin.source not in (None, video.path.name):
        _log.warning(
            "%s: made from %s, says flow.json; nothing tells whether %s is the same video",
            path, origin.source, video.path,
        )  # fmt: skip


def _is_scaled(size: Iterable[int], frame_size: Iterable[int]) -> bool:
    """Whether one factor makes flow of this size from frames of that, but for some pixels."""
    pairs = list(zip(size, frame_size, strict=True))
    off = [min(_SIDE_OFF, side / 10) for side, _ in pairs]
    least = max((side - o) / frame for (side, frame), o in zip(pairs, off, strict=True))
    most = min((side + o) / frame for (side, frame), o in zip(pairs, off, strict=True))
    return least <= most
