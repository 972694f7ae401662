"""The numbers of a track as a network takes them: compressed, and 0 where nothing is known."""

from __future__ import annotations

import numpy as np

from jaxmotion.events.rules import Rules
from jaxmotion.events.tracks import Tracks

FEATURES = (
    *("seen", "border", "right", "down", "speed", "growth", "turn"),
    *("shear", "residual", "area", "nearness", "closing", "ground"),
)
"""Names of what `track_features` stacks."""

_UNITS = Rules()
_MOST = 4.0
_REACH = 2  # frames before and after, between which the distance to the next track changes


def track_features(tracks: Tracks) -> np.ndarray:
    """Numbers of each track in each frame, for a network.

    Rates are in thresholds of the rules, of which the inverse hyperbolic sine is taken: what is
    about a threshold stays apart, and a wrong frame does no harm. ``right`` and ``down`` have the
    direction of the velocity and the length of ``speed``. ``area`` is the logarithm over what the
    track usually shows; ``nearness`` is 1 where it touches another track, and 0 far from all;
    ``closing`` is the speed at which it comes nearer to the next one.

    Args:
        tracks: the tracks of a video.

    Returns:
        float32 `[N, T, D]`, in order of `FEATURES`, within -4 and 4.
    """
    shape = tracks.area.shape
    seen = ~np.isnan(tracks.area)
    area = np.log(np.where(seen, tracks.area, 1.0))
    usual = np.array([np.median(row[known]) for row, known in zip(area, seen, strict=True)])
    usual = usual.reshape(-1, 1)
    known = tracks.ground[~np.isnan(tracks.ground)]
    ground = _UNITS.noise * (float(np.median(known)) if len(known) else 0.0)
    slow = _UNITS.speed * np.exp(usual / 2)  # of the side of a square of the usual area
    go = np.maximum(slow, ground)
    speed = np.arcsinh(tracks.speed / go)
    heading = tracks.velocity / np.maximum(tracks.speed, 1e-9)[..., None]
    distance, closing = tracks.distance, np.full(shape, np.nan)
    closing[:, _REACH:-_REACH] = distance[:, : -2 * _REACH] - distance[:, 2 * _REACH :]
    stacked = [
        seen,
        tracks.border,
        *np.moveaxis(heading * speed[..., None], -1, 0),
        speed,
        np.arcsinh(tracks.growth / _UNITS.growth),
        np.arcsinh(tracks.turn / _UNITS.turn),
        np.arcsinh(tracks.shear / _UNITS.shear),
        np.arcsinh(tracks.residual / go),
        area - usual,
        1 / (1 + distance / _UNITS.near),
        np.arcsinh(closing / (2 * _REACH) / _UNITS.closing),
        np.broadcast_to(np.arcsinh(ground / slow), shape),
    ]
    features = np.where(seen[..., None], np.stack(stacked, axis=-1), 0.0)
    return np.clip(np.nan_to_num(features), -_MOST, _MOST).astype(np.float32)
