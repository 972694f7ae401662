"""The task of events: targets against a search, changes of clips, and a run that tells events."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.configs import get_config
from jaxmotion.data.config import DataConfig
from jaxmotion.data.track_source import TrackSource, most_events
from jaxmotion.errors import InputError
from jaxmotion.events import KINDS, Event, describe_tracks
from jaxmotion.events.features import FEATURES, track_features
from jaxmotion.experiments.events import score_events
from jaxmotion.experiments.experiment import run_experiment
from jaxmotion.inference.event_finder import EventFinder
from jaxmotion.inference.loading import load
from jaxmotion.networks.event_head import Proposals, places
from jaxmotion.networks.event_head_config import EventHeadConfig
from jaxmotion.scenes import LEVELS, generate
from jaxmotion.tasks.event_changes import reverse, turn
from jaxmotion.tasks.events import EventsTask
from jaxmotion.tasks.events_config import EventsConfig

TINY = EventsConfig(network=EventHeadConfig(channels=4, heads=2, levels=3, reach=3))
DATA = DataConfig(source="tracks:behavior", clip_length=64, height=24, width=42)
RNG = np.random.default_rng(0)


def some_events(count, frames):
    """Rows of events, the last of which is none."""
    rows = np.full((2, count, 3), -1, np.float32)
    for clip in rows:
        start = RNG.integers(0, frames - 2, count - 1)
        clip[:-1, 0] = RNG.integers(0, 3, count - 1)
        clip[:-1, 1] = start
        clip[:-1, 2] = [RNG.integers(s + 1, frames + 1) for s in start]
    return rows


def test_targets_are_what_a_search_finds():
    task, frames = TINY.build(DATA), 64
    events = some_events(12, frames)
    there, spans = map(np.asarray, task.targets(jnp.asarray(events), frames))
    middles, strides = places(frames, 3)
    for b, clip in enumerate(events):
        for p, (place, stride) in enumerate(zip(middles, strides, strict=True)):
            for kind in range(len(KINDS)):
                fitting = []
                for number, start, stop in clip:
                    if number != kind or not start < place < stop:
                        continue
                    far = max(place - start, stop - place)
                    level = int(np.log2(stride))
                    ok = abs(place - (start + stop) / 2) <= 1.5 * stride
                    ok &= level == 0 or far >= 2 * stride
                    ok &= level == 2 or far < 4 * stride
                    if ok:
                        fitting.append((stop - start, (start, stop)))
                assert bool(there[b, p, kind]) == bool(fitting)
                if fitting:
                    length = min(fitting)[0]
                    found = tuple(spans[b, p, kind].tolist())
                    assert found in [span for size, span in fitting if size == length]


def test_every_event_is_proposed_somewhere():
    task = get_config("events").task.build(dataclasses.replace(DATA, clip_length=256))
    lengths = np.arange(2, 257)
    rows = np.stack([np.full(255, 5), np.zeros(255), lengths], axis=1)[:, None]
    there = np.asarray(task.targets(jnp.float32(rows), 256).there[..., 5])
    assert lengths[~there.any(axis=1)].tolist() == []


def labeled_scene():
    scene = generate(LEVELS["behavior"], 64, 24, 42, seed=3)
    return scene, track_features(describe_tracks(scene.labels, scene.flow))


def test_a_turned_track_is_the_track_of_a_turned_scene():
    scene, features = labeled_scene()
    mirrored = scene.flow[:, :, ::-1] * np.float32([-1, 1])
    expected = track_features(describe_tracks(scene.labels[:, :, ::-1], mirrored))
    found = turn(jnp.asarray(features), jnp.zeros(len(features)), jnp.ones(len(features), bool))
    np.testing.assert_allclose(found, expected, atol=0.1)
    half = turn(jnp.asarray(features), jnp.full(len(features), np.pi), jnp.zeros(1, bool))
    around = scene.flow[:, ::-1, ::-1] * np.float32([-1, -1])
    expected = track_features(describe_tracks(scene.labels[:, ::-1, ::-1], around))
    np.testing.assert_allclose(half, expected, atol=0.1)


def test_backward_who_enters_leaves():
    features = jnp.asarray(RNG.normal(size=(1, 10, len(FEATURES))), jnp.float32)
    kinds = {name: KINDS.index(name) for name in ("enter", "leave", "spin")}
    events = [[kinds["enter"], 1, 3], [kinds["spin"], 2, 9], [-1, -1, -1]]
    back, told = reverse(features, jnp.array([events], jnp.float32), clip_length=9)
    assert told[0].tolist() == [[kinds["leave"], 6, 8], [kinds["spin"], 0, 7], [-1, -1, -1]]
    right, area = FEATURES.index("right"), FEATURES.index("area")
    np.testing.assert_array_equal(back[0, :9, right], -features[0, 8::-1, right])
    np.testing.assert_array_equal(back[0, :9, area], features[0, 8::-1, area])
    again, same = reverse(back, told, clip_length=9)
    np.testing.assert_array_equal(again[:, :9], features[:, :9])
    assert same[0].tolist() == events


def test_what_is_proposed_rightly_costs_nothing():
    task = TINY.build(DATA)
    events = some_events(4, 64)
    batch = {"features": jnp.ones((2, 64, len(FEATURES))), "events": jnp.asarray(events)}
    targets = task.targets(batch["events"], 64)

    class Sure(EventsTask):
        def propose(self, params, features, known):
            return Proposals(jnp.where(targets.there, 30.0, -30.0), targets.spans)

    sure = Sure(task.config, task.clip_length)
    output = sure.loss({"params": {}}, batch, step=jnp.int32(0), key=None)
    np.testing.assert_allclose(output.loss, 0, atol=1e-5)
    np.testing.assert_array_equal(output.weight, targets.there.sum(axis=(1, 2)))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = dataclasses.replace(
        get_config("events"),
        data=dataclasses.replace(DATA, validation_clips=4),
        task=TINY,
        steps=4,
        batch_size=4,
        validate_every=2,
        checkpoint_every=2,
        evals=dataclasses.replace(get_config("events").evals, frames=64),
    )
    source = TrackSource("behavior", 64, (24, 42), scenes=4)
    run_experiment(config, folder, source)
    return folder


def test_a_run_ends_as_a_finder_of_events(run):
    finder = load(run)
    assert isinstance(finder, EventFinder)
    scene, _ = labeled_scene()
    tracks = describe_tracks(scene.labels, scene.flow)
    events = finder(tracks, least=0.0)
    assert all(isinstance(event, Event) for event in events)
    assert {event.track for event in events} <= set(tracks.labels.tolist())
    assert all(0 <= event.start < event.stop <= 64 for event in events)
    assert finder(tracks, least=1.0) == []
    scores = score_events(finder.config, {"params": finder.params}, baselines=True)
    assert set(scores) == {"mAP", "mAP_rules"}
    assert 0 < scores["mAP_rules"] <= 1


def test_a_video_needs_windows():
    with pytest.raises(InputError, match=r"inference\.window 0"):
        EventsConfig(inference=dataclasses.replace(TINY.inference, window=0, overlap=0))


def test_a_batch_has_room_for_the_events():
    assert TINY.build(DATA).spec["events"] == f"B {most_events(64)} 3"
