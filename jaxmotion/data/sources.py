"""Sources of clips with random access: sequences of flow on disk, or in built data sets.

A source has a length and gives clip `i` as named arrays, always the same for the same `i`: that is
what makes shuffling, sharding over hosts and exact resuming possible (it is the protocol of grain's
`RandomAccessDataSource`). A clip holds the fields that were asked for, see
`jaxmotion.data.sequence`, all at one size, and its `name` for logs and results.
"""

import dataclasses
import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from jaxmotion.data.aerial_source import AerialSource
from jaxmotion.data.clips import Clip, checked_index, held_out, rank
from jaxmotion.data.config import DEFAULT_CACHE_BYTES
from jaxmotion.data.davis import SequenceFiles, find_files
from jaxmotion.data.file_sequences import open_all
from jaxmotion.data.flow_cache import FlowCache
from jaxmotion.data.layouts import find_flow, is_davis
from jaxmotion.data.record_sequences import open_records
from jaxmotion.data.scene_source import SceneSource
from jaxmotion.data.sequence import Sequence
from jaxmotion.data.track_source import TrackSource
from jaxmotion.data.transforms import Resize, Size
from jaxmotion.data.video_source import VideoSource, open_videos
from jaxmotion.errors import InputError
from jaxmotion.mirror import local_copy, named
from jaxmotion.stores import is_url

_log = logging.getLogger(__name__)

OnBadClip = Literal["error", "skip"]


@dataclass(frozen=True, eq=False)
class FlowSource:
    """Clips of sequences.

    Attributes:
        sequences: sequences that the clips are from.
        clips: int `[num_clips, 3]`, sequence, earliest frame and interval of each; a negative
            interval goes from the latest frame back to the earliest.
        clip_length: T, number of frames of a clip.
        fields: names of the fields of a clip.
        size: `(height, width)` of all fields; None keeps their own.
    """

    sequences: tuple[Sequence, ...]
    clips: np.ndarray
    clip_length: int = 1
    fields: tuple[str, ...] = ("flow", "valid")
    size: Size | None = None

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Clip:
        number, start, interval = (int(i) for i in self.clips[checked_index(index, len(self))])
        sequence = self.sequences[number]
        frames = range(start, start + self.clip_length * abs(interval), abs(interval))
        clip = sequence.read(self.fields, frames if interval > 0 else frames[::-1])
        if self.size is not None:
            clip = Resize(self.size)(clip)
        return {**clip, "name": f"{sequence.name}/{start:05d}"}

    @property
    def stored_in_half(self) -> bool:
        """Whether all of the flow is stored in float16."""
        return all(self.sequences[number].half for number in np.unique(self.clips[:, 0]))

    def fingerprint(self) -> str:
        """A word that tells this flow from other flow in files of the same names, in any place.

        Two words, joined by a dot: of a few blocks of each file, and of every byte.
        """
        few = self._digest(lambda sequence: sequence.fingerprint())
        return f"{few}.{self._digest(lambda sequence: sequence.whole_fingerprint())}"

    def old_fingerprint(self) -> str:
        """The fingerprint as checkpoints of earlier versions have it; reads all flow."""
        return self._digest(lambda sequence: sequence.old_fingerprint())

    def _digest(self, of: Callable[[Sequence], bytes]) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for sequence in sorted(self.sequences, key=lambda sequence: sequence.name):
            digest.update(repr(sequence.name).encode())
            digest.update(of(sequence))
        return digest.hexdigest()

    def hold_out(self, fraction: float, seed: int = 0) -> tuple["FlowSource", "FlowSource"]:
        """Splits off whole sequences, or the end of the only one. No ground truth is looked at.

        A sequence is chosen by its name and the seed, so it stays on its side when others are
        added.

        Args:
            fraction: share of the sequences (of the frames of a single one) to validate on, between
                0 and 1.
            seed: seed of the choice.

        Returns:
            The clips to train on and those to validate on.

        Raises:
            InputError: too little data to leave clips on both sides.
        """
        present = sorted({int(i) for i in self.clips[:, 0]})
        if len(present) > 1:
            order = sorted(present, key=lambda i: rank(self.sequences[i].name, seed))
            held = np.isin(self.clips[:, 0], order[: held_out(len(present), fraction)])
            train, validation = self.clips[~held], self.clips[held]
        else:
            count = self.sequences[present[0]].length
            cut = count - held_out(count, fraction)
            last = self.clips[:, 1] + (self.clip_length - 1) * np.abs(self.clips[:, 2])
            train, validation = self.clips[last < cut], self.clips[self.clips[:, 1] >= cut]
        if not len(train) or not len(validation):
            raise InputError(
                f"{self.sequences[present[0]].name}: too short to hold out {fraction:g} of it, "
                "expected more flow or another sequence to validate on"
            )
        return dataclasses.replace(self, clips=train), dataclasses.replace(self, clips=validation)


