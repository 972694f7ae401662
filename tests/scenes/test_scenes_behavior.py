"""Scenes of behavior: what the events say is what the flow and the labels show."""

from dataclasses import replace

import numpy as np
import pytest

from jaxmotion.errors import InputError
from jaxmotion.scenes import ACTIONS, LEVELS, BehaviorConfig, generate
from jaxmotion.scenes.actions import SOLO, act, meeting
from jaxmotion.scenes.events import motion_events

# Without errors, and with a background at the depth of the objects: what is still moves with it.
CLEAN = replace(
    LEVELS["behavior"],
    **dict.fromkeys(
        ("edge_shift", "edge_error", "noise_relative", "noise_absolute", "noise_white"), 0.0
    ),
    blur=1e-6,
    patch_share=0.0,
    corrupted_probability=0.0,
    depth_slant=0.0,
    depth_variation=0.0,
    occluder_probabilities=(1.0,),
)
HEIGHT, WIDTH = 48, 80
SIZE = np.sqrt(HEIGHT * WIDTH)


def scenes(count, **changes):
    return [generate(replace(CLEAN, **changes), 256, HEIGHT, WIDTH, seed) for seed in range(count)]


def relative(scene, t, label):
    """Affine motion of an object relative to the background: float64 least squares.

    Returns the velocity at its center, `[2]`, and the gradient `[2, 2]`.
    """
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    x, y = (x - (WIDTH - 1) / 2) / SIZE, (y - (HEIGHT - 1) / 2) / SIZE
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    ground, inside = scene.labels[t] == 0, scene.labels[t] == label
    flow = scene.flow[t].astype(float) / SIZE
    theta = np.linalg.lstsq(basis[ground], flow[ground], rcond=None)[0]
    rest = (flow - basis @ theta)[inside]
    design = basis[inside][:, :3].copy()
    design[:, 1:] -= design[:, 1:].mean(axis=0)
    found = np.linalg.lstsq(design, rest, rcond=None)[0]
    return found[0], found[1:].T


def test_what_stands_still_moves_with_the_background_and_what_goes_does_not():
    still, going = [], []
    for scene in scenes(4):
        for event in scene.events:
            for t in range(event.start + 1, event.stop - 1, 5):
                if (scene.labels[t] == event.label).sum() < 30:
                    continue
                if event.kind in ("stop", "pass"):
                    speed = np.hypot(*relative(scene, t, event.label)[0])
                    (still if event.kind == "stop" else going).append(speed)
    assert len(still) > 50
    assert len(going) > 5
    # Perspective bends the background's flow over an object, which moves as a flat thing does.
    assert max(still) < 5e-4
    assert min(going) > 4e-3


def test_growth_and_turning_have_the_sign_of_their_kind():
    found = {"approach": [], "recede": [], "spin": []}
    for scene in scenes(6, actions=tuple(found)):
        for event in scene.events:
            t = (event.start + event.stop) // 2
            if event.kind in found and (scene.labels[t] == event.label).sum() > 60:
                velocity, gradient = relative(scene, t, event.label)
                # Of a finite turn: the gradient is that of a rotation minus one.
                growth = np.log(np.linalg.det(np.eye(2) + gradient))
                turn = np.arctan2(gradient[1, 0] - gradient[0, 1], 2 + np.trace(gradient))
                found[event.kind].append((turn, growth, np.hypot(*velocity)))
    turn, growth, _ = np.array(found["spin"]).T
    assert (np.abs(turn) > 0.05).all()
    assert np.abs(growth).max() < 0.01
    for kind, sign in (("approach", 1), ("recede", -1)):
        turn, growth, speed = np.array(found[kind]).T
        assert (sign * growth > 0.01).all()
        assert np.abs(turn).max() < 0.01
        assert speed.max() < 5e-3


def test_an_object_enters_and_leaves_at_the_border_and_is_unseen_beyond():
    seen = 0
    for scene in scenes(12, actions=("pass",), leaving=1.0):
        for event in scene.events:
            if event.kind not in ("enter", "leave"):
                continue
            seen += 1
            areas = (scene.labels == event.label).sum(axis=(1, 2))
            edges = np.ones((HEIGHT, WIDTH), bool)
            edges[1:-1, 1:-1] = False
            touching = [(scene.labels[t][edges] == event.label).any() for t in range(256)]
            outside = event.start - 1 if event.kind == "enter" else event.stop
            inside = event.stop if event.kind == "enter" else event.start - 1
            assert areas[outside] < 0.003 * HEIGHT * WIDTH
            assert areas[inside] > areas[event.start if event.kind == "enter" else event.stop - 1]
            assert not touching[inside]
            assert np.mean(touching[event.start : event.stop]) == 1
    assert seen >= 8


