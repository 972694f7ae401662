"""What an object can do: ten motions, each relative to the static scene.

| kind | the object |
|---|---|
| `pass` | moves straight on |
| `circle` | moves along a circle, for most of a turn or more |
| `sway` | moves to and fro |
| `spin` | turns about itself |
| `approach`, `recede` | grows, shrinks, as what comes nearer or goes away |
| `deform` | changes its shape |
| `stop_and_go` | moves straight on, with short pauses |
| `meet`, `part` | moves up to another object, or away from it (`meeting`) |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SOLO = ("pass", "circle", "sway", "spin", "approach", "recede", "deform", "stop_and_go")
"""What an object does by itself."""

ACTIONS = (*SOLO, "meet", "part")
"""All ten motions."""

PAUSE = (5, 9)
"""Least and greatest number of frames of a pause of `stop_and_go`."""

_GREATEST_RATE = 0.18  # of a circle, radians per frame: slower than a turn about


@dataclass(frozen=True)
class Motion:
    """Motion of an object over L frames.

    Attributes:
        velocity: `[L, 2]`, frame sizes per frame.
        turn: `[L]`, radians per frame.
        growth: `[L]`, change of the logarithm of the scale per frame.
        wobble: `[L]`, pace of the clock of its deformation, 1 in `deform` and 0 elsewhere.
    """

    velocity: np.ndarray
    turn: np.ndarray
    growth: np.ndarray
    wobble: np.ndarray

    @classmethod
    def of(
        cls,
        length: int,
        velocity: np.ndarray | float = 0.0,
        turn: float = 0.0,
        growth: float = 0.0,
        wobble: float = 0.0,
    ) -> Motion:
        """A motion of constant parts, but for the velocity, `[2]` or `[L, 2]`."""
        parts = (np.full(length, float(part)) for part in (turn, growth, wobble))
        return cls(np.broadcast_to(np.asarray(velocity, float), (length, 2)), *parts)

    @property
    def way(self) -> np.ndarray:
        """Places after each frame relative to that before the first, `[L, 2]`."""
        return np.cumsum(self.velocity, axis=0)


def act(kind: str, rng: np.random.Generator, length: int, speed: float, radius: float) -> Motion:
    """Draws one of the motions that an object makes by itself.

    Args:
        kind: name of the motion, one of `SOLO`.
        rng: source of directions and rates.
        length: L, number of frames.
        speed: speed of the object, frame sizes per frame.
        radius: radius of the object, frame sizes.

    Returns:
        The motion, over all L frames.

    Raises:
        ValueError: on a kind that is none of `SOLO`.
    """
    angle, sign = rng.uniform(0, 2 * np.pi), rng.choice((-1.0, 1.0))
    heading = np.array([np.cos(angle), np.sin(angle)])
    middle = np.arange(length) + 0.5
    if kind == "pass":
        return Motion.of(length, speed * heading)
    if kind == "circle":
        turns = min(rng.uniform(0.85, 1.5), _GREATEST_RATE * length / (2 * np.pi))
        direction = angle + sign * 2 * np.pi * turns * middle / length
        return Motion.of(length, speed * np.stack([np.cos(direction), np.sin(direction)], axis=1))
    if kind == "sway":
        # Half periods of 10 frames or more, so that each reversal stands by itself.
        halves = int(np.clip(round(length / rng.uniform(10, 18)), 2, 6))
        pace = 1.5 * speed * np.sin(np.pi * halves * middle / length)
        return Motion.of(length, pace[:, None] * heading)
    if kind == "spin":
        rate = np.clip(rng.uniform(0.8, 1.6) * speed / radius, 0.06, 0.2)
        return Motion.of(length, turn=sign * rate)
    if kind in ("approach", "recede"):
        total = rng.uniform(0.35, 0.6)
        return Motion.of(length, growth=total / length * (1 if kind == "approach" else -1))
    if kind == "deform":
        return Motion.of(length, wobble=1.0)
    if kind == "stop_and_go":
        return Motion.of(length, (speed * _awake(rng, length))[:, None] * heading)
    raise ValueError(f"action {kind!r}: expected one of {', '.join(SOLO)}")


def _awake(rng: np.random.Generator, length: int) -> np.ndarray:
    """Bouts of motion with pauses between them, two at least where there is room, `[L]`."""
    pauses = max(1, min(int(rng.integers(2, 4)), (length - 6) // (PAUSE[0] + 6)))
    widths = [min(int(rng.integers(PAUSE[0], PAUSE[1] + 1)), length // 4) for _ in range(pauses)]
    bouts = np.diff(np.linspace(0, length - sum(widths), pauses + 2).round().astype(int))
    awake, t = np.ones(length), 0
    for bout, width in zip(bouts, widths, strict=False):
        awake[t + bout : t + bout + width] = 0
        t += bout + width
    return awake


def meeting(way: np.ndarray, length: int, share: float) -> tuple[Motion, Motion]:
    """Two objects that move toward each other, or apart, along a line.

    Args:
        way: way from the first one toward the other that they make together, `[2]`; backward to
            part.
        length: L, number of frames.
        share: share of the first one in it, from 0 (it stands still) to 1.
    """
    step = np.asarray(way) / length
    return Motion.of(length, share * step), Motion.of(length, (share - 1) * step)