def open_source(
    spec: str | os.PathLike,
    *,
    clip_length: int = 1,
    intervals: Iterable[int] = (1,),
    stride: int = 1,
    size: Size | None = None,
    split: str | None = None,
    flow: str | None = None,
    on_bad_clip: OnBadClip = "error",
    seed: int = 0,
    num_scenes: int = 100_000,
    fields: Iterable[str] | None = None,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    pictures: str = "",
) -> SceneSource | FlowSource | AerialSource | VideoSource | TrackSource:
    """Opens the source that a word on the command line names.

    Here the headers of files are read. What is wrong with the vectors of a field shows when it is
    read, unless clips are to be left out: to know which, all are read first.

    Args:
        spec: name of the source: "scenes:LEVEL", "tfds:NAME/CONFIG" (a data set that
            `jaxmotion.data.records.find_built` finds), or a path to flow in one of
            `jaxmotion.data.LAYOUTS`, which may be in a store (``gs://...``). Of frames without
            flow: "aerial:LEVEL" or "videos:PATH". Of tracks with their events: "tracks:LEVEL".
        clip_length: T, number of frames of a clip.
        intervals: number of frames of the sequence from one of a clip to the next; of several, each
            is a clip of its own (of scenes, they take turns), and a negative one goes backward.
        stride: number of frames from the first of one clip to that of the next.
        size: `(height, width)` to resize to, bilinearly and without rescaling vectors; flow of
            different sizes needs it. Scenes are drawn at this size, 64 x 112 when left out.
        split: name of a list of sequences of a DAVIS-like root, or of a split of a built data set;
            all when left out.
        flow: name of a folder in Flows of a DAVIS-like root that has several.
        on_bad_clip: way with clips that cannot be used: "error", or "skip" to log and leave out
            clips with a bad or missing frame.
        seed: seed of the random draws of scenes.
        num_scenes: number of scenes in an epoch.
        fields: names of the fields of a clip (`jaxmotion.data.sequence` has a table); flow and
            valid when left out, and the labels of scenes.
        cache_bytes: largest number of bytes of flow that are kept in memory.
        pictures: folder of pictures for the ground of aerial scenes; procedural ones if empty.

    Returns:
        The source.

    Raises:
        InputError: unknown, empty or damaged; the message names the file.
    """
    intervals = tuple(intervals)
    _check_options(clip_length, stride, intervals, on_bad_clip)
    kind, _, level = str(spec).partition(":")
    if kind == "scenes":
        size = size or (64, 112)
        scenes = SceneSource(level, clip_length, size, seed, num_scenes, intervals=intervals)
        return scenes if fields is None else dataclasses.replace(scenes, fields=tuple(fields))
    if kind == "tracks":
        return TrackSource(level, clip_length, size or (64, 112), seed)
    if kind in ("aerial", "videos"):
        size = size or (96, 96)
        if kind == "videos":
            return open_videos(level, clip_length, intervals, size, cache_bytes)
        if clip_length != 2:
            raise InputError(f"clip_length {clip_length}: expected 2, aerial scenes are pairs")
        return AerialSource(level, size, seed, pictures=pictures)
    wanted = ("flow", "valid") if fields is None else tuple(fields)
    cache = FlowCache(size, cache_bytes)
    if kind == "tfds":
        sequences = tuple(open_records(level, split, cache))
    else:
        root = _on_disk(spec, flow, wanted)
        with named(root, spec):
            sequences = _open_files(root, flow, split, wanted, cache, on_bad_clip)
    _check_sequences(spec, sequences, wanted)
    clips = [
        (number, start, interval)
        for number, sequence in enumerate(sequences)
        for interval in intervals
        for start in sequence.starts(clip_length, interval, stride)
    ]
    if not clips:
        longest = max((sequence.length for sequence in sequences), default=0)
        raise InputError(
            f"{spec}: no sound clip of {clip_length} frames at intervals {intervals} in "
            f"{len(sequences)} sequence(s) of at most {longest} flow fields"
        )
    return FlowSource(sequences, np.array(clips), clip_length, wanted, size)