def test_two_objects_are_together_when_they_have_met_and_apart_before():
    gaps = []
    for scene in scenes(8, object_probabilities=(0.0, 1.0), meetings=1.0):
        met = [event for event in scene.events if event.kind == "meet"]
        for event in met:
            other = [e for e in met if (e.start, e.stop) == (event.start, event.stop)]
            if len(other) != 2:
                continue
            ends = []
            for t in (event.start, event.stop - 1):
                one, two = (np.argwhere(scene.labels[t] == e.label) / SIZE for e in other)
                ends.append(np.linalg.norm(one[:, None] - two[None], axis=-1).min())
            gaps.append(ends)
    before, after = np.array(gaps).T
    assert len(gaps) >= 6
    assert (after < before).all()
    assert np.median(after) < 0.1


def test_every_kind_occurs_and_each_object_does_a_few_things():
    found, numbers = set(), []
    for seed in range(16):
        scene = generate(LEVELS["behavior"], 256, 24, 40, seed)
        acts = [event for event in scene.events if event.kind in ACTIONS]
        found |= {event.kind for event in scene.events}
        numbers.append(len(acts) / scene.labels.max())
        assert list(scene.events) == sorted(scene.events, key=lambda e: e.start)
        assert all(0 <= e.start < e.stop <= 256 for e in scene.events)
    assert found >= {*ACTIONS, "go", "stop", "turn", "enter", "leave", "occluded"}
    assert 2 < np.mean(numbers) < 12


def test_a_long_scene_has_no_more_to_do_than_it_should():
    scene = generate(LEVELS["behavior"], 1024, 12, 20, 3)
    for label in range(1, scene.labels.max() + 1):
        acts = [e for e in scene.events if e.label == label and e.kind in SOLO]
        assert 1 <= len(acts) <= 14


def test_an_object_of_other_levels_stops_and_goes_by_its_clock():
    stops = [e for s in range(6) for e in generate(LEVELS["long"], 60, 12, 20, s).events]
    lengths = [e.stop - e.start for e in stops if e.kind == "stop"]
    assert lengths
    assert max(lengths) <= LEVELS["long"].period


@pytest.mark.parametrize("kind", SOLO)
def test_a_motion_is_what_its_name_says(kind):
    rng = np.random.default_rng(0)
    for length in (20, 37, 56):
        motion = act(kind, rng, length, 0.01, 0.1)
        way, steps = motion.way, np.hypot(*motion.velocity.T)
        moves, turns, grows, wobbles = (
            np.any(part) for part in (motion.velocity, motion.turn, motion.growth, motion.wobble)
        )
        assert (moves, turns, grows, wobbles) == {
            "spin": (False, True, False, False),
            "approach": (False, False, True, False),
            "recede": (False, False, True, False),
            "deform": (False, False, False, True),
        }.get(kind, (True, False, False, False))
        if kind in ("pass", "stop_and_go"):
            assert np.hypot(*way[-1]) == pytest.approx(steps.sum())
        if kind == "circle":
            heading = np.unwrap(np.arctan2(*motion.velocity.T[::-1]))
            assert abs(heading[-1] - heading[0]) > np.pi
            assert np.ptp(steps) < 1e-12
        if kind == "sway":
            assert ((motion.velocity[1:] * motion.velocity[:-1]).sum(axis=1) < 0).any()
        if kind == "stop_and_go":
            assert (steps == 0).sum() >= 5
            assert steps[0] > 0
            assert steps[-1] > 0


def test_a_meeting_is_shared_and_an_unknown_action_refused():
    one, other = meeting(np.array([0.3, 0.1]), 10, 0.25)
    np.testing.assert_allclose(one.way[-1] - other.way[-1], (0.3, 0.1))
    np.testing.assert_allclose(one.way[-1], (0.075, 0.025))
    with pytest.raises(ValueError, match="expected one of pass"):
        act("meet", np.random.default_rng(0), 10, 0.01, 0.1)


def test_a_reversal_is_a_turn_and_a_pause_in_it_is_none():
    own = np.zeros((40, 2))
    own[:20, 0], own[20:, 0] = 0.01, -0.01
    still = np.zeros(40, bool)
    turns = [e for e in motion_events(1, own, still) if e.kind == "turn"]
    assert [(e.start, e.stop) for e in turns] == [(16, 24)]
    own[18:24] = 0
    still[18:24] = True
    kinds = [(e.kind, e.start, e.stop) for e in motion_events(1, own, still)]
    assert kinds == [("go", 0, 18), ("go", 24, 40), ("stop", 18, 24)]


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match=r"actions \('jump',\): expected some of pass"):
        BehaviorConfig(actions=("jump",))
    with pytest.raises(InputError, match=r"rest_length \(9, 2\): expected the least"):
        BehaviorConfig(rest_length=(9, 2))
