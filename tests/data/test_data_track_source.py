"""Tracks of scenes as clips: deterministic, with the true events, and what motion alone shows."""

import numpy as np
import pytest

from jaxmotion.data.sources import open_source
from jaxmotion.data.track_source import TRACKS_EACH, seen_tracks, true_tracks
from jaxmotion.errors import InputError
from jaxmotion.events import KINDS, describe_tracks
from jaxmotion.events.features import FEATURES, track_features
from jaxmotion.scenes import LEVELS, generate

SIZE = (32, 56)


def of_a_scene(seed, frames=96):
    scene = generate(LEVELS["behavior"], frames, *SIZE, seed=seed)
    return scene, describe_tracks(scene.labels, scene.flow)


def test_a_clip_follows_from_its_number():
    first, again = (open_source("tracks:behavior", clip_length=32, size=SIZE) for _ in range(2))
    assert len(first) % TRACKS_EACH == 0
    for index in (0, 5, 4):
        one, other = first[index], again[index]
        assert one["features"].shape == (32, len(FEATURES))
        for field in ("features", "events"):
            np.testing.assert_array_equal(one[field], other[field])
    train, validation = first.hold_out(0.1)
    assert len(train) + len(validation) == len(first)
    assert (train[0]["features"] != validation[0]["features"]).any()
    with pytest.raises(InputError, match="tracks:none: unknown level"):
        open_source("tracks:none")


def test_true_tracks_have_the_events_of_the_scene():
    scene, tracks = of_a_scene(2)
    told = [
        (KINDS[int(kind)], int(label), start, stop)
        for label, track in zip(tracks.labels, true_tracks(scene, tracks), strict=True)
        for kind, start, stop in track.events
        if kind >= 0
    ]
    assert sorted(told) == sorted(e for e in scene.events if e.label in tracks.labels)


def test_what_stands_still_is_seen_only_because_it_is_followed():
    scene, tracks = of_a_scene(5)
    found = seen_tracks(scene, tracks, np.random.default_rng(0))
    events = sum(int((track.events[:, 0] >= 0).sum()) for track in found)
    assert 0 < events <= len(scene.events)
    still = scene._replace(flow=np.zeros_like(scene.flow))
    assert not seen_tracks(
        still, describe_tracks(still.labels, still.flow), np.random.default_rng(0)
    )


def test_features_are_finite_and_do_not_depend_on_the_resolution():
    small, large = (
        generate(LEVELS["behavior"], 48, height, 7 * height // 4, seed=8) for height in (64, 128)
    )
    one, other = (track_features(describe_tracks(s.labels, s.flow)) for s in (small, large))
    assert np.isfinite(one).all()
    assert np.abs(one).max() <= 4
    seen = (one[..., 0] > 0) & (other[..., 0] > 0)
    assert seen.mean() > 0.5
    for name in ("right", "down", "speed", "area", "nearness"):
        place = FEATURES.index(name)
        apart = np.abs(one[..., place] - other[..., place])[seen]
        assert np.median(apart) < 0.15, name
    assert not one[~(one[..., 0] > 0)].any()
