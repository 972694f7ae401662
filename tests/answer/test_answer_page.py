"""`index.html` as a reader sees it, in headless Chromium, and how large it gets."""

import json
import re
import weakref
from pathlib import Path

import numpy as np
import pytest
from browser import Page, find_browser

from jaxmotion.answer.page import MAX_FRAMES, Gatherer, render
from jaxmotion.data import open_video
from jaxmotion.data.video import Video
from jaxmotion.saliency import SegmentResiduals

FRAMES = 7
BROWSER = find_browser()
in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")
COUNTER = "document.querySelector('.counter').textContent"
VISIBLE = (
    "[...document.querySelectorAll('.panel:not([hidden]) figcaption > b')]"
    ".map((b) => b.textContent)"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    assert BROWSER is not None
    with Page(BROWSER, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(browser, answered):
    browser.resize(1280, 800)
    browser.open(answered.out / "index.html", ready=".counter")
    browser.wait(f"{COUNTER} !== ''")
    yield browser
    assert browser.heard("Runtime.exceptionThrown") == []
    entries = [event["entry"] for event in browser.heard("Log.entryAdded")]
    assert [entry for entry in entries if entry["level"] == "error"] == []


def data_of(text):
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


@in_browser
def test_it_asks_nothing_of_the_network(page, answered):
    asked = {event["request"]["url"] for event in page.heard("Network.requestWillBeSent")}
    mine = (answered.out / "index.html").as_uri()
    assert {url for url in asked if not url.startswith("data:")} == {mine}


@in_browser
def test_layers_are_switched(page):
    assert page.run(VISIBLE) == ["What moves", "Segments"]
    page.run("[...document.querySelectorAll('.pill')].find((p) => p.innerText === 'Flow').click()")
    assert page.run(VISIBLE) == ["What moves", "Segments", "Flow"]
    page.run("document.querySelectorAll('.pill input')[0].click()")
    assert page.run(VISIBLE) == ["Segments", "Flow"]


@in_browser
def test_keys_step_and_the_last_frame_is_reached(page, answered):
    share = [np.mean(frame) for frame in _moving(answered)]
    page.run("document.querySelector('.player').focus()")
    for key, number in (("ArrowRight", 2), ("End", FRAMES), ("ArrowLeft", FRAMES - 1), ("Home", 1)):
        page.press(key)
        page.wait(f"{COUNTER}.startsWith('frame {number} of {FRAMES},')")
        said = page.run(COUNTER)
        percent = float(re.search(r"([\d.]+) % moves", said)[1])
        assert percent == pytest.approx(100 * share[number - 1], abs=0.51)


@in_browser
def test_every_layer_has_a_picture(page):
    for i in range(5):
        page.run(
            f"(() => {{ const p = document.querySelectorAll('.pill input')[{i}];"
            " if (!p.checked) p.click(); })()"
        )
    page.run("document.querySelector('.player').focus()")
    page.press("ArrowRight")
    page.wait(f"{COUNTER}.startsWith('frame 2 ')")
    widths = page.run("[...document.querySelectorAll('canvas')].map((canvas) => canvas.width)")
    assert len(widths) == 5
    assert min(widths) > 1


@in_browser
def test_the_table_says_which_segments_move(page, answered):
    rows = page.run(
        "[...document.querySelectorAll('#table tbody tr')].map((tr) =>"
        " [...tr.children].map((cell) => cell.innerText.trim()))"
    )
    moving = {int(row[0]) for row in rows if row[1] == "moves"}
    assert moving == set(np.flatnonzero(answered.report.moving))
    assert sum(row[1] == "background" for row in rows) == 1


@in_browser
def test_what_a_user_wrote_is_only_text(page):
    assert "<made up>" in page.run("document.querySelector('#settings').innerText")


def _moving(answered):
    from jaxmotion.data import read_image

    return [read_image(path)[..., 0] > 0 for path in sorted((answered.out / "moving").iterdir())]


def test_its_figures_are_those_of_the_pictures(answered):
    data = data_of((answered.out / "index.html").read_text())
    share = [frame.mean() for frame in _moving(answered)]
    np.testing.assert_allclose(data["moving"], share, atol=1e-4)
    assert data["shown"] == list(range(FRAMES))
    total = sum(segment["area"] for segment in data["segments"])
    assert total == pytest.approx(1, abs=1e-3)
    moving = [s["area"] for s in data["segments"] if s["role"] == "moves"]
    assert sum(moving) == pytest.approx(np.mean(share), abs=1e-3)
    assert data["name"] == open_video(answered.frames).path.name


def noise_video(frames, size, working):
    """What a page is made of, for the worst of videos: noise in everything."""
    rng = np.random.default_rng(0)
    gatherer = Gatherer(4)
    video = Video(Path("noise.mp4"), *size, frames)
    for t in range(frames):
        picture = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
        labels = rng.integers(0, 4, (size[0] // 8 + 1, size[1] // 8 + 1))
        labels = np.kron(labels, np.ones((8, 8)))[: size[0], : size[1]].astype(np.uint8)
        if t == frames - 1:
            gatherer.add_last(picture, labels)
        else:
            flow = rng.normal(0, 5, (*working, 2)).astype(np.float32)
            masks = rng.uniform(0, 1, (*working, 4)).astype(np.float32)
            gatherer.add(picture, labels, flow, masks, np.ones(working))
    return video, gatherer


def test_a_long_video_of_noise_stays_below_20_megabytes():
    video, gatherer = noise_video(2 * MAX_FRAMES, (240, 427), (32, 56))
    residuals = SegmentResiduals(np.ones((4, 4)), np.arange(4.0))
    text = render(video, gatherer, residuals, np.array([0, 1, 0, 0], bool), {})
    assert len(text.encode()) < 20e6
    shown = data_of(text)["shown"]
    assert MAX_FRAMES / 2 < len(shown) <= MAX_FRAMES
    assert len(set(np.diff(shown))) == 1


def test_a_frame_that_is_shown_keeps_nothing_of_its_window():
    """Masks come as parts of windows of 120 frames; a hundred windows would be gigabytes."""
    window = np.zeros((120, 8, 8, 3), np.float32)
    alive = weakref.ref(window)
    gatherer = Gatherer(3)
    frame, labels = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    gatherer.add(frame, labels, window[0, ..., :2], window[0], window[0, ..., 0])
    del window
    assert alive() is None
    assert gatherer.shown[0].masks is not None


def test_pictures_thin_out_evenly():
    gatherer = Gatherer(2)
    frame, labels = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    for count in range(1, 5 * MAX_FRAMES):
        gatherer.add_last(frame, labels)
        shown = [picture.index for picture in gatherer.shown]
        step = shown[1] - shown[0] if count > 1 else 1
        assert shown == list(range(0, count, step))
        assert len(shown) <= MAX_FRAMES
        assert len(shown) > MAX_FRAMES / 2 or count <= MAX_FRAMES
