import dataclasses
import resource
import sys
import tracemalloc
import weakref
from functools import partial

import jax
import numpy as np
import pytest

import jaxmotion as jm
from jaxmotion.data import DataConfig
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.inference import segmenter as segmenter_module
from jaxmotion.inference.linking import link_masks, unroll
from jaxmotion.inference.stream import Attended, segment_stream
from jaxmotion.inference.tracking import bridge_gaps, keep_labels
from jaxmotion.networks import INPUT_CHANNELS, DecoderConfig, NetworkConfig, build_segmenter
from jaxmotion.options import to_json
from jaxmotion.tasks.observation import observe
from jaxmotion.tasks.segmentation_config import ObjectiveConfig, SegmentationConfig
from jaxmotion.training.checkpoints import Checkpoints
from jaxmotion.training.config import Config

NETWORK = NetworkConfig(num_masks=3, widths=(4, 8), input="scaled")
CONFIG = Config(data=DataConfig(height=16, width=24), task=SegmentationConfig(network=NETWORK))


def fresh_params(config):
    network = config.task.network
    features = np.zeros((1, 1, 16, 24, INPUT_CHANNELS[network.input]), np.float32)
    return build_segmenter(network).init(jax.random.key(0), features)["params"]


def features_of(config, flow):
    return observe(flow, None, config.task.network).features


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    checkpoints = Checkpoints(folder, to_json(CONFIG))
    checkpoints.best.save(7, {"params": fresh_params(CONFIG)}, {"loss": 0.5})
    checkpoints.close()
    return folder


def moving_square(frames, height, width):
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 0.1, (frames, height, width, 2)).astype(np.float32)
    flow[:, height // 4 : height // 2, width // 4 : width // 2] += 3
    return flow


@pytest.mark.parametrize("shape", [(1, 16, 24), (9, 16, 24), (2, 37, 51), (3, 5, 100)])
def test_any_length_and_size(workdir, shape):
    masks = jm.Segmenter.load(workdir)(moving_square(*shape))
    assert masks.shape == (*shape, 3)
    assert masks.dtype == np.float32
    np.testing.assert_allclose(masks.sum(-1), 1, atol=1e-5)


def test_its_configuration_and_step_come_with_it(workdir):
    segmenter = jm.Segmenter.load(workdir)
    assert segmenter.config == CONFIG
    assert segmenter.step == 7
    inner = jm.Segmenter.load(workdir / "best" / "7")
    flow = moving_square(2, 16, 24)
    np.testing.assert_array_equal(inner(flow), segmenter(flow))


def test_masks_are_those_of_the_network(workdir):
    flow = moving_square(3, 16, 24)
    module, features = build_segmenter(NETWORK), features_of(CONFIG, flow[:, None])
    expected = module.apply({"params": fresh_params(CONFIG)}, features).masks[:, 0]
    np.testing.assert_allclose(jm.Segmenter.load(workdir)(flow), expected, atol=1e-5)


@pytest.mark.parametrize(("size", "expected"), [((16, 24), (16, 24)), ((480, 720), (16, 24))])
def test_working_size_keeps_aspect_ratio_and_number_of_pixels(workdir, size, expected):
    assert jm.Segmenter.load(workdir).working_size(*size) == expected


def test_unknown_vectors_do_not_matter(workdir):
    flow = moving_square(1, 16, 24)
    valid = np.ones(flow.shape[:3])
    valid[0, :3, :3] = 0
    broken = flow.copy()
    broken[0, :3, :3] = np.nan
    segmenter = jm.Segmenter.load(workdir)
    np.testing.assert_array_equal(segmenter(flow, valid), segmenter(broken, valid))
    with pytest.raises(jm.InputError, match="not finite"):
        segmenter(broken)


@pytest.mark.parametrize("shape", [(16, 24, 2), (1, 16, 24, 3), (0, 16, 24, 2)])
def test_other_shapes_are_refused(workdir, shape):
    with pytest.raises(jm.InputError, match=r"expected \[T, H, W, 2\]"):
        jm.Segmenter.load(workdir)(np.zeros(shape, np.float32))


def test_a_missing_checkpoint_says_how_to_get_one(tmp_path):
    with pytest.raises(jm.InputError, match=r"python train\.py"):
        jm.Segmenter.load(tmp_path / "none")
    with pytest.raises(jm.InputError, match="no checkpoint here"):
        jm.Segmenter.load(tmp_path)


def test_loading_changes_nothing_and_says_nothing(workdir, caplog):
    def state():
        return {path: path.stat().st_mtime_ns for path in sorted(workdir.rglob("*"))}

    before = state()
    jm.Segmenter.load(workdir)
    assert state() == before
    assert [record.getMessage() for record in caplog.records if record.levelno > 20] == []


def test_parameters_of_another_network_are_told_by_name(tmp_path):
    network = dataclasses.replace(NETWORK, widths=(4, 16))
    other = dataclasses.replace(CONFIG, task=SegmentationConfig(network=network))
    checkpoints = Checkpoints(tmp_path, to_json(CONFIG))
    checkpoints.best.save(1, {"params": fresh_params(other)}, {"loss": 0.5})
    checkpoints.close()
    with pytest.raises(jm.InputError, match=r"parameters of another network; .*left_1"):
        jm.Segmenter.load(tmp_path)


def test_a_damaged_checkpoint_is_one_line(tmp_path):
    checkpoints = Checkpoints(tmp_path, to_json(CONFIG))
    checkpoints.best.save(1, {"params": fresh_params(CONFIG)}, {"loss": 0.5})
    checkpoints.close()
    for file in (tmp_path / "best" / "1").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    with pytest.raises(jm.InputError, match=r"cannot be read|no validated") as error:
        jm.Segmenter.load(tmp_path)
    assert "\n" not in str(error.value)


# ------------------------------------------------------------------------- videos of any length

TEMPORAL = dataclasses.replace(
    CONFIG,
    task=SegmentationConfig(
        network=dataclasses.replace(NETWORK, kernel=(3, 3, 3), widths=(4,), stem=1),
        objective=ObjectiveConfig(normalisation="pixels"),
        motion=jm.MotionModel(spatial="affine", temporal="bspline"),
        inference=InferenceConfig(window=0),
    ),
)
TRIPLETS, CUTS, FRAMES = InferenceConfig(3, 2), InferenceConfig(10, 3), InferenceConfig(1, 0)


@pytest.fixture(scope="module")
def temporal_params():
    return fresh_params(TEMPORAL)


@pytest.fixture
def temporal(temporal_params):
    """A segmenter whose frames depend on their neighbors, with the windows asked for."""
    return lambda inference=None: jm.Segmenter(TEMPORAL, temporal_params, inference=inference)


@pytest.mark.parametrize("inference", [None, TRIPLETS, FRAMES])
def test_masks_of_every_length(temporal, inference):
    segmenter = temporal(inference)
    for frames in (1, 2, 3, 9, 10, 47, 120):
        masks = segmenter(moving_square(frames, 16, 24))
        assert masks.shape == (frames, 16, 24, 3)
        assert np.isfinite(masks).all()
        np.testing.assert_allclose(masks.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 9])
