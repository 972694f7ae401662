"""Tracks of procedural scenes as a source of clips: their numbers, and what they do.

A clip is one track. Half of the tracks have the true masks of an object. The others are what is
left of such masks where only motion shows them, and their outlines wander: nobody is seen while he
stands still, and what is followed (`jaxmotion.events.follow`) begins late, ends early, or goes on
with somebody else.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from jaxmotion.data.clips import Clip, checked_index, held_out
from jaxmotion.data.scene_source import VALIDATION_SEED
from jaxmotion.data.transforms import Size
from jaxmotion.errors import InputError
from jaxmotion.events import KINDS, Tracks, describe_tracks, follow
from jaxmotion.events.features import FEATURES, track_features
from jaxmotion.scenes import LEVELS, Scene, generate
from jaxmotion.scenes.events import SceneEvent

SCENES = 160
"""Number of scenes in an epoch: what is kept in memory of them is 0.1 MB each."""

TRACKS_EACH = 4
"""Number of clips of a scene; where it has fewer tracks, some are given twice."""

_LEAST_OVERLAP = 0.5
_NOISE = 3.0  # multiples of the ground's residual from which on motion shows, and frame sizes:
_LEAST_MOTION = 0.001


class Labeled(NamedTuple):
    """A track with what it does.

    Attributes:
        features: float32 `[T, D]`, its numbers (`jaxmotion.events.features`).
        events: float32 `[E, 3]`, number of the kind in `KINDS`, start and stop; -1 for no event.
    """

    features: np.ndarray
    events: np.ndarray


def most_events(num_frames: int) -> int:
    """E, the number of events that a clip has room for."""
    return max(16, num_frames // 4)


def true_tracks(scene: Scene, tracks: Tracks) -> list[Labeled]:
    """The tracks of the true masks of a scene.

    Args:
        scene: the scene.
        tracks: its objects, measured.
    """
    return [
        _labeled(features, [event for event in scene.events if event.label == label])
        for label, features in zip(tracks.labels, track_features(tracks), strict=True)
    ]


def seen_tracks(scene: Scene, tracks: Tracks, rng: np.random.Generator) -> list[Labeled]:
    """What motion alone would show of the objects of a scene, followed.

    Args:
        scene: the scene.
        tracks: its objects, measured.
        rng: source of what the outlines do.
    """
    masks = follow(_what_shows(scene.labels, tracks, rng), scene.flow)
    found = describe_tracks(masks, scene.flow)
    events: dict[int, list[SceneEvent]] = {int(label): [] for label in found.labels}
    for event in scene.events:
        frames = slice(event.start, event.stop)
        inside = scene.labels[frames] == event.label
        counts = np.bincount(masks[frames][inside], minlength=1)
        counts[0] = 0
        owner = int(counts.argmax())
        if owner in events and counts[owner] >= _LEAST_OVERLAP * inside.sum() > 0:
            events[owner].append(event)
    return [
        _labeled(features, events[int(label)])
        for label, features in zip(found.labels, track_features(found), strict=True)
    ]


def _what_shows(labels: np.ndarray, tracks: Tracks, rng: np.random.Generator) -> np.ndarray:
    """The labels of what moves, with outlines that are off by a pixel for a while."""
    rim = 0.5 * np.abs(tracks.growth) + np.abs(tracks.turn) + tracks.shear
    motion = np.nan_to_num(tracks.speed + 0.4 * tracks.size * rim)
    shown = motion > np.maximum(_NOISE * np.nan_to_num(tracks.ground), _LEAST_MOTION)
    shown &= rng.uniform(size=shown.shape) > 0.03
    segments, kernel = np.zeros_like(labels), np.ones((3, 3), np.uint8)
    for place, label in enumerate(tracks.labels):
        changes = np.repeat(rng.choice((-1, 0, 0, 1), size=len(labels) // 16 + 1), 16)
        for t in np.flatnonzero(shown[place]):
            mask = (labels[t] == label).astype(np.uint8)
            if changes[t]:
                mask = (cv2.dilate if changes[t] > 0 else cv2.erode)(mask, kernel)
            segments[t][mask > 0] = label
    return segments


def _labeled(features: np.ndarray, events: Sequence[SceneEvent]) -> Labeled:
    rows = np.full((most_events(len(features)), 3), -1, np.float32)
    for row, event in zip(rows, events, strict=False):
        row[:] = KINDS.index(event.kind), event.start, event.stop
    return Labeled(features, rows)


@dataclass(frozen=True)
class TrackSource:
    """Tracks of procedural scenes, drawn when they are asked for and then kept.

    Clip `i` is the same whoever asks, and no two seeds share one.

    Attributes:
        level: name of the difficulty in `jaxmotion.scenes.LEVELS`.
        num_frames: T, number of frames of a clip.
        size: `(height, width)` of the frames, in pixels.
        seed: seed of the scenes, 0 or more.
        scenes: number of scenes in an epoch.
    """

    level: str
    num_frames: int
    size: Size = (64, 112)
    seed: int = 0
    scenes: int = SCENES

    def __post_init__(self):
        if self.level not in LEVELS:
            raise InputError(
                f"tracks:{self.level}: unknown level, expected one of {', '.join(LEVELS)}"
            )
        if self.scenes < 1 or self.num_frames < 1 or min(self.size) < 2 or self.seed < 0:
            raise InputError(
                f"tracks:{self.level}: {self.scenes} scenes of {self.num_frames} frames of "
                f"{self.size} with seed {self.seed}, expected positive sizes and seed >= 0"
            )

    def __len__(self) -> int:
        return self.scenes * TRACKS_EACH

    def __getitem__(self, index: int) -> Clip:
        number, place = divmod(checked_index(index, len(self)), TRACKS_EACH)
        if number not in self._drawn:
            self._drawn[number] = self._draw(number)
        tracks = self._drawn[number][place % 2]
        name = f"tracks/{self.level}/{self.seed}/{number}/{place}"
        return {**tracks[place // 2 % len(tracks)]._asdict(), "name": name}

    def hold_out(self, fraction: float, seed: int = 0) -> tuple["TrackSource", "TrackSource"]:
        """Gives the tracks of other scenes to validate on, whatever the seed of those to train on.

        Args:
            fraction: share of the scenes to validate on, between 0 and 1.
            seed: seed of the scenes to validate on.

        Returns:
            The tracks to train on and those to validate on.
        """
        held = held_out(self.scenes, fraction)
        train = dataclasses.replace(self, scenes=max(self.scenes - held, 1))
        return train, dataclasses.replace(self, scenes=held, seed=VALIDATION_SEED + seed)

    @cached_property
    def _drawn(self) -> dict[int, tuple[list[Labeled], list[Labeled]]]:
        return {}

    def _draw(self, number: int) -> tuple[list[Labeled], list[Labeled]]:
        """Two true tracks at most, and two of those that are followed."""
        seed = self.seed * 2**32 + number
        scene = generate(LEVELS[self.level], self.num_frames, *self.size, seed=seed)
        tracks = describe_tracks(scene.labels, scene.flow)
        rng = np.random.default_rng([seed, 100])
        empty = [_labeled(np.zeros((self.num_frames, len(FEATURES)), np.float32), [])]
        views = true_tracks(scene, tracks), seen_tracks(scene, tracks, rng)
        true, seen = ([view[i] for i in rng.permutation(len(view))] or empty for view in views)
        return true, seen
