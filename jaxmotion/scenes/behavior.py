"""Long scenes in which objects do something, one thing after the other, and rest in between.

First the timeline is drawn: which object does what in which frames, and which two of them meet.
Then the objects go through it together, frame by frame, since where one has got to by then decides
whither it goes next. The camera sways, so that the place stays in sight.

The events are the ten motions of `jaxmotion.scenes.actions`; `go` and `stop`, the bouts in which an
object changes its place and those in which it is wholly still; `turn`, about a reversal
(`motion_events`); `enter`, `leave` and `occluded` (`Sight.events`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from jaxmotion.scenes.actions import Motion, act, meeting
from jaxmotion.scenes.camera import Camera, swing
from jaxmotion.scenes.config import BehaviorConfig
from jaxmotion.scenes.events import SceneEvent, motion_events
from jaxmotion.scenes.layers import Deformation, Layer
from jaxmotion.scenes.occluders import draw_occluders, free_position
from jaxmotion.scenes.outlines import draw_outline

_TRIES = 8  # directions among which an object chooses one that keeps it in the frame
_INNER = 0.75  # share of the frame in which its center should stay
_NEAR = 0.08  # gap between two objects that are together, frame sizes


@dataclass
class _Slot:
    """Frames in which an object is to do something."""

    kind: str
    start: int
    stop: int
    partner: int = -1


@dataclass
class _Actor:
    """An object: what it is, where it has got to, and what it has done."""

    label: int
    radius: float
    speed: float
    path: np.ndarray
    slots: list[_Slot] = field(default_factory=list)
    events: list[SceneEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        frames = len(self.path) - 1
        self.own = np.zeros((frames, 2))
        self.turn, self.growth, self.wobble = (np.zeros(frames) for _ in range(3))

    def size(self, t: int) -> float:
        """Radius in frame t."""
        return self.radius * float(np.exp(self.growth[:t].sum()))

    def does(self, kind: str, start: int, motion: Motion) -> None:
        """Writes a motion into what is to come."""
        frames = slice(start, start + len(motion.turn))
        self.own[frames], self.turn[frames] = motion.velocity, motion.turn
        self.growth[frames], self.wobble[frames] = motion.growth, motion.wobble
        self.events.append(SceneEvent(kind, self.label, frames.start, frames.stop))

    def still(self) -> np.ndarray:
        """Frames in which it does nothing, bool `[T]`."""
        return ~(self.own.any(axis=1) | (self.turn != 0) | (self.growth != 0) | (self.wobble != 0))


def draw_behavior(
    rng: np.random.Generator, config: BehaviorConfig, num_frames: int, extent: tuple[float, float]
) -> tuple[Camera, list[Layer]]:
    """Draws the camera's motion and the layers, far to near, which know their events.

    Args:
        rng: source of everything.
        config: distribution to draw from.
        num_frames: T, number of frames.
        extent: half width and half height of the frame, in frame sizes.
    """
    times = np.arange(num_frames + 1.0)
    rate = config.camera_speed * float(np.exp(0.6 * np.clip(rng.normal(), -2, 2)))
    camera = Camera(
        focal=2 * max(extent) * rng.uniform(0.8, 1.6),
        translation_share=config.camera_translation * rng.uniform(0.5, 1.5),
        pan=np.diff([swing(rng, times, rate, 0.15) for _ in range(2)], axis=1).T,
        zoom=swing(rng, times, config.camera_zoom * rng.uniform(0, 2), 0.1),
        roll=swing(rng, times, config.camera_roll * rng.uniform(0, 2), 0.1),
    )
    chances = np.asarray(config.object_probabilities) / np.sum(config.object_probabilities)
    actors: list[_Actor] = []
    homes: list[tuple[np.ndarray, float]] = []
    for index in range(1 + rng.choice(len(chances), p=chances)):
        radius = float(np.sqrt(np.exp(rng.uniform(*np.log(config.object_area))) / np.pi))
        home = free_position(rng, extent, radius, homes)
        homes.append((home, radius))
        spread = config.object_speed_spread * np.clip(rng.normal(), -2, 2)
        path = np.empty((num_frames + 1, 2))
        path[0] = home
        speed = config.object_speed * float(np.exp(spread))
        actors.append(_Actor(index + 1, radius, speed, path))
    _plan(rng, config, num_frames, actors)
    for t in range(num_frames):
        for actor in actors:
            for slot in actor.slots:
                if slot.start == t:
                    _begin(rng, config, t, slot, actor, actors, extent)
        for actor in actors:
            seen = camera.flow_at(t, actor.path[t], 1.0)
            actor.path[t + 1] = actor.path[t] + actor.own[t] + seen
    layers = [_layer(rng, config, camera, actor) for actor in actors]
    rng.shuffle(layers)  # type: ignore[arg-type]
    behind, before = draw_occluders(rng, config, camera, homes, extent)
    return camera, behind + layers + before


def _layer(
    rng: np.random.Generator, config: BehaviorConfig, camera: Camera, actor: _Actor
) -> Layer:
    angle, growth, clock = (
        np.concatenate([[0.0], np.cumsum(part)])
        for part in (actor.turn, actor.growth, actor.wobble)
    )
    pace = config.deformation * actor.radius * rng.uniform(0.7, 1.3)
    return Layer(
        draw_outline(rng, config, actor.radius),
        actor.label,
        rho=1.0,
        path=actor.path,
        angle=rng.uniform(0, 2 * np.pi) + angle + camera.roll,
        log_scale=growth + camera.zoom - camera.zoom[0],
        deformation=Deformation.draw(rng, clock, actor.radius, pace),
        acts=(*actor.events, *motion_events(actor.label, actor.own, actor.still())),
    )


def _plan(
    rng: np.random.Generator, config: BehaviorConfig, num_frames: int, actors: list[_Actor]
) -> None:
    """Draws the timeline of each object."""
    reserved: list[list[tuple[int, int]]] = [[] for _ in actors]
    longest, most_rest = config.action_length[1], config.rest_length[1]
    block = 2 * longest + most_rest
    for first in range(0, num_frames - block + 1, 256):
        if len(actors) < 2 or rng.uniform() >= config.meetings:
            continue
        one, other = rng.permutation(len(actors))[:2].tolist()
        start = first + int(rng.integers(min(num_frames - first, 256) - block + 1))
        hold = int(rng.integers(config.rest_length[0], most_rest + 1))
        parts = start + longest + hold
        actors[one].slots += [
            _Slot("meet", start, start + longest, other),
            _Slot("part", parts, parts + longest, other),
        ]
        for index in (one, other):
            reserved[index].append((start - config.rest_length[0], start + block))
    for actor, taken in zip(actors, reserved, strict=True):
        number = int(rng.integers(config.actions_each[0], config.actions_each[1] + 1))
        spare = num_frames / number - sum(config.action_length) / 2
        t = _rest(rng, config, spare)
        for start, stop in [*sorted(taken), (num_frames, num_frames)]:
            while t + config.action_length[0] <= start:
                length = int(rng.integers(config.action_length[0], longest + 1))
                kind = str(rng.choice(config.actions))
                actor.slots.append(_Slot(kind, t, min(t + length, start)))
                t += length + _rest(rng, config, spare)
            t = max(t, stop + _rest(rng, config, spare))


def _rest(rng: np.random.Generator, config: BehaviorConfig, spare: float) -> int:
    """Frames until the next action; more in a long scene of few actions."""
    rest = rng.integers(config.rest_length[0], config.rest_length[1] + 1)
    return int(rest + max(0.0, spare - np.mean(config.rest_length)) * rng.uniform(0, 2))


def _begin(
    rng: np.random.Generator,
    config: BehaviorConfig,
    t: int,
    slot: _Slot,
    actor: _Actor,
    actors: list[_Actor],
    extent: tuple[float, float],
) -> None:
    """Lets an object begin what its timeline says, as far as its place allows."""
    place, length, half = actor.path[t], slot.stop - slot.start, np.array(extent)
    if slot.partner >= 0:
        _meet_or_part(rng, t, slot, actor, actors[slot.partner], half)
        return
    kind, grown = slot.kind, float(actor.growth[:t].sum())
    if abs(grown) > 0.2 and kind in ("approach", "recede"):  # neither vanishes nor fills the frame
        kind = "recede" if grown > 0 else "approach"
    outside = bool((np.abs(place) > half).any())
    if outside:  # nobody would see it: it comes back
        kind = "pass"
    elif kind == "pass" and rng.uniform() < config.leaving:
        side = int(np.argmin(half - np.abs(place)))
        heading = np.eye(2)[side] * (1 if place[side] > 0 else -1)
        way = half[side] - abs(place[side]) + 1.8 * actor.size(t)
        if way <= 2 * actor.speed * length:
            actor.does(kind, t, Motion.of(length, heading * way / length))
            return
    if outside:
        target = rng.uniform(-0.5, 0.5, 2) * half
        actor.does(kind, t, Motion.of(length, (target - place) / length))
        return
    speed = actor.speed * rng.uniform(0.8, 1.25)
    tries = [act(kind, rng, length, speed, actor.size(t)) for _ in range(_TRIES)]
    actor.does(kind, t, min(tries, key=lambda motion: _excess(place, motion, half)))


def _meet_or_part(
    rng: np.random.Generator, t: int, slot: _Slot, one: _Actor, other: _Actor, half: np.ndarray
) -> None:
    """Two objects meet if both are in the frame and apart, and part if they are together."""
    between = other.path[t] - one.path[t]
    distance = float(np.hypot(*between)) + 1e-9
    gap = distance - one.size(t) - other.size(t)
    if max(np.abs(actor.path[t] / half).max() for actor in (one, other)) > 1:
        return
    if (slot.kind == "meet") != (gap > _NEAR + 0.1):
        return
    way = gap - 0.5 * _NEAR if slot.kind == "meet" else -rng.uniform(0.25, 0.4)
    shares, pair = rng.permutation((0.0, 0.5, 1.0)), (one, other)
    speed = rng.uniform(0.8, 1.3) * 0.5 * (one.speed + other.speed)
    length = int(np.clip(abs(way) / speed, 12, slot.stop - slot.start))
    tries = [meeting(way * between / distance, length, share) for share in shares]
    excess = [
        max(_excess(a.path[t], m, half) for a, m in zip(pair, motions, strict=True))
        for motions in tries
    ]
    for actor, motion in zip(pair, tries[int(np.argmin(excess))], strict=True):
        actor.does(slot.kind, t, motion)


def _excess(place: np.ndarray, motion: Motion, half: np.ndarray) -> float:
    """How far a motion leads out of the inner part of the frame; 0 for not at all."""
    return max(0.0, float(np.max(np.abs(place + motion.way) / half)) - _INNER)