def _on_disk(spec: str | os.PathLike, flow: str | None, fields: tuple[str, ...]) -> Path:
    """The path; of flow in a store, that of a copy of what is needed of it."""
    if not is_url(spec):
        return Path(spec)

    def needed(names: list[str]) -> list[str]:
        if set(fields) <= {"flow", "valid"} and any(n.startswith("Flows/") for n in names):
            chosen = f"Flows/{flow}/"
            chosen = chosen if any(n.startswith(chosen) for n in names) else "Flows/"
            names = [name for name in names if name.startswith(("ImageSets/", chosen))]
        return names

    return local_copy(os.fspath(spec), needed)


def _check_options(
    clip_length: int, stride: int, intervals: tuple[int, ...], on_bad_clip: str
) -> None:
    for name, value in (("clip_length", clip_length), ("stride", stride)):
        if value < 1:
            raise InputError(f"{name} {value}: expected 1 or more")
    if not intervals or 0 in intervals:
        raise InputError(f"intervals {intervals}: expected frames forward, or backward below 0")
    if on_bad_clip not in get_args(OnBadClip):
        raise InputError(f"on_bad_clip {on_bad_clip!r}: expected 'error' or 'skip'")


def _check_sequences(
    spec: str | os.PathLike, sequences: Iterable[Sequence], wanted: tuple[str, ...]
) -> None:
    """Tells where what can be used lacks a field, or has several sizes."""
    sizes = {}
    for sequence in sequences:
        if sequence.usable.any():
            sequence.check_fields(wanted)
            sizes[sequence.size] = sequence.name
    sizes.pop(None, None)
    if len(sizes) > 1:
        shown = ", ".join(f"{name} {w} x {h}" for (h, w), name in sorted(sizes.items())[:3])
        raise InputError(f"{spec}: flow of several sizes ({shown}), expected the option size")


def _open_files(
    root: Path,
    flow: str | None,
    split: str | None,
    fields: tuple[str, ...],
    cache: FlowCache,
    on_bad_clip: OnBadClip,
) -> tuple[Sequence, ...]:
    """The sequences of a path; raises the first fault, or says all of them."""
    files = [SequenceFiles(name, path) for name, path in find_flow(root, flow, split)]
    if not set(fields) <= {"flow", "valid"} and is_davis(root):
        files = [find_files(root, one.name, one.flow) for one in files]
    sequences = open_all(files, cache, thorough=on_bad_clip == "skip")
    faults = [fault for sequence in sequences for fault in sequence.faults]
    if faults and on_bad_clip == "error":
        raise InputError(faults[0])
    for fault in faults:
        _log.warning("left out: %s", fault)
    if faults:
        _log.warning("clips with any of these %d faults are left out", len(faults))
    return tuple(sequences)
