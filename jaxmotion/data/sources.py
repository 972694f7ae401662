"""Sources of clips with random access: procedural scenes, and sequences of flow on disk.

A source has a length and gives clip `i` as a dict of numpy arrays, always the same for the same
`i`: that is what makes shuffling, sharding over hosts and exact resuming possible (it is the
protocol of grain's `RandomAccessDataSource`). A clip holds

    flow    float32 [T, H, W, 2]   pixels per frame
    valid   float32 [T, H, W]      1 where the flow is known, else 0
    name    str                    for logs and results
    labels  int32   [T, H, W]      ground truth, of scenes only; 0 is background
"""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from jaxmotion import scenes
from jaxmotion.data.layouts import find_sequences
from jaxmotion.data.sequences import FlowCache, FlowSequence, OnBadClip, inspect_all
from jaxmotion.data.tfds_source import open_records
from jaxmotion.data.transforms import Size
from jaxmotion.errors import InputError

Clip = dict[str, Any]

VALIDATION_SEED = 2_000_000
"""Of procedural scenes to validate on."""

RESERVED_SEEDS = frozenset({1_000_001, 1_000_002, 1_000_003, VALIDATION_SEED})
"""Of scenes that trained networks are tested, tuned, measured and validated on: no run trains on
them."""


class ClipSource(Protocol):
    """What a loader needs of a source."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Clip: ...

    def hold_out(self, fraction: float, seed: int = 0) -> tuple["ClipSource", "ClipSource"]:
        """Splits into clips to train on and clips to validate on, which share no flow."""
        ...


@dataclass(frozen=True)
class SceneSource:
    """Procedural scenes, drawn when asked for.

    Scene `i` is the same whoever asks, and no two seeds share a scene.

    Attributes:
      level: a name in `jaxmotion.scenes.LEVELS`, or several joined by "+", which take turns.
      num_frames: T.
      size: `(height, width)`.
      seed: which scenes, 0 or more.
      length: how many make an epoch; they cost nothing until drawn.
      first: number of the first one.
      intervals: from one frame of a clip to the next; several take turns, a negative one goes
        backward in time.
    """

    level: str
    num_frames: int = 1
    size: Size = (64, 112)
    seed: int = 0
    length: int = 100_000
    first: int = 0
    intervals: tuple[int, ...] = (1,)

    def __post_init__(self):
        if not set(self.level.split("+")) <= scenes.LEVELS.keys():
            raise InputError(
                f"scenes:{self.level}: unknown level, expected one of {', '.join(scenes.LEVELS)}"
            )
        if self.length < 1 or self.num_frames < 1 or min(self.size) < 2 or self.seed < 0:
            raise InputError(
                f"scenes:{self.level}: {self.length} clips of {self.num_frames} frames of "
                f"{self.size} with seed {self.seed}, expected positive sizes and seed >= 0"
            )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Clip:
        number = self.first + _checked(index, self.length)
        levels = self.level.split("+")
        level, turn = levels[number % len(levels)], number // len(levels)
        interval = self.intervals[turn % len(self.intervals)]
        scene = scenes.generate(
            scenes.LEVELS[level],
            (self.num_frames - 1) * abs(interval) + 1,
            *self.size,
            seed=self.seed * 2**32 + number,  # so that neighbouring seeds have no scene in common
        )
        flow = np.ascontiguousarray(scene.flow[::interval])
        return {
            "flow": flow,
            "valid": np.ones(flow.shape[:-1], np.float32),
            "labels": np.ascontiguousarray(scene.labels[::interval]),
            "name": f"{level}/{self.seed}/{number}",
        }

    def hold_out(self, fraction: float, seed: int = 0) -> tuple["SceneSource", "SceneSource"]:
        """Gives other scenes to validate on, the same whatever the seed of those to train on, so
        that runs from several seeds can be compared.

        Args:
          fraction: of the scenes to validate on, between 0 and 1.
          seed: another one gives other scenes to validate on.

        Returns:
          The scenes to train on and those to validate on.
        """
        held = _held(self.length, fraction)
        train = dataclasses.replace(self, length=self.length - held)
        return train, dataclasses.replace(self, length=held, seed=VALIDATION_SEED + seed)


@dataclass(frozen=True, eq=False)
class FlowSource:
    """Clips of sequences of flow on disk.

    Attributes:
      sequences: what `inspect_all` found.
      cache: reads them.
      clips: int `[num_clips, 3]`, sequence, earliest frame and interval of each; a negative
        interval goes from the latest frame back to the earliest.
      clip_length: T.
    """

    sequences: tuple[FlowSequence, ...]
    cache: FlowCache
    clips: np.ndarray
    clip_length: int = 1

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Clip:
        number, start, interval = (int(i) for i in self.clips[_checked(index, len(self))])
        sequence = self.sequences[number]
        frames = range(start, start + self.clip_length * abs(interval), abs(interval))
        flow, valid = self.cache.read(sequence, frames if interval > 0 else frames[::-1])
        return {"flow": flow, "valid": valid, "name": f"{sequence.name}/{start:05d}"}

    def fingerprint(self) -> str:
        """What tells this flow from other flow in files of the same names, wherever they are."""
        digest = hashlib.blake2b(digest_size=16)
        for sequence in sorted(self.sequences, key=lambda sequence: sequence.name):
            digest.update(repr(sequence.name).encode())
            one_file = len(sequence.files) == 1
            sound = [sequence.sound.any()] if one_file else list(sequence.sound)
            for file, usable in zip(sequence.files, sound, strict=True):
                digest.update(self.cache.digest(file) if usable else b"-")
        return digest.hexdigest()

    def hold_out(self, fraction: float, seed: int = 0) -> tuple["FlowSource", "FlowSource"]:
        """Splits off whole sequences, or the end of the only one. No ground truth is looked at.

        A sequence is chosen by its name and the seed, so it stays on its side when others are
        added.

        Args:
          fraction: of the sequences (frames, of a single one) to validate on, between 0 and 1.
          seed: another one chooses others.

        Returns:
          The clips to train on and those to validate on.

        Raises:
          InputError: too little data to leave clips on both sides.
        """
        present = sorted({int(i) for i in self.clips[:, 0]})
        if len(present) > 1:
            order = sorted(present, key=lambda i: _rank(self.sequences[i].name, seed))
            held = np.isin(self.clips[:, 0], order[: _held(len(present), fraction)])
            train, validation = self.clips[~held], self.clips[held]
        else:
            count = len(self.sequences[present[0]].sound)
            cut = count - _held(count, fraction)
            last = self.clips[:, 1] + (self.clip_length - 1) * np.abs(self.clips[:, 2])
            train, validation = self.clips[last < cut], self.clips[self.clips[:, 1] >= cut]
        if not len(train) or not len(validation):
            raise InputError(
                f"{self.sequences[present[0]].name}: too short to hold out {fraction:g} of it, "
                "expected more flow or another sequence to validate on"
            )
        return dataclasses.replace(self, clips=train), dataclasses.replace(self, clips=validation)


def fingerprint(source: ClipSource) -> str:
    """What tells the content of a source from another one under the same name.

    Args:
      source: any; it may have a method of this name.

    Returns:
      Empty where a source has none: what it gives follows from its options, as scenes do.
    """
    return source.fingerprint() if hasattr(source, "fingerprint") else ""  # pyright: ignore


def _checked(index: int, length: int) -> int:
    if not 0 <= index < length:
        raise IndexError(f"clip {index} of {length}")
    return int(index)


def _held(count: int, fraction: float) -> int:
    if not 0 < fraction < 1:
        raise InputError(f"a fraction of {fraction} to validate on, expected one between 0 and 1")
    return min(max(round(fraction * count), 1), max(count - 1, 1))


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()


def open_source(
    spec: str | os.PathLike,
    *,
    clip_length: int = 1,
    intervals: Sequence[int] = (1,),
    stride: int = 1,
    size: Size | None = None,
    split: str | None = None,
    flow: str | None = None,
    on_bad_clip: OnBadClip = "error",
    seed: int = 0,
    num_scenes: int = 100_000,
) -> SceneSource | FlowSource:
    """Opens the source that a word on the command line names.

    Files are read through once here, so that a bad one shows now and not in the middle of training.

    Args:
      spec: "scenes:LEVEL", "tfds:NAME/CONFIG" (see `jaxmotion.data.tfds_source.find_built`), or a
        path to flow (see `jaxmotion.data.LAYOUTS`).
      clip_length: T.
      intervals: from one frame of a clip to the next, in frames of the sequence; of several, each
        is a clip of its own (of scenes, they take turns), and a negative one goes backward.
      stride: from the first frame of one clip to that of the next.
      size: `(height, width)` to resize to, bilinearly and without rescaling vectors; flow of
        different sizes needs it. Scenes are drawn at this size, 64 x 112 when left out.
      split: of a DAVIS-like root, the list of sequences; of tfds, the split; all when left out.
      flow: of a DAVIS-like root with several folders in Flows, which one.
      on_bad_clip: "error", or "skip" to log and leave out clips with a bad or missing frame.
      seed: of scenes.
      num_scenes: of scenes, how many make an epoch.

    Returns:
      The source.

    Raises:
      InputError: unknown, empty or damaged; the message names the file.
    """
    for name, value in (("clip_length", clip_length), ("stride", stride)):
        if value < 1:
            raise InputError(f"{name} {value}: expected 1 or more")
    intervals = tuple(intervals)
    if not intervals or 0 in intervals:
        raise InputError(f"intervals {intervals}: expected frames forward, or backward below 0")
    if on_bad_clip not in ("error", "skip"):
        raise InputError(f"on_bad_clip {on_bad_clip!r}: expected 'error' or 'skip'")
    kind, _, level = str(spec).partition(":")
    if kind == "scenes":
        size = size or (64, 112)
        return SceneSource(level, clip_length, size, seed, num_scenes, intervals=intervals)
    if kind == "tfds":
        sequences, cache = open_records(level, split, size)
    else:
        places = find_sequences(spec, flow, split)
        cache = FlowCache(size)
        sequences = tuple(inspect_all(places, cache, on_bad_clip))
    sizes = {s.size: s.name for s in sequences if s.sound.any()}
    if len(sizes) > 1:
        shown = ", ".join(f"{name} {w} x {h}" for (h, w), name in sorted(sizes.items())[:3])
        raise InputError(f"{spec}: flow of several sizes ({shown}), expected the option size")
    clips = [
        (number, start, interval)
        for number, sequence in enumerate(sequences)
        for interval in intervals
        for start in sequence.starts(clip_length, interval, stride)
    ]
    if not clips:
        longest = max((len(sequence.sound) for sequence in sequences), default=0)
        raise InputError(
            f"{spec}: no sound clip of {clip_length} frames at intervals {intervals} in "
            f"{len(sequences)} sequence(s) of at most {longest} flow fields"
        )
    return FlowSource(sequences, cache, np.array(clips), clip_length)
