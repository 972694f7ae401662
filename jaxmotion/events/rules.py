"""Events told by rules from the numbers of `Tracks`: thresholds with hysteresis, no training.

| kind | the track |
|---|---|
| `go`, `stop` | changes its place relative to the background; neither moves, turns nor changes |
| `turn` | reverses: `TURN_REACH` frames before and after |
| `enter`, `leave` | comes into the frame until it is wholly inside, goes out of it |
| `occluded` | shows less than half of itself, or nothing, within the frame |
| `meet`, `part` | moves up to another track and stays there; moves off where it had been |
| `pass`, `circle`, `sway`, `stop_and_go` | goes straight on; around; to and fro; with pauses |
| `spin`, `approach`, `recede`, `deform` | turns about itself; grows; shrinks; is not rigid |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxmotion.events.signals import bouts, running_median, upper_fifth
from jaxmotion.events.tracks import Tracks

TURN_REACH = 4
"""Frames before and after a reversal that are the event `turn`."""

KINDS = (
    *("go", "stop", "turn", "enter", "leave", "occluded", "meet", "part"),
    *("pass", "circle", "sway", "stop_and_go", "spin", "approach", "recede", "deform"),
)
"""All kinds of events that the rules tell."""


class Event(NamedTuple):
    """Something that a track does.

    Attributes:
        kind: name of what it does, one of `KINDS`.
        track: label of the track.
        start: first frame.
        stop: one past the last frame.
        score: how sure it is, from 0 to 1; 0.5 is just above the threshold.
    """

    kind: str
    track: int
    start: int
    stop: int
    score: float


@dataclass(frozen=True)
class Rules:
    """Thresholds of the rules. Lengths are frame sizes, times are frames.

    Attributes:
        speed: speed from which on a track goes, sizes of the track per frame.
        noise: the same, in multiples of what the background's motion leaves of its flow; the
            greater of the two counts.
        turn: angle per frame from which on a track spins, radians.
        growth: growth of the logarithm of its area from which on it approaches or recedes.
        shear: shear from which on it deforms.
        closing: speed at which two tracks meet or part.
        near: distance of two tracks that are together.
        hold: frames for which they have to be.
        low: share of a threshold that ends what began above it.
        smooth: frames of the running median, odd.
        least: frames of the shortest event.
        bridge: frames of the longest gap in an event.
        pause: frames of the longest pause of `stop_and_go`.
        around: frames before and after in which a track shows how large it is unoccluded.
        sure: least score of an event that is told.
    """

    speed: float = 0.02
    noise: float = 3.0
    turn: float = 0.04
    growth: float = 0.013
    shear: float = 0.02
    closing: float = 0.003
    near: float = 0.08
    hold: int = 8
    low: float = 0.5
    smooth: int = 7
    least: int = 5
    bridge: int = 3
    pause: int = 11
    around: int = 30
    sure: float = 0.25


def find_events(tracks: Tracks, rules: Rules = Rules()) -> list[Event]:
    """Tells what the tracks do.

    Args:
        tracks: the tracks of a video.
        rules: the thresholds.

    Returns:
        The events, in the order of time.
    """
    states = [_Track(tracks, place, rules) for place in range(len(tracks.labels))]
    found = list(_meetings(states, tracks, rules))
    for state in states:
        found += state.events([event for event in found if event.track == state.label])
    told = [event for event in found if event.score >= rules.sure]
    return sorted(told, key=lambda e: (e.start, e.stop, e.track, e.kind))


def _sure(ratio: float) -> float:
    """Score of what is `ratio` times its threshold."""
    return float(ratio / (1 + ratio)) if np.isfinite(ratio) else 0.5


class _Track:
    """One track, smoothed, and the rules for it."""

    def __init__(self, tracks: Tracks, place: int, rules: Rules) -> None:
        self.label, self.rules = int(tracks.labels[place]), rules
        width = rules.smooth
        self.seen = ~np.isnan(tracks.area[place])
        self.area, self.border = tracks.area[place], tracks.border[place]
        self.body = float(np.sqrt(np.median(self.area[self.seen])))
        self.velocity = np.stack(
            [running_median(tracks.velocity[place, :, axis], width) for axis in range(2)], axis=1
        )
        self.speed = np.hypot(*self.velocity.T)
        self.turning = running_median(tracks.turn[place], width)
        self.growing = running_median(tracks.growth[place], width)
        self.shear = running_median(tracks.shear[place], width)
        known = tracks.ground[~np.isnan(tracks.ground)]
        ground = float(np.median(known)) if len(known) else 0.0
        self.go = max(rules.speed * self.body, rules.noise * ground)

    def events(self, together: list[Event]) -> list[Event]:
        """All events but those of two tracks, which are given."""
        return [*self._places(together), *self._rates(), *self._sight()]

    def _event(self, kind: str, start: int, stop: int, score: float) -> Event:
        return Event(kind, self.label, start, stop, score)

    def _bouts(self, signal: np.ndarray, bridge: int | None = None) -> list[tuple[int, int]]:
        """Bouts of a signal in multiples of its threshold."""
        r = self.rules
        return bouts(signal, 1.0, r.low, r.least, r.bridge if bridge is None else bridge)

    def _rates(self) -> Iterator[Event]:
        """What it does on the spot, and where it does nothing at all."""
        r = self.rules
        moving, spin = self.speed / self.go, np.abs(self.turning) / r.turn
        signals = {
            "spin": (spin, moving),
            "deform": (self.shear / r.shear, np.fmax(moving, spin)),
            "approach": (self.growing / r.growth, np.fmax(moving, spin)),
            "recede": (-self.growing / r.growth, np.fmax(moving, spin)),
        }
        deformed: list[Event] = []
        for kind, (signal, rival) in signals.items():
            for start, stop in self._bouts(signal, 5 if kind == "deform" else None):
                if stop - start < 2 * r.least:
                    continue
                here, there = (np.nanmedian(part[start:stop]) for part in (signal, rival))
                sure = _sure(here / max(1.0, there)) * min(1.0, (stop - start) / 15)
                if any(_within(event, start, stop) > 0.5 for event in deformed):
                    continue  # what wobbles grows and shrinks by turns
                event = self._event(kind, start, stop, sure)
                if kind == "deform":
                    deformed.append(event)
                yield event
        busy = np.fmax.reduce([moving, *(np.abs(signal) for signal, _ in signals.values())])
        for start, stop in bouts(-busy, -r.low, -1.0, r.least):
            quiet = max(float(np.nanmedian(busy[start:stop])), 0.05)
            yield self._event("stop", start, stop, _sure(1 / quiet))

    def _places(self, together: list[Event]) -> Iterator[Event]:
        """How it changes its place."""
        signal = self.speed / self.go
        turns = list(self._turns())
        yield from turns
        rounds: list[list[tuple[int, int]]] = []
        for start, stop in self._bouts(signal):
            score = _sure(np.nanmedian(signal[start:stop]))
            yield self._event("go", start, stop, score)
            if rounds and self._goes_on(rounds[-1][-1], (start, stop)):
                rounds[-1].append((start, stop))
            else:
                rounds.append([(start, stop)])
        for parts in rounds:
            start, stop = parts[0][0], parts[-1][1]
            if any(_shared(event, start, stop) > 0.5 for event in together):
                continue
            kind, sure = self._way(start, stop, len(parts), turns)
            yield self._event(kind, start, stop, sure * _sure(np.nanmedian(signal[start:stop])))

    def _goes_on(self, before: tuple[int, int], after: tuple[int, int]) -> bool:
        """Whether a bout is the one before, resumed after a pause."""
        if after[0] - before[1] > self.rules.pause or not self.seen[before[1] : after[0]].all():
            return False
        one, other = (np.nansum(self.velocity[slice(*bout)], axis=0) for bout in (before, after))
        return bool(one @ other > 0.7 * np.hypot(*one) * np.hypot(*other))

    def _way(self, start: int, stop: int, parts: int, turns: list[Event]) -> tuple[str, float]:
        """The kind of way that it goes, and how surely."""
        steps = self.velocity[start:stop]
        steps = steps[~np.isnan(steps).any(axis=1)]
        straight = float(np.hypot(*steps.sum(axis=0)) / max(np.hypot(*steps.T).sum(), 1e-9))
        if parts > 1:
            return "stop_and_go", straight
        if any(start <= turn.start and turn.stop <= stop for turn in turns):
            return "sway", 1 - straight
        return ("pass", straight) if straight > 0.8 else ("circle", 1 - 0.5 * straight)

    def _turns(self) -> Iterator[Event]:
        reach = TURN_REACH
        if len(self.speed) <= 2 * reach:
            return
        before, after = self.velocity[: -2 * reach], self.velocity[2 * reach :]
        lengths = np.hypot(*before.T) * np.hypot(*after.T)
        least = np.minimum(np.hypot(*before.T), np.hypot(*after.T))
        against = np.full(len(self.speed), np.nan)
        against[reach:-reach] = np.where(
            least > self.rules.low * self.go,
            -(before * after).sum(axis=1) / (lengths + 1e-12),
            np.nan,
        )
        slow = np.convolve(self.speed < 0.3 * self.go, np.ones(2 * reach - 1), "same")
        against = np.where(slow > 4, np.nan, against)
        for start, stop in bouts(against, 0.5, 0.5, 2, 1):
            middle = (start + stop) // 2
            score = _sure(2 * float(np.nanmax(against[start:stop])))
            yield self._event("turn", middle - reach, middle + reach, score)

    def _sight(self) -> Iterator[Event]:
        """What happens at the border of the frame, and within it behind something."""
        r, num_frames = self.rules, len(self.seen)
        for start, stop in bouts(self.seen.astype(float), 0.5, 0.5, 1, 2):
            inner = start + np.flatnonzero(~self.border[start:stop])
            if not len(inner):
                continue
            first, last = int(inner[0]), int(inner[-1])
            if start > 0 and first - start >= r.least - 1:
                yield self._event("enter", start, first, 0.9)
            if stop < num_frames and stop - last - 1 >= r.least - 1:
                yield self._event("leave", last + 1, stop, 0.9)
        whole = np.where(self.border, np.nan, self.area)
        usual = upper_fifth(whole, r.around)
        hidden = usual / whole
        for start, stop in bouts(hidden, 2.2, 1.8, r.least, 2):
            yield self._event("occluded", start, stop, _sure(np.nanmedian(hidden[start:stop]) - 1))


def _shared(event: Event, start: int, stop: int) -> float:
    shared = min(event.stop, stop) - max(event.start, start)
    return max(0, shared) / max(event.stop - event.start, stop - start)


def _within(event: Event, start: int, stop: int) -> float:
    return max(0, min(event.stop, stop) - max(event.start, start)) / (stop - start)


def _meetings(states: list[_Track], tracks: Tracks, rules: Rules) -> Iterator[Event]:
    """`meet` and `part` of every two tracks, an event for each of them."""
    for pair, gap in tracks.gaps.items():
        gap = running_median(gap, rules.smooth)
        closing = np.full(len(gap), np.nan)
        closing[2:-2] = (gap[:-4] - gap[4:]) / 4
        busy = np.fmax.reduce([states[place].speed / states[place].go for place in pair])
        for kind, signal in (("meet", closing), ("part", -closing)):
            for start, stop in bouts(
                signal / rules.closing, 1.0, rules.low, rules.least, rules.bridge
            ):
                edge = stop if kind == "meet" else start - rules.hold
                held = slice(max(edge, 0), edge + rules.hold)
                together = (gap[held] < rules.near) & (busy[held] < 1)
                if together.sum() < 0.7 * rules.hold:
                    continue
                score = _sure(np.nanmedian(signal[start:stop]) / rules.closing)
                for place in pair:
                    yield Event(kind, int(tracks.labels[place]), start, stop, score)
