"""What moves while it is filmed: nothing waits, nothing of a file is dropped, cameras are."""

import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

from jaxmotion import cli
from jaxmotion.data import VideoWriter, open_video
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.inference.causal import CausalSegmenter
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.live import Recording, open_source, watch
from jaxmotion.live import outputs as live_outputs
from jaxmotion.live.outputs import RECORDED_FPS
from jaxmotion.live.picture import draw
from jaxmotion.live.source import LiveSource
from jaxmotion.optical_flow import DIS
from jaxmotion.saliency import ResidualMeter

SIZE = (40, 64)
FRAMES = 7


def disc_frames(number=FRAMES, size=SIZE, radius=9, seed=0):
    """A textured disc that moves to the right over a texture that moves to the left."""
    rng = np.random.default_rng(seed)
    far, near = (
        np.clip(
            128
            + 60 * cv2.GaussianBlur(rng.normal(size=(size[0], 3 * size[1], 3)), (0, 0), 1.5) * 4,
            0,
            255,
        ).astype(np.uint8)
        for _ in range(2)
    )
    y, x = np.mgrid[: size[0], : size[1]]
    for t in range(number):
        center = size[1] // 3 + 2 * t
        inside = (np.hypot(x - center, y - size[0] // 2) < radius)[..., None]
        shifted = near[:, size[1] - 2 * t : 2 * size[1] - 2 * t]
        yield np.where(inside, shifted, far[:, t : t + size[1]]), inside[..., 0]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("live") / "disc.mp4"
    with VideoWriter(path, fps=10) as writer:
        for frame, _ in disc_frames():
            writer.write(frame)
    return path


@pytest.fixture(scope="module")
def segmenter(untrained_run):
    return Segmenter.load(untrained_run, InferenceConfig(window=3, overlap=2))


@pytest.fixture(scope="module")
def flow():
    return np.random.default_rng(0).normal(0, 3, (8, *SIZE, 2)).astype(np.float32)


class Counted:
    """An iterator that knows how many of its items were taken."""

    def __init__(self, items):
        self.items, self.taken = iter(items), 0

    def __iter__(self):
        return self

    def __next__(self):
        item = next(self.items)
        self.taken += 1
        return item


# ------------------------------------------------------------------------------------- the masks


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_no_frame_waits_for_more_than_its_stride(segmenter, flow, stride):
    fields = Counted(flow)
    for index, masks in enumerate(CausalSegmenter(segmenter, stride=stride)(fields)):
        assert masks.shape == (*SIZE, 2)
        np.testing.assert_allclose(masks.sum(-1), 1, atol=1e-5)
        assert fields.taken == min((index // stride + 1) * stride, len(flow))
    assert index == len(flow) - 1


def test_what_comes_later_changes_nothing(segmenter, flow):
    other = flow.copy()
    other[5:] *= -3
    first, second = (list(CausalSegmenter(segmenter)(fields)) for fields in (flow, other))
    np.testing.assert_array_equal(first[:5], second[:5])
    assert np.abs(first[5] - second[5]).max() > 1e-3


def test_a_frame_has_the_masks_of_the_window_that_ends_with_it(untrained_run, flow):
    config = InferenceConfig(window=3, overlap=2, linking="none")
    segmenter = Segmenter.load(untrained_run, config)
    for t, masks in enumerate(CausalSegmenter(segmenter)(flow)):
        expected = segmenter(flow[max(0, t - 2) : t + 1])[-1]
        np.testing.assert_allclose(masks, expected, atol=1e-5)


def test_labels_stay_where_the_network_changes_them(segmenter, flow, monkeypatch):
    truth = np.zeros((*SIZE, 2), np.float32)
    truth[..., 0] = 1
    truth[10:30, 20:40] = (0, 1)
    looks = iter(range(100))

    def look(self, recent):
        flipped = next(looks) % 2
        return np.stack([truth[..., ::-1] if flipped else truth] * len(recent))

    monkeypatch.setattr(CausalSegmenter, "_look", look)
    for stride in (1, 3):
        masks = list(CausalSegmenter(segmenter, stride=stride)(flow))
        for frame in masks:
            np.testing.assert_array_equal(frame, masks[0])


@pytest.mark.parametrize(("window", "stride"), [(0, 1), (2, 3), (3, 0)])
def test_windows_and_strides_that_cannot_be(segmenter, window, stride):
    with pytest.raises(InputError, match=r"window 0|stride"):
        CausalSegmenter(segmenter, window, stride)


def test_what_was_seen_fades():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, (4, 12, 16))
    flow = rng.normal(size=(4, 12, 16, 2)).astype(np.float32)
    fading = ResidualMeter(2, memory=3.0)
    total, pixels = np.zeros((2, 2)), np.zeros(2)
    for t in range(4):
        fading.add(labels[t], flow[t], np.ones((12, 16)))
        alone = ResidualMeter(2)
        alone.add(labels[t], flow[t], np.ones((12, 16)))
        weight = np.exp(-(3 - t) / 3.0)
        total += weight * alone.residuals().total
        pixels += weight * alone.residuals().pixels
    np.testing.assert_allclose(fading.residuals().total, total, rtol=1e-6)
    np.testing.assert_allclose(fading.residuals().pixels, pixels, rtol=1e-6)


# ----------------------------------------------------------------------------------- the sources


def test_of_a_file_no_frame_is_dropped(video, segmenter, tmp_path):
    source = open_source(str(video))
    assert (source.size, source.fps, source.is_live) == (SIZE, 10, False)
    report = watch(
        source,
        CausalSegmenter(segmenter),
        DIS("ultrafast"),
        [Recording(tmp_path / "out.mp4", source.fps, source.is_live)],
    )
    assert (report.frames, report.dropped) == (FRAMES - 1, 0)
    assert len(report.latencies) == FRAMES - 1
    assert f"{FRAMES - 1} frames in" in str(report)
    assert "latency" in str(report)
    recorded = open_video(tmp_path / "out.mp4")
    assert (recorded.num_frames, recorded.width, recorded.fps) == (FRAMES - 1, 2 * SIZE[1], 10)
    left = next(iter(recorded))[: SIZE[0], : SIZE[1]].astype(float)
    assert np.abs(left - next(iter(open_video(video)))).mean() < 10


class Camera:
    """What stands in the place of OpenCV's camera; one frame after each `more`."""

    def __init__(self, place):
        self.place, self.count, self.released = place, 0, False
        self.more = threading.Semaphore(1)

    def isOpened(self):
        return self.place != 99

    def get(self, what):
        return 30.0

    def read(self):
        self.more.acquire()
        if self.count == 20:
            return False, None
        self.count += 1
        return True, np.full((*SIZE, 3), self.count, np.uint8)

    def release(self):
        self.released = True


def one_error_line(said):
    """The line of the error; what a compiler says on a busy machine is none."""
    (line,) = [line for line in said.splitlines() if line.startswith("error:")]
    assert "Traceback" not in said
    return line


def wait_until(true):
    while not true():
        time.sleep(0.001)


def test_of_a_camera_the_newest_frame_is_taken(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    source = open_source("0")
    camera = source._capture
    assert (source.size, source.is_live) == (SIZE, True)
    with source:
        shots = source.shots(threading.Event())
        assert next(shots).frame[0, 0, 0] == 1
        camera.more.release(5)
        wait_until(lambda: source.dropped == 4)
        assert next(shots).frame[0, 0, 0] == 6  # not 2
        camera.more.release(20)
        assert [shot.frame[0, 0, 0] for shot in shots][-1] == 20  # and it ends with the camera
    assert camera.released


def test_a_camera_that_hangs_can_be_stopped(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    source, stopped = open_source("0"), threading.Event()
    with source:
        shots = source.shots(stopped)
        next(shots)
        threading.Timer(0.05, stopped.set).start()
        assert next(shots, None) is None
        source._capture.more.release(40)


def test_a_stream_is_read_by_opencv(video):
    source = open_source(f"file://{video}")
    assert isinstance(source, LiveSource)
    with source:
        taken = sum(1 for _ in source.shots(threading.Event()))
    assert taken + source.dropped == FRAMES


@pytest.mark.parametrize("name", ["99", "rtsp://127.0.0.1:9/nothing"])
def test_what_is_not_there_is_one_line(name, tmp_path):
    # In a process of its own: FFmpeg takes how much it says from the first who uses it.
    program = "import sys; from jaxmotion import cli; sys.exit(cli.main())"
    argv = [sys.executable, "-c", program, "live", name, "--record", "out.mp4"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert one_error_line(done.stderr).startswith(f"error: {name}: no ")
    assert "VIDEOIO" not in done.stderr  # OpenCV and FFmpeg are quiet
    assert "[tcp" not in done.stderr
    assert not any(tmp_path.iterdir())


# ----------------------------------------------------------------------------------- the outputs


def test_a_recording_plays_as_it_was(tmp_path):
    times = iter([5.0, 5.2, 6.0])
    with Recording(tmp_path / "live.mp4", 30.0, True, clock=lambda: next(times)) as recording:
        for level in (0, 100, 200):
            assert recording.show(np.full((32, 64, 3), level, np.uint8))
    video = open_video(tmp_path / "live.mp4")
    levels = [frame.mean() for frame in video]
    assert video.fps == RECORDED_FPS
    expected = [0] * 3 + [100] * 12 + [200]
    np.testing.assert_allclose(levels, expected, atol=4)


def test_a_recording_that_fails_leaves_nothing(tmp_path):
    def fail():
        with Recording(tmp_path / "live.mp4", 30.0, True) as recording:
            recording.show(np.zeros((32, 64, 3), np.uint8))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_the_picture_shows_what_moves_beside_the_frame():
    frame = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    moving = np.zeros(SIZE, bool)
    moving[10:20, 30:50] = True
    picture = draw(frame, moving, "8.0 frames/s")
    left, right = picture[: SIZE[0], : SIZE[1]], picture[: SIZE[0], SIZE[1] :]
    np.testing.assert_array_equal(left, frame)
    np.testing.assert_array_equal(right[moving], frame[moving])
    np.testing.assert_allclose(right[~moving], frame[~moving] / 5, atol=0.51)
    assert np.ptp(picture[SIZE[0] :]) > 100  # words


# ----------------------------------------------------------------------------------- the command


def test_the_command_records_so_many_frames(video, untrained_run, tmp_path, capsys):
    out = tmp_path / "out.mp4"
    options = ["--record", str(out), "--frames", "3", "--checkpoint", str(untrained_run)]
    assert cli.run("live", [str(video), *options]) == 0
    assert "3 frames in" in capsys.readouterr().out
    assert open_video(out).num_frames == 3


def test_without_a_display_it_writes(video, untrained_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(live_outputs.cv2, "currentUIFramework", lambda: "")
    options = [str(video), "--checkpoint", str(untrained_run), "--frames", "2"]
    assert cli.run("live", options) == 0
    assert (tmp_path / "live.mp4").is_file()
    before = (tmp_path / "live.mp4").read_bytes()
    assert cli.run("live", options) == 2
    assert "no display" in capsys.readouterr().err
    assert (tmp_path / "live.mp4").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["VIDEO", "--show", "window"], "no display: "),
        (["VIDEO", "--show", "none"], "--show none: expected --record"),
        (["VIDEO", "--record", "VIDEO"], "is what is read"),
        (["VIDEO", "--record", "out.gif"], "out.gif: expected a name that ends in"),
        (["VIDEO", "--record", "out.mp4", "--frames", "0"], "frames 0: expected 1 or more"),
        (["VIDEO", "--record", "out.mp4", "--stride", "9"], "stride 9: expected 1 to"),
        (["nothing.mp4", "--record", "out.mp4"], "nothing.mp4: cannot be read"),
        (["text.mp4", "--record", "out.mp4"], "text.mp4: "),
    ],
)
def test_wrong_input_is_one_line(
    options, named, video, untrained_run, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(live_outputs.cv2, "currentUIFramework", lambda: "")
    (tmp_path / "text.mp4").write_text("no video")
    kept = video.read_bytes()
    words = [str(video) if word == "VIDEO" else word for word in options]
    assert cli.run("live", [*words, "--checkpoint", str(untrained_run)]) == 2
    assert named in one_error_line(capfd.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]
    assert video.read_bytes() == kept


@pytest.mark.slow
def test_the_shipped_network_finds_a_disc(tmp_path):
    path = tmp_path / "disc.mp4"
    frames = list(disc_frames(16, (120, 160), 24))
    with VideoWriter(path) as writer:
        for frame, _ in frames:
            writer.write(frame)
    segmenter = CausalSegmenter(Segmenter.load("st-ms-k4"))

    pictures = []

    class Seen(Recording):
        def show(self, picture):
            pictures.append(picture)
            return super().show(picture)

    output = Seen(tmp_path / "out.mp4", 25.0, False)
    watch(open_source(str(path)), segmenter, DIS("medium"), [output])
    left, right = pictures[-1][:120, :160], pictures[-1][:120, 160:]
    found = right.astype(int).sum(-1) > left.astype(int).sum(-1) / 2
    truth = frames[14][1]
    assert (found & truth).sum() / (found | truth).sum() > 0.5
