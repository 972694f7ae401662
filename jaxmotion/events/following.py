"""Segments that move become tracks that stay: what stops is still there.

A segment is a motion. Two things that move alike share one, a thing that moves another way changes
it, and one that stops is part of the background. Here the connected parts of all that moves are
followed from frame to frame, whatever segment they are in; a track that is not seen to move stays
where the flow carries it, after its last motion and before its first one. Objects that a network
told apart are followed one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

Frames = Sequence[np.ndarray] | np.ndarray
"""An array of each frame, in memory or read when asked for."""


@dataclass(frozen=True)
class Following:
    """How parts are followed.

    Attributes:
        least_area: least area of a part that begins a track, as a share of the frame.
        least_frames: frames in which a track has to be seen to move.
        patience: frames for which a track stays without being seen to move.
        overlap: share of a part, or of the track, that both have to have in common.
        whole: share of its area that a part shows of a track; one of which less is seen keeps its
            shape.
        objects: whether what has a number of its own in a frame is a part, as objects that touch
            each other are; else numbers do not matter, and parts are what is connected.
    """

    least_area: float = 0.005
    least_frames: int = 14
    patience: int = 150
    overlap: float = 0.35
    whole: float = 0.6
    objects: bool = False


OBJECTS = Following(least_area=0.001, objects=True)
"""How the objects of a network of instances are followed, which are small now and then."""


@dataclass
class _Held:
    """A track as it is in the latest frame."""

    mask: np.ndarray
    area: int  # when it was last seen to move
    seen: int = 1
    unseen: int = 0
    rest: np.ndarray = field(default_factory=lambda: np.zeros(2))  # of its way, below a pixel

    def carry(self, flow: np.ndarray, known: np.ndarray) -> bool:
        """Moves it along the flow; tells whether enough of it is left in the frame."""
        inside = self.mask & known
        if inside.any():
            self.rest = self.rest + np.median(flow[inside], axis=0)
        step = np.rint(self.rest)
        self.rest = self.rest - step
        self.mask = _shifted(self.mask, int(step[0]), int(step[1]))
        return bool(self.mask.sum() >= max(0.3 * self.area, 1))


def follow(
    segments: Frames,
    flow: Frames,
    valid: Frames | None = None,
    settings: Following = Following(),
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Follows all that moves through a video.

    Args:
        segments: int `[T, H, W]`, 0 for what does not move. Like flow and valid anything that has
            a frame at each index.
        flow: `[T, H, W, 2]`, pixels per frame.
        valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere.
        settings: how parts are followed.
        out: int `[T, H, W]` to write to, which may lie on disk; a new array if None. No more than
            one frame is held beside it.

    Returns:
        int `[T, H, W]`, 0 for the background, 1, 2, ... for the tracks, in the order in which they
        begin to move.
    """
    frames = len(segments)
    shape = np.shape(segments[0]) if frames else (0, 0)
    labels = np.zeros((frames, *shape), np.int32) if out is None else out

    def field_of(t: int) -> tuple[np.ndarray, np.ndarray]:
        known = np.ones(shape, bool) if valid is None else np.asarray(valid[t]) > 0
        return np.where(known[..., None], flow[t], 0), known

    held: dict[int, _Held] = {}
    lives: dict[int, int] = {}
    first: dict[int, int] = {}
    for t in range(frames):
        if t:
            before = field_of(t - 1)
            gone = [n for n, track in held.items() if not track.carry(*before)]
            for number in gone:
                del held[number]
        _see(_parts(np.asarray(segments[t]), settings.objects), held, first, t, settings)
        for number, track in list(held.items()):
            lives[number] = max(lives.get(number, 0), track.seen)
            lost = track.unseen > settings.patience
            if lost or (track.unseen and track.seen < settings.least_frames):
                del held[number]
        labels[t] = _painted(shape, held)
    kept = sorted(n for n, seen in lives.items() if seen >= settings.least_frames)
    names = np.zeros(max([0, *lives]) + 1, np.int32)
    names[kept] = np.arange(1, len(kept) + 1)
    begins = {int(names[number]): first[number] for number in kept}
    held = {}
    for t in reversed(range(frames)):
        labels[t] = names[labels[t]]
        _go_back(t, labels[t], held, field_of, settings)
        held |= {
            number: _Held(labels[t] == number, int((labels[t] == number).sum()))
            for number, start in begins.items()
            if start == t and not _at_border(labels[t] == number)
        }
    return labels