def test_one_go_is_one_clip_of_the_network_and_filling_it_up_changes_nothing(
    temporal, temporal_params, frames
):
    flow = moving_square(frames, 16, 24)
    module, features = build_segmenter(TEMPORAL.task.network), features_of(TEMPORAL, flow[None])
    expected = module.apply({"params": temporal_params}, features).masks[0]
    np.testing.assert_allclose(temporal()(flow), expected, atol=1e-5)


@pytest.mark.parametrize("inference", [TRIPLETS, CUTS])
def test_windows_are_clips_of_the_network_linked_unrolled_and_tracked(
    temporal, temporal_params, inference
):
    flow = moving_square(25, 16, 24)
    apply = jax.jit(
        partial(build_segmenter(TEMPORAL.task.network).apply, {"params": temporal_params})
    )
    clips = [
        (start, np.asarray(apply(features_of(TEMPORAL, flow[None, start:][:, :length])).masks[0]))
        for start, length in inference.windows(25)
    ]
    expected = np.stack(list(bridge_gaps(keep_labels(unroll(link_masks(clips))))))
    np.testing.assert_allclose(temporal(inference)(flow), expected, atol=1e-5)


@pytest.mark.parametrize("linking", ["assignment", "published"])
@pytest.mark.parametrize(("window", "overlap"), [(3, 2), (10, 3)])
def test_labels_stay_the_same_though_the_network_names_them_anew_in_each_window(
    workdir, window, overlap, linking
):
    segmenter = jm.Segmenter.load(workdir, inference=InferenceConfig(window, overlap, linking))
    assert segmenter.config == CONFIG
    truth = np.zeros((41, 16, 24), int)
    for t in range(41):
        truth[t, 2:7, (t % 20) : (t % 20) + 4] = 1
        truth[t, 9:14, ((3 * t) % 20) : ((3 * t) % 20) + 4] = 2
    rng = np.random.default_rng(0)
    orders = []

    def network(flow, valid):
        new = [rng.permutation(3) for _ in flow]
        orders.extend(new)
        labels = zip(new, flow[..., 0].astype(int), strict=True)
        return Attended(np.stack([np.eye(3)[order[clip]] for order, clip in labels]), None)

    vars(segmenter)["_segment"] = network  # in the place of the compiled one
    masks = segmenter(np.stack([truth, truth], -1).astype(np.float32))
    np.testing.assert_array_equal(masks.argmax(-1), orders[0][truth])


