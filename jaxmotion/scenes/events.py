"""What happens in a scene and when: exact, from the generator's own clocks, paths and outlines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

LEAST_SEEN = 0.002
"""Share of the frame from which on an object counts as seen."""

TURN_REACH = 4
"""Frames before and after a reversal that are the event `turn`."""

_LEAST_FRAMES = 4


class SceneEvent(NamedTuple):
    """Something that an object does.

    Attributes:
        kind: name of what it does, see `jaxmotion.scenes.behavior`.
        label: label of the object.
        start: first frame.
        stop: one past the last frame.
    """

    kind: str
    label: int
    start: int
    stop: int


def motion_events(label: int, own: np.ndarray, still: np.ndarray) -> list[SceneEvent]:
    """When an object goes, stands still and turns about, told from its own motion.

    Args:
        label: label of the object.
        own: motion relative to the static scene, `[T, 2]`.
        still: bool `[T]`, frames in which it neither moves nor turns nor changes.

    Returns:
        `go` where it changes its place; `stop` where it is still; `turn`, the `TURN_REACH` frames
        before and after an instant at which the direction has changed by 120 degrees or more.
    """
    goes = np.hypot(*own.T) > 1e-9
    events = [SceneEvent("go", label, *run) for run in runs(goes) if run[1] - run[0] > 1]
    events += [
        SceneEvent("stop", label, *run)
        for run in runs(still & ~goes)
        if run[1] - run[0] >= _LEAST_FRAMES
    ]
    reach = TURN_REACH
    if len(own) > 2 * reach:
        before, after = own[: -2 * reach], own[2 * reach :]
        lengths = np.hypot(*before.T) * np.hypot(*after.T)
        turned = np.zeros(len(own), bool)
        turned[reach:-reach] = (before * after).sum(axis=1) < -0.5 * lengths
        # Where it pauses in between it does not turn: it stops, and goes another way.
        paused = np.convolve(~goes, np.ones(2 * reach - 1), "same") > 2
        for start, stop in runs(turned & ~paused):
            middle = (start + stop) // 2
            events.append(SceneEvent("turn", label, middle - reach, middle + reach))
    return events


class Sight:
    """How much of each object the frames show, as they are painted."""

    def __init__(self, num_objects: int, num_frames: int, num_pixels: int) -> None:
        shape = (num_objects + 1, num_frames)
        self._pixels = num_pixels
        self._whole, self._seen = np.zeros(shape, int), np.zeros(shape, int)
        self._border = np.zeros(shape, bool)

    def add(self, frame: int, label: int, inside: np.ndarray, at_border: bool) -> None:
        """Adds what a layer of an object has within the frame, before anything is painted over it.

        Args:
            frame: index of the frame.
            label: label of the object.
            inside: bool `[h, w]`, its pixels.
            at_border: whether some of them are at the border of the frame.
        """
        self._whole[label, frame] += int(inside.sum())
        self._border[label, frame] |= at_border

    def finish(self, frame: int, labels: np.ndarray) -> None:
        """Adds the labels `[H, W]` of a painted frame."""
        self._seen[:, frame] = np.bincount(labels.ravel(), minlength=len(self._seen))

    def events(self, acts: Iterable[SceneEvent]) -> tuple[SceneEvent, ...]:
        """All events of the scene, in the order of time.

        Args:
            acts: what the objects do, seen or not. Of each event the frames from the first to the
                last one that shows its object are kept, if at least half of its frames do.

        Returns:
            These, and `enter` (from the first sight until it is wholly in the frame), `leave` (the
            same backward in time) and `occluded` (less than half of what is in the frame is seen).
        """
        least = LEAST_SEEN * self._pixels
        found = []
        for event in acts:
            shown = np.flatnonzero(self._seen[event.label, event.start : event.stop] >= least)
            if 2 * len(shown) >= max(event.stop - event.start, 1):
                first, last = (event.start + int(shown[i]) for i in (0, -1))
                found.append(event._replace(start=first, stop=last + 1))
        for label in range(1, len(self._seen)):
            found += self._of_sight(label, least)
        return tuple(sorted(set(found), key=lambda e: (e.start, e.stop, e.label, e.kind)))

    def _of_sight(self, label: int, least: float) -> Iterator[SceneEvent]:
        there, at_border = self._whole[label] >= max(least, 1), self._border[label]
        num_frames = len(there)
        for start, stop in runs(there):
            inner = start + np.flatnonzero(~at_border[start:stop])
            if not len(inner):
                continue
            first, last = int(inner[0]), int(inner[-1])
            if start > 0 and first - start >= _LEAST_FRAMES:
                yield SceneEvent("enter", label, start, first)
            if stop < num_frames and stop - last - 1 >= _LEAST_FRAMES:
                yield SceneEvent("leave", label, last + 1, stop)
        for start, stop in runs(there & (2 * self._seen[label] < self._whole[label])):
            if stop - start >= _LEAST_FRAMES:
                yield SceneEvent("occluded", label, start, stop)


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Stretches of true values: `(start, stop)` of each, `stop` being one past the last.

    Args:
        flags: bool `[T]`.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
