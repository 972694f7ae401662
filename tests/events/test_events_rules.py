"""The rules, on made-up tracks and on scenes without errors."""

from dataclasses import fields, replace

import numpy as np
import pytest

from jaxmotion.events import KINDS, Rules, Tracks, bouts, describe_tracks, find_events
from jaxmotion.events.scores import Span, average_precision, f1
from jaxmotion.scenes import LEVELS, generate

FRAMES = 120


def made_up(count=1, **arrays):
    """Tracks of a square of a tenth of the frame's size that stands still, but for some arrays."""
    shapes = {"place": (2,), "box": (4,), "velocity": (2,)}
    names = [f.name for f in fields(Tracks) if f.name not in ("labels", "gaps", "ground", "border")]
    full = {name: np.zeros((count, FRAMES, *shapes.get(name, ()))) for name in names}
    full |= {"area": np.full((count, FRAMES), 0.01), "border": np.zeros((count, FRAMES), bool)}
    given = {"gaps": {}, "ground": np.full(FRAMES, 1e-4), **full, **arrays}
    return Tracks(np.arange(1, count + 1), **given)


def found(tracks, kind):
    return [(e.start, e.stop) for e in find_events(tracks) if e.kind == kind]


def along(*parts):
    """Velocities of a track: `(frames, u, v)` of each part."""
    return np.concatenate([np.tile((u, v), (n, 1)) for n, u, v in parts])[None].astype(float)


def test_what_stands_still_stops_and_nothing_else():
    events = find_events(made_up())
    assert [(e.kind, e.start, e.stop) for e in events] == [("stop", 0, FRAMES)]


def test_a_bout_of_motion_is_a_pass():
    tracks = made_up(velocity=along((40, 0, 0), (30, 0.01, 0.004), (50, 0, 0)))
    assert found(tracks, "go") == found(tracks, "pass") == [(40, 70)]
    assert found(tracks, "stop") == [(0, 40), (70, 120)]


def test_pauses_make_it_stop_and_go_and_long_ones_two_passes():
    tracks = made_up(velocity=along((20, 0, 0), (15, 0.01, 0), (8, 0, 0), (77, 0.01, 0)))
    assert found(tracks, "stop_and_go") == [(20, 120)]
    assert found(tracks, "pass") == []
    assert found(tracks, "go") == [(20, 35), (43, 120)]
    tracks = made_up(velocity=along((20, 0, 0), (25, 0.01, 0), (20, 0, 0), (55, 0.01, 0)))
    assert found(tracks, "pass") == [(20, 45), (65, 120)]


def test_a_reversal_is_a_turn_of_a_sway():
    tracks = made_up(velocity=along((30, 0, 0), (20, 0.01, 0), (20, -0.01, 0), (50, 0, 0)))
    assert found(tracks, "turn") == [(46, 54)]
    assert found(tracks, "sway") == [(30, 70)]


def test_a_circle_is_none_of_these():
    angle = np.linspace(0, 2 * np.pi, 50)
    way = np.zeros((1, FRAMES, 2))
    way[0, 30:80] = 0.01 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    tracks = made_up(velocity=way)
    assert found(tracks, "circle") == [(30, 80)]
    assert found(tracks, "turn") == found(tracks, "pass") == []


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("spin", "turn", -0.1),
        ("approach", "growth", 0.03),
        ("recede", "growth", -0.03),
        ("deform", "shear", 0.06),
    ],
)
def test_a_rate_above_its_threshold_is_an_event(kind, name, value):
    rate = np.zeros((1, FRAMES))
    rate[0, 50:80] = value
    tracks = made_up(**{name: rate})
    assert [(e.kind, e.start, e.stop) for e in find_events(tracks)] == [
        ("stop", 0, 50),
        (kind, 50, 80),
        ("stop", 80, FRAMES),
    ]


def test_two_tracks_meet_and_part_where_they_stay_together():
    gap = np.r_[np.linspace(0.4, 0.02, 40), np.full(40, 0.02), np.linspace(0.02, 0.4, 40)]
    way = along((40, 0.01, 0), (40, 0, 0), (40, -0.01, 0))
    tracks = made_up(2, velocity=np.concatenate([way, 0 * way]), gaps={(0, 1): gap})
    for kind, span in (("meet", (0, 40)), ("part", (80, 120))):
        spans = found(tracks, kind)
        assert len(spans) == 2  # one for each of them
        np.testing.assert_allclose(spans, [span, span], atol=3)
    assert found(tracks, "pass") == []
    # One that passes by another does neither.
    gap = np.r_[np.linspace(0.4, 0.02, 60), np.linspace(0.02, 0.4, 60)]
    passing = made_up(
        2, velocity=np.concatenate([along((120, 0.01, 0)), 0 * way]), gaps={(0, 1): gap}
    )
    assert found(passing, "meet") == found(passing, "part") == []
    assert found(passing, "pass") == [(0, 120)]


def test_what_comes_in_over_the_border_enters():
    area, border = np.full((1, FRAMES), 0.01), np.zeros((1, FRAMES), bool)
    area[0, :30], area[0, 100:] = np.nan, np.nan
    border[0, 30:42] = border[0, 90:100] = True
    tracks = made_up(area=area, border=border)
    assert found(tracks, "enter") == [(30, 42)]
    assert found(tracks, "leave") == [(90, 100)]


def test_what_shows_a_third_of_itself_is_occluded():
    area = np.full((1, FRAMES), 0.01)
    area[0, 50:65] = 0.003
    assert found(made_up(area=area), "occluded") == [(50, 65)]


def test_bouts_begin_above_the_one_threshold_and_end_below_the_other():
    signal = np.array([0, 0.6, 1.2, 0.6, 0.4, 0.7, 0.7, 0, 0, 0, 1.1, np.nan, 1.1, 0])
    assert bouts(signal, 1.0, 0.5) == [(1, 4), (10, 11), (12, 13)]
    assert bouts(signal, 1.0, 0.5, bridge=1) == [(1, 4), (10, 13)]
    assert bouts(signal, 1.0, 0.5, least=2) == [(1, 4)]
    assert bouts(np.full(5, np.nan), 1.0, 0.5) == []


def test_noise_of_the_background_raises_the_threshold():
    way = along((40, 0, 0), (30, 0.004, 0), (50, 0, 0))
    assert found(made_up(velocity=way), "go") == [(40, 70)]
    assert found(made_up(velocity=way, ground=np.full(FRAMES, 0.002)), "go") == []


def test_events_of_scenes_are_found():
    """Seeds that no constant was chosen on."""
    truth, told = {kind: [] for kind in KINDS}, {kind: [] for kind in KINDS}
    for seed in range(500, 506):
        scene = generate(LEVELS["behavior"], 256, 48, 84, seed)
        for event in scene.events:
            truth[event.kind].append(Span((seed, event.label), event.start, event.stop))
        for event in find_events(describe_tracks(scene.labels, scene.flow)):
            assert 0 <= event.start < event.stop <= 256
            assert 0 <= event.score <= 1
            told[event.kind].append(Span((seed, event.track), event.start, event.stop, event.score))
    assert average_precision(truth["go"], told["go"]) > 0.7
    assert average_precision(truth["stop"], told["stop"]) > 0.7
    assert f1(truth["turn"], told["turn"]) > 0.6
    # With thresholds that nothing reaches there is nothing to find.
    deaf = replace(Rules(), speed=1.0, turn=9.0, growth=9.0, shear=9.0)
    kinds = {e.kind for e in find_events(describe_tracks(scene.labels, scene.flow), deaf)}
    assert kinds <= {"stop", "enter", "leave", "occluded", "meet", "part"}
