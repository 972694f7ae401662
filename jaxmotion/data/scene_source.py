"""Procedural scenes as sequences, and as a source of clips."""

import dataclasses
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from jaxmotion import scenes
from jaxmotion.data.clips import Clip, checked_index, held_out
from jaxmotion.data.sequence import (
    FieldArrays,
    Frames,
    Sequence,
    Timeline,
    annotation_readers,
    number_frames,
)
from jaxmotion.data.transforms import Size
from jaxmotion.errors import InputError

VALIDATION_SEED = 2_000_000
"""Seed of the procedural scenes to validate on."""

RESERVED_SEEDS = frozenset({1_000_001, 1_000_002, 1_000_003, VALIDATION_SEED})
"""Seeds of the scenes that trained networks are tested, tuned, measured and validated on; no run
trains on them."""


def draw_sequence(level: str, num_frames: int, size: Size, seed: int, name: str = "") -> Sequence:
    """A procedural scene as a sequence, drawn when the first field is read.

    Args:
        level: name of the difficulty in `jaxmotion.scenes.LEVELS`.
        num_frames: T, number of frames.
        size: `(height, width)` of the frames, in pixels.
        seed: seed of the random draws of the scene, 0 or more.
        name: name of the sequence; level and seed when left out.

    Returns:
        The sequence, with flow, valid and labels of every frame.
    """

    @cache
    def scene() -> scenes.Scene:
        return scenes.generate(scenes.LEVELS[level], num_frames, *size, seed=seed)

    def read_flow(frames: Frames) -> FieldArrays:
        flow = scene().flow[list(frames)]
        return {"flow": flow, "valid": np.ones(flow.shape[:-1], np.float32)}

    def annotations(numbers: Frames) -> tuple[np.ndarray, np.ndarray]:
        labels = scene().labels[list(numbers)]
        return labels, np.zeros(labels.shape, bool)

    def place(every_frame: bool) -> Timeline:
        del every_frame  # all are annotated
        names = tuple(number_frames(num_frames))
        files = tuple(Path(f"scenes:{level}") / f"{frame}.png" for frame in names)
        return Timeline(names, tuple(range(num_frames)), f"scenes:{level}", files)

    readers = {"flow": read_flow, "valid": read_flow, **annotation_readers(place, annotations)}
    return Sequence(
        name=name or f"{level}/{seed}",
        source=f"scenes:{level}",
        length=num_frames,
        readers=readers,
        size=size,
        units=size,
        usable=np.ones(num_frames, bool),
        run=np.zeros(num_frames, int),
        place=place,
        annotations=annotations,
    )


@dataclass(frozen=True)
class SceneSource:
    """Procedural scenes, drawn when asked for.

    Scene `i` is the same whoever asks, and no two seeds share a scene.

    Attributes:
        level: name of the difficulty in `jaxmotion.scenes.LEVELS`, or several joined by "+", which
            take turns.
        num_frames: T, number of frames of a clip.
        size: `(height, width)` of the frames, in pixels.
        seed: seed of the scenes, 0 or more.
        length: number of scenes in an epoch; they cost nothing until drawn.
        first: number of the first scene.
        intervals: frames from one of a clip to the next; several take turns, a negative one goes
            backward in time.
        fields: names of the fields of a clip.
    """

    level: str
    num_frames: int = 1
    size: Size = (64, 112)
    seed: int = 0
    length: int = 100_000
    first: int = 0
    intervals: tuple[int, ...] = (1,)
    fields: tuple[str, ...] = ("flow", "valid", "labels")

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
        draw_sequence(self.level.split("+")[0], 1, self.size, 0).check_fields(self.fields)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Clip:
        number = self.first + checked_index(index, self.length)
        levels = self.level.split("+")
        level, turn = levels[number % len(levels)], number // len(levels)
        interval = self.intervals[turn % len(self.intervals)]
        sequence = draw_sequence(
            level,
            (self.num_frames - 1) * abs(interval) + 1,
            self.size,
            seed=self.seed * 2**32 + number,  # so that neighboring seeds have no scene in common
            name=f"{level}/{self.seed}/{number}",
        )
        clip = sequence.read(self.fields, range(sequence.length)[::interval])
        return {**clip, "name": sequence.name}

    def hold_out(self, fraction: float, seed: int = 0) -> tuple["SceneSource", "SceneSource"]:
        """Gives other scenes to validate on.

        They are the same whatever the seed of those to train on, so that runs from several seeds
        can be compared.

        Args:
            fraction: share of the scenes to validate on, between 0 and 1.
            seed: seed of the scenes to validate on.

        Returns:
            The scenes to train on and those to validate on.
        """
        held = held_out(self.length, fraction)
        train = dataclasses.replace(self, length=self.length - held)
        return train, dataclasses.replace(self, length=held, seed=VALIDATION_SEED + seed)
