"""The weights of a gate: of a stream, and on the page."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest
from browser import Page, find_browser

import jaxmotion as jm
from jaxmotion.answer import Answer, segment_video
from jaxmotion.answer.attention import regions_picture
from jaxmotion.answer.instances import segment_instances
from jaxmotion.data import DataConfig, write_image
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.inference.instance_segmenter import InstanceSegmenter
from jaxmotion.inference.stream import weights_of_pixels
from jaxmotion.networks import Attention, AttentionConfig, NetworkConfig
from jaxmotion.networks.unet import pad_to_multiple
from jaxmotion.optical_flow import write_flow_npz
from jaxmotion.tasks.instances_config import InstancesConfig
from jaxmotion.tasks.segmentation_config import SegmentationConfig
from jaxmotion.training.config import Config

SIZE, FRAMES = (40, 64), 9
NETWORK = NetworkConfig(
    widths=(4, 8), kernel=(3, 3, 3), attention=AttentionConfig(layers=1, heads=2, gate=True)
)
BROWSER = find_browser()


def with_random_parameters(task):
    config = Config(data=DataConfig(height=SIZE[0], width=SIZE[1], clip_length=4), task=task)
    built = task.build(config.data)
    fresh = built.init(jax.random.key(0), {"flow": np.zeros((1, 1, *SIZE, 2), np.float32)})
    rng = np.random.default_rng(0)
    random = lambda leaf: np.asarray(rng.normal(0, 0.3, leaf.shape), leaf.dtype)  # noqa: E731
    return config, jax.tree.map(random, fresh["params"])


@pytest.fixture(scope="module")
def segmenter():
    task = SegmentationConfig(network=NETWORK, inference=InferenceConfig(4, 2))
    return jm.Segmenter(*with_random_parameters(task))


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    root = tmp_path_factory.mktemp("attended")
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 0.5, (FRAMES - 1, *SIZE, 2)).astype(np.float32)
    for t in range(FRAMES):
        write_image(root / "clip" / f"{t}.png", rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8))
        flow[t : t + 1, 10:30, 4 * t : 4 * t + 20] += 4
    write_flow_npz(root / "flow.npz", flow)
    return root, flow


def data_of(out):
    page = (out / "index.html").read_text()
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_a_stream_has_the_weights_of_the_window_in_which_a_frame_lies_most_central(
    segmenter, video
):
    _, flow = video
    found = list(segmenter.stream_attended(iter(flow)))
    np.testing.assert_array_equal(np.stack([f.masks for f in found]), segmenter(flow))
    windows = [segmenter.describe(flow[start : start + 4]).attention for start in (0, 2, 4)]
    places = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]
    for frame, (window, place) in zip(found, places, strict=True):
        for name in ("frames", "regions"):
            expected = getattr(windows[window], name)[place]
            np.testing.assert_allclose(getattr(frame.attention, name), expected, rtol=1e-4)
    weights = np.array([frame.attention.frames for frame in found])
    assert weights.std() > 1e-3  # so that another frame or window would show


def test_without_a_gate_there_are_no_weights(video):
    network = dataclasses.replace(NETWORK, attention=AttentionConfig(layers=1, heads=2))
    task = SegmentationConfig(network=network, inference=InferenceConfig(1))
    frames = jm.Segmenter(*with_random_parameters(task)).stream_attended(video[1][:2])
    assert [frame.attention for frame in frames] == [None, None]


@pytest.mark.parametrize("size", [(32, 48), (40, 64), (37, 50)])
def test_weights_of_pixels_are_those_that_the_gate_multiplies(size):
    """At the finest level, whose pixels they are without a stem."""
    from jaxmotion.networks.parts import enlarge

    network = dataclasses.replace(NETWORK, stem=1, widths=(4, 4, 4))
    padded = pad_to_multiple(np.zeros((1, 1, *size, 1)), network.reduction).shape[2:4]
    cells = tuple(side // network.reduction for side in padded)
    regions = np.random.default_rng(0).random(cells).astype(np.float32)
    expected = enlarge(regions[None, None, ..., None], network.reduction)[0, 0, ..., 0]
    found = weights_of_pixels(Attention(1.0, regions), network.reduction, size)
    np.testing.assert_allclose(found, expected[: size[0], : size[1]], atol=1e-5)


def test_a_region_that_weighs_more_is_brighter():
    frame = np.full((20, 30, 3), 90, np.uint8)
    weights = np.linspace(0, 1, 30, dtype=np.float32)[None] * np.ones((20, 1), np.float32)
    picture = regions_picture(frame, weights).astype(int).sum(axis=-1)
    assert picture.shape == (20, 30)
    assert (np.diff(picture, axis=1) >= 0).mean() > 0.95
    assert picture[0, -1] > picture[0, 0] + 200


@pytest.fixture(scope="module")
def page(segmenter, video, tmp_path_factory):
    root, _ = video
    out = tmp_path_factory.mktemp("page") / "out"
    segment_video(root / "clip", segmenter, out, root / "flow.npz", Answer(attention=True))
    return out


def test_the_page_has_the_weights(segmenter, video, page):
    data = data_of(page)
    expected = [frame.attention.frames for frame in segmenter.stream_attended(video[1])]
    np.testing.assert_allclose(data["weights"], expected, atol=1e-3)
    regions = data["pictures"]["regions"]
    assert [picture is None for picture in regions] == [False] * (FRAMES - 1) + [True]


def test_only_if_asked(segmenter, video, tmp_path):
    root, _ = video
    segment_video(root / "clip", segmenter, tmp_path / "out", root / "flow.npz")
    data = data_of(tmp_path / "out")
    assert data["weights"] is None
    assert data["pictures"]["regions"] is None


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")
def test_a_reader_sees_curve_and_layer(page, tmp_path):
    weights = data_of(page)["weights"]
    with Page(BROWSER, tmp_path) as browser:
        browser.open(page / "index.html", ready=".counter")
        browser.wait("document.querySelector('.counter').textContent !== ''")
        labels = "[...document.querySelectorAll('.curve')].map((c) => c.getAttribute('aria-label'))"
        moving, weighs = browser.run(labels)
        assert "moves" in moving
        assert f"from {min(weights):.2f} to {max(weights):.2f}" in weighs
        titles = "[...document.querySelectorAll('.panel:not([hidden]) b')].map((b) => b.innerText)"
        assert "Region weights" in browser.run(titles)
        browser.run("document.querySelector('.player').focus()")
        browser.press("ArrowRight")
        browser.wait("document.querySelector('.counter').textContent.startsWith('frame 2 ')")
        assert f"weighs {weights[1]:.2f}" in browser.run(
            "document.querySelector('.counter').textContent"
        )
        places = browser.run("[...document.querySelectorAll('.cursor')].map((c) => c.style.left)")
        assert places[0] == places[1] == f"{100 / (FRAMES - 1)}%"
        assert browser.heard("Runtime.exceptionThrown") == []


def test_instances_have_weights_as_well(video, tmp_path):
    root, _ = video
    task = InstancesConfig(network=NETWORK, inference=InferenceConfig(4, 2))
    segmenter = InstanceSegmenter(*with_random_parameters(task))
    out = tmp_path / "out"
    segment_instances(root / "clip", segmenter, out, root / "flow.npz", attention=True)
    data = data_of(out)
    assert len(data["weights"]) == FRAMES - 1
    assert data["pictures"]["regions"][0].startswith("data:image/webp")


def test_a_network_without_a_gate_is_refused(video, toy_models, tmp_path, capsys):
    from jaxmotion.commands.segment import main

    root, _ = video
    places = ["--out", str(tmp_path / "out"), "--flow", str(root / "flow.npz")]
    with pytest.raises(jm.InputError, match="this one has no gate"):
        main([str(root / "clip"), *places, "--attention", "--classifier", "none"])
    assert not (tmp_path / "out").exists()
