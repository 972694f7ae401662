"""Objects of a video: windows, tracks, probabilities, from a network made by hand."""

import tracemalloc

import numpy as np
import pytest

import jaxmotion as jm
from jaxmotion.data import DataConfig
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.inference.instance_segmenter import InstanceSegmenter, TrackMasks, TrackRecords
from jaxmotion.inference.tracks import TrackedFrame, stream_tracks
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.tasks.instances_config import ClusteringConfig, InstancesConfig
from jaxmotion.training.config import Config

H, W = 16, 24
NETWORK = NetworkConfig(widths=(4, 8), kernel=(3, 3, 3), norm_frames=4)


def planes(flow, valid):
    """What a network would say of the rows that move, with names that change with the window."""
    number = np.round(flow[..., 0]).astype(int)
    shift = int(flow[0, 0, 0, 0, 1]) % 3
    named = np.where(number > 0, (number + shift) % 3 + 1, 0)
    nearest = np.where(named > 0, named, -1)
    found = np.stack([nearest, np.where(named > 0, 0.8, 0.2), named > 0], axis=-1).astype(float)
    return found, None


def fields(num_frames):
    """Two objects, rows 2 and 5; in the last frames row 8 as well. Channel 1 counts frames."""
    flow = np.zeros((num_frames, 10, 4, 2), np.float32)
    flow[:, 2, :, 0], flow[:, 5, :, 0] = 1, 2
    flow[-2:, 8, :, 0] = 3
    flow[..., 1] = np.arange(num_frames)[:, None, None]
    return [(field, np.ones((10, 4), np.float32)) for field in flow]


def test_windows_become_tracks():
    windows = InferenceConfig(window=4, overlap=2)
    frames = list(stream_tracks(planes, fields(11), windows))
    assert len(frames) == 11
    labels = np.stack([frame.labels for frame in frames])
    assert len({*labels[:, 2].ravel()}) == len({*labels[:, 5].ravel()}) == 1
    assert labels[0, 2, 0] != labels[0, 5, 0]
    assert {*labels[-2:, 8].ravel()} - {labels[0, 2, 0], labels[0, 5, 0], 0} != set()
    records = TrackRecords()
    for frame in frames:
        records.add(frame)
    assert records.lifetimes[labels[0, 2, 0]] == 11
    assert len(records.longest(2)) == 2
    assert records.score(labels[0, 2, 0]) == 1


def test_masks_sum_to_one_and_have_the_labels_as_their_likeliest():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (5, 6)).astype(np.int32)
    nearest = np.where(labels > 0, labels, rng.integers(0, 4, labels.shape))
    frame = TrackedFrame(labels, nearest, rng.random(labels.shape), rng.random(labels.shape))
    masks = frame.masks([1, 2, 3])
    np.testing.assert_allclose(masks.sum(axis=-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(masks.argmax(axis=-1), labels)
    fewer = frame.masks([3])
    np.testing.assert_array_equal(fewer.argmax(axis=-1), labels == 3)


@pytest.fixture(scope="module")
def segmenter():
    """A network without training whose seeds are all good enough."""
    import jax

    clustering = ClusteringConfig(least_seed=0.0, min_seed=0.0, max_instances=3)
    task = InstancesConfig(
        network=NETWORK, clustering=clustering, inference=InferenceConfig(window=4, overlap=2)
    )
    config = Config(data=DataConfig(height=H, width=W, clip_length=4), task=task)
    clip = {"flow": np.zeros((1, 4, H, W, 2), np.float32)}
    variables = jax.jit(task.build(config.data).init)(jax.random.key(0), clip)
    return InstanceSegmenter(config, variables["params"])


def test_a_video_of_any_length_and_size(segmenter):
    rng = np.random.default_rng(0)
    flow = rng.normal(size=(9, 20, 30, 2)).astype(np.float32)
    found = segmenter(flow)
    count = len(found.scores)
    assert found.labels.shape == (9, 20, 30)
    assert found.probabilities.shape == (9, 20, 30, 1 + count)
    np.testing.assert_allclose(found.probabilities.sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(found.labels, found.probabilities.argmax(axis=-1))
    assert count == len(found.lifetimes) <= segmenter.task.most_tracks
    assert (found.lifetimes >= 1).all()
    assert (found.lifetimes <= 9).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    # While it arrives, the same; only tracks that do not live long are there as well.
    frames = list(segmenter.stream(iter(flow)))
    assert len(frames) == 9
    for frame, labels in zip(frames, found.labels, strict=True):
        np.testing.assert_allclose(frame.probabilities.sum(axis=-1), 1, rtol=1e-5)
        assert set(np.unique(frame.labels)) <= {0, *frame.tracks}
        if count == max(len(f.tracks) for f in frames):
            assert ((frame.labels > 0) == (labels > 0)).mean() > 0.9
    masks = TrackMasks(segmenter)
    np.testing.assert_array_equal(masks(flow), found.probabilities)


@pytest.mark.slow
def test_a_stream_of_many_frames_needs_no_more_memory_than_a_short_one(segmenter):
    rng = np.random.default_rng(0)
    some = rng.normal(size=(7, H, W, 2)).astype(np.float32)

    def most_memory(num_frames):
        tracemalloc.start()
        names = set()
        for frame in segmenter.stream(some[t % 7] for t in range(num_frames)):
            names |= {*frame.tracks.tolist()}
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak, len(names)

    most_memory(60)  # compiles
    (short, few), (long, many) = most_memory(60), most_memory(400)
    assert many > 4 * few  # the noise is new tracks all along
    assert long < 1.3 * short + 100 * many  # bytes of this test's own names


def test_a_single_frame_and_unknown_flow(segmenter):
    flow = np.full((1, H, W, 2), np.nan, np.float32)
    found = segmenter(flow, np.zeros((1, H, W)))
    assert not found.labels.any()
    assert found.probabilities.shape == (1, H, W, 1)
    with pytest.raises(jm.InputError, match="flow of shape"):
        segmenter(flow[0])


def test_a_network_of_another_task_is_refused(untrained_run):
    with pytest.raises(jm.InputError, match="trained for segmentation, expected one of instances"):
        jm.InstanceSegmenter.load(untrained_run)