def _go_back(t: int, labels: np.ndarray, held: dict[int, _Held], field_of, settings) -> None:
    """Lays tracks that have not begun to move where they must have been, in place."""
    if not held:
        return
    flow, known = field_of(t)
    for number, track in list(held.items()):
        # To where the flow comes from.
        inside = track.carry(-flow, known)
        track.unseen += 1
        if not inside or track.unseen > settings.patience:
            del held[number]
            continue
        labels[track.mask & (labels == 0)] = number


def _parts(segments: np.ndarray, objects: bool) -> list[np.ndarray]:
    """What is followed of a frame: bool `[H, W]` of each part that moves."""
    if not objects:
        _, segments = cv2.connectedComponents((segments > 0).astype(np.uint8))
    return [segments == number for number in np.unique(segments[segments > 0])]


def _see(
    parts: list[np.ndarray],
    held: dict[int, _Held],
    first: dict[int, int],
    t: int,
    settings: Following,
) -> None:
    """Gives the parts of a frame that move to the tracks that they belong to, or to new ones."""
    claimed: dict[int, np.ndarray] = {}
    for inside in parts:
        area = int(inside.sum())
        owners = [
            number
            for number, track in held.items()
            if (track.mask & inside).sum() >= settings.overlap * min(area, track.mask.sum())
        ]
        if not owners and area >= settings.least_area * inside.size:
            number = max(first, default=0) + 1
            first[number] = t
            held[number] = _Held(inside, area, seen=0)
            owners = [number]
        for number, mine in zip(owners, _shared_out(inside, owners, held), strict=True):
            claimed[number] = claimed.get(number, np.zeros_like(inside)) | mine
    for number, track in held.items():
        mine = claimed.get(number)
        if mine is None:
            track.unseen += 1
            continue
        track.seen, track.unseen = track.seen + 1, 0
        if mine.sum() >= settings.whole * track.mask.sum():
            track.mask, track.area, track.rest = mine, int(mine.sum()), np.zeros(2)


def _shared_out(
    inside: np.ndarray, owners: list[int], held: dict[int, _Held]
) -> Iterable[np.ndarray]:
    """The pixels of a part for each of its owners: those that are nearest to it."""
    if len(owners) < 2:
        return [inside] * len(owners)
    away = np.stack([_distance(held[number].mask) for number in owners])
    nearest = away.argmin(axis=0)
    return [inside & (nearest == place) for place in range(len(owners))]


def _distance(mask: np.ndarray) -> np.ndarray:
    """Distance of each pixel to a mask, less than 0 within it."""
    outer, inner = (
        cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 3) for part in (~mask, mask)
    )
    return outer - inner


def _painted(shape: tuple[int, ...], held: dict[int, _Held]) -> np.ndarray:
    """The frame's labels; who moves is before who stands still."""
    labels = np.zeros(shape, np.int32)
    for number, track in sorted(held.items(), key=lambda item: -item[1].unseen):
        labels[track.mask] = number
    return labels


def _shifted(mask: np.ndarray, right: int, down: int) -> np.ndarray:
    moved = np.zeros_like(mask)
    height, width = mask.shape
    if abs(right) < width and abs(down) < height:
        rows = slice(max(down, 0), height + min(down, 0))
        columns = slice(max(right, 0), width + min(right, 0))
        back_rows = slice(max(-down, 0), height + min(-down, 0))
        back_columns = slice(max(-right, 0), width + min(-right, 0))
        moved[rows, columns] = mask[back_rows, back_columns]
    return moved


def _at_border(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())