@pytest.mark.parametrize("linking", ["assignment", "published"])
@pytest.mark.parametrize(("window", "overlap"), [(1, 0), (0, 0), (10, 3)])
def test_labels_stay_the_same_though_the_network_names_them_anew_in_each_frame(
    workdir, window, overlap, linking
):
    """Unless they are linked as published, where a window is taken as it is."""
    segmenter = jm.Segmenter.load(workdir, inference=InferenceConfig(window, overlap, linking))
    truth = np.zeros((41, 16, 24), int)
    for t in range(41):
        truth[t, 2:8, t // 3 : t // 3 + 7] = 1
        truth[t, 9:15, 14 - t // 3 : 21 - t // 3] = 2
    orders = np.stack([np.random.default_rng(t).permutation(3) for t in range(41)])
    named = np.stack([order[frame] for order, frame in zip(orders, truth, strict=True)])

    def network(flow, valid):
        return Attended(np.eye(3, dtype=np.float32)[flow[..., 0].astype(int)], None)

    vars(segmenter)["_segment"] = network
    flow = np.stack([named, named], -1).astype(np.float32)
    labels = segmenter(flow).argmax(-1)
    kept = (labels == orders[0][truth]).all()
    assert kept if linking == "assignment" else not kept
    streamed = np.stack(list(segmenter.stream(flow))).argmax(-1)
    np.testing.assert_array_equal(streamed, labels)


@pytest.mark.parametrize("inference", [TRIPLETS, CUTS])
def test_a_stream_gives_the_same(temporal, inference):
    segmenter = temporal(inference)
    for frames in (2, 25):
        flow = moving_square(frames, 24, 30)
        masks = np.stack(list(segmenter.stream(iter(flow))))
        np.testing.assert_array_equal(masks, segmenter(flow))


def test_a_long_stream_is_cut_where_the_network_would_see_all(temporal, monkeypatch, caplog):
    monkeypatch.setattr(segmenter_module, "LONG_VIDEO", CUTS)
    flow = moving_square(25, 16, 24)
    short = np.stack(list(temporal().stream(flow[:10])))
    np.testing.assert_allclose(short, temporal()(flow[:10]), atol=1e-6)
    assert caplog.text == ""
    np.testing.assert_array_equal(np.stack(list(temporal().stream(flow))), temporal(CUTS)(flow))
    assert "more than 10 frames: segmented in windows of that length" in caplog.text


def count_alive(arrays, most):
    """Passes arrays on and notes in ``most[0]`` how many of them were alive at a time."""
    alive = 0

    def gone():
        nonlocal alive
        alive -= 1

    for array in arrays:
        weakref.finalize(array, gone)
        alive += 1
        most[0] = max(most[0], alive)
        yield array
        del array


def still_fields(frames, height=16, width=24):
    for t in range(frames):
        yield np.full((height, width, 2), t % 7, np.float32)


@pytest.mark.parametrize("inference", [TRIPLETS, FRAMES])
def test_a_stream_of_a_thousand_frames_needs_no_more_memory_than_a_short_one(temporal, inference):
    segmenter = temporal(inference)
    most_alive, peaks = [0], []
    for frames in (60, 1000):
        tracemalloc.start()
        count = 0
        for masks in segmenter.stream(count_alive(still_fields(frames), most_alive)):
            assert masks.shape == (16, 24, 3)
            count += 1
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == frames
    assert most_alive[0] <= 20  # the windows that are run together, and the one being filled
    assert peaks[1] < 1.3 * peaks[0]


@pytest.mark.slow
def test_memory_of_the_process_stays_flat_over_a_long_video(temporal):
    """At 128 x 224, where a thousand frames of masks alone would be 344 MB."""
    config = dataclasses.replace(TEMPORAL, data=DataConfig(height=128, width=224))
    segmenter = jm.Segmenter(config, fresh_params(config), inference=TRIPLETS)

    def most_memory_after(frames):
        for _ in segmenter.stream(still_fields(frames, 128, 224)):
            pass
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used / (1 if sys.platform == "darwin" else 1024) / 1024  # MB

    short = most_memory_after(100)
    assert most_memory_after(1000) < short + 30


def test_lengths_share_compiled_programs(temporal):
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    segmenter = temporal()
    flow = moving_square(64, 16, 24)
    segmenter(flow[:8])
    assert len(compiled) >= 1
    compiled.clear()
    for frames in range(34, 65):
        segmenter(flow[:frames])
    assert 1 <= len(compiled) <= 2  # 48 and 64
    compiled.clear()
    segmenter = temporal(TRIPLETS)
    segmenter(flow[:3])
    compiled.clear()
    for frames in range(3, 24):
        segmenter(flow[:frames])
    assert compiled == []


def test_motions_are_those_of_each_window(temporal):
    """One segment everywhere, with a motion that its model holds exactly."""
    model = TEMPORAL.task.motion
    for inference, frames in ((None, 7), (TRIPLETS, 7)):
        segmenter = temporal(inference)
        windows = segmenter.inference.windows(frames)
        length = windows[0][1]
        rng = np.random.default_rng(0)
        theta = rng.normal(size=model.num_parameters(frames)).astype(np.float32)
        if inference is not None:  # the same motion in every frame is in the model of each window
            theta[:] = np.tile(theta[:6], len(theta) // 6)
        flow = np.asarray(jm.parametric_flow(model, theta, (frames, 16, 24)))
        masks = np.broadcast_to(np.eye(3, dtype=np.float32)[0], (*flow.shape[:3], 3))
        fitted = segmenter.motions(flow, masks)
        assert fitted.shape == (len(windows), 3, model.num_parameters(length))
        for (start, _), first in zip(windows, fitted[:, 0], strict=True):
            again = jm.parametric_flow(model, first, (length, 16, 24))
            np.testing.assert_allclose(again, flow[start : start + length], atol=2e-3)
        streamed = list(segmenter.stream_motions(zip(flow, masks, strict=True)))
        assert [(w.start, w.length) for w in streamed] == windows
        np.testing.assert_array_equal(np.stack([w.theta for w in streamed]), fitted)


def test_a_stream_of_fields_of_different_sizes_is_refused(temporal):
    fields = [np.zeros((16, 24, 2)), np.zeros((16, 25, 2))]
    with pytest.raises(jm.InputError, match="flow field 1 of shape"):
        list(temporal(FRAMES).stream(fields))


def test_a_description_is_that_of_the_whole_video(workdir):
    segmenter = jm.Segmenter.load(workdir)
    flow = moving_square(5, 16, 24)  # 5 frames are filled up to 6
    description = segmenter.describe(flow)
    np.testing.assert_allclose(description.masks, segmenter(flow), atol=1e-5)
    assert description.embedding.shape[0] == 5
    assert description.queries is None


def test_slots_take_another_number_of_masks_and_others_refuse(workdir, tmp_path):
    network = NetworkConfig(num_masks=3, widths=(4, 8), decoder=DecoderConfig("slots"))
    config = dataclasses.replace(CONFIG, task=SegmentationConfig(network=network))
    checkpoints = Checkpoints(tmp_path, to_json(config))
    checkpoints.best.save(1, {"params": fresh_params(config)}, {"loss": 0.5})
    checkpoints.close()
    flow = moving_square(2, 16, 24)
    for count in (2, 5):
        segmenter = jm.Segmenter.load(tmp_path, num_masks=count)
        assert segmenter(flow).shape[-1] == count
        assert segmenter.describe(flow).queries.shape == (count, 8)
    with pytest.raises(InputError, match="segments into 3, not 5; only a network with slots"):
        jm.Segmenter.load(workdir, num_masks=5)


def test_a_stream_lets_go_of_the_windows_that_are_done():
    """Whole windows are the most of the memory: of 60, a few are there at a time."""
    windows, most = [], 0

    def segment(flow, valid):
        masks = np.random.default_rng(len(windows)).random((*valid.shape, 3), np.float32)
        windows.append(weakref.ref(masks))
        return Attended(masks, None)

    fields = ((np.zeros((6, 8, 2), np.float32), np.ones((6, 8), np.float32)) for _ in range(304))
    found = segment_stream(segment, fields, lambda *size: size, InferenceConfig(9, 4))
    for _ in found:
        most = max(most, sum(window() is not None for window in windows))
    assert len(windows) == 60
    assert most <= 5
