"""A finder of events goes over long tracks in windows, and tells what it would tell in one go."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.configs import get_config
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.events import Tracks
from jaxmotion.inference.event_finder import EventFinder
from jaxmotion.inference.loading import load
from jaxmotion.networks.event_head_config import EventHeadConfig
from jaxmotion.tasks.events_config import EventsConfig

FRAMES = 200
RNG = np.random.default_rng(0)


def made_up_tracks(seen=slice(20, 190)):
    """Two tracks of random numbers, the second of which is seen for a while."""

    def numbers(*sides, scale=1.0):
        values = RNG.normal(0, scale, (2, FRAMES, *sides))
        values[1, : seen.start] = values[1, seen.stop :] = np.nan
        return values

    area = 0.02 * np.exp(numbers(scale=0.1))
    rates = {n: numbers(scale=0.03) for n in ("growth", "turn", "shear", "residual")}
    return Tracks(
        labels=np.array([3, 8]),
        place=numbers(2),
        box=np.abs(numbers(4)),
        area=area,
        velocity=numbers(2, scale=0.01),
        border=RNG.uniform(size=(2, FRAMES)) < 0.1,
        gaps={(0, 1): np.abs(numbers()[1])},
        ground=np.full(FRAMES, 1e-4),
        **rates,
    )


@pytest.fixture(scope="module")
def finder():
    network = EventHeadConfig(channels=4, heads=2, levels=2, reach=3)
    config = dataclasses.replace(get_config("events"), task=EventsConfig(network=network))
    task = config.task.build(config.data)
    shapes = jax.eval_shape(task.init, jax.random.key(0), {})["params"]
    params = jax.tree.map(lambda s: jnp.float32(RNG.normal(0, 0.5, s.shape)), shapes)
    params["logits"]["bias"] -= 1.0
    return lambda *window: in_windows(config, params, *window)


def in_windows(config, params, window, overlap):
    inference = InferenceConfig(window, overlap, "none")
    return EventFinder(
        dataclasses.replace(config, task=dataclasses.replace(config.task, inference=inference)),
        params,
    )


def test_windows_tell_what_the_whole_video_tells(finder):
    # A place sees 21 frames on each side of it: half of what two windows share.
    tracks = made_up_tracks()
    whole = finder(256, 0)(tracks, least=0.3)
    parts = finder(64, 48)(tracks, least=0.3)
    assert len(whole) > 20
    assert {event.track for event in whole} == {3, 8}
    assert [event[:4] for event in parts] == [event[:4] for event in whole]
    np.testing.assert_allclose(
        [event.score for event in parts], [event.score for event in whole], atol=1e-4
    )


def test_nothing_is_told_of_a_track_that_is_not_seen(finder):
    events = [event for event in finder(256, 0)(made_up_tracks(), least=0.1) if event.track == 8]
    assert events
    assert all(20 <= event.start < event.stop <= 190 for event in events)


def test_no_track_no_event(finder):
    tracks = made_up_tracks()
    none = {
        field.name: getattr(tracks, field.name)[:0]
        for field in dataclasses.fields(tracks)
        if field.name not in ("gaps", "ground")
    }
    assert finder(256, 0)(Tracks(**none, gaps={}, ground=tracks.ground)) == []


def test_another_network_tells_no_events(untrained_run):
    with pytest.raises(InputError, match="trained for segmentation, expected one that tells ev"):
        EventFinder.load(untrained_run)
    with pytest.raises(InputError, match="no checkpoint 'nothing'"):
        load("nothing")
