import dataclasses
import os
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from classifier_run import write_classifier
from PIL import Image

import jaxmotion as jm
from jaxmotion.answer import Answer, segment_video
from jaxmotion.data import open_video, read_image, write_image
from jaxmotion.data.transforms import resize_masks
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.inference import segmenter as segmenter_module
from jaxmotion.inference.detector import FrameDetector
from jaxmotion.inference.outlines import sharpen
from jaxmotion.optical_flow import Refined, read_flo, write_flo, write_flow_npz
from jaxmotion.saliency import salient_segments
from jaxmotion.tasks.segmentation_config import ObjectiveConfig

SIZE = (40, 64)
FRAMES = 12
OF_THE_FLOW = Answer(sharpened=False)
ALWAYS = {"index.html", "masks", "moving", "overlay.mp4", "theta.npz"}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A folder of frames, and one of their flow: a square that passes by."""
    root = tmp_path_factory.mktemp("video")
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    for t in range(FRAMES):
        write_image(root / "frames" / f"{t:03d}.png", image)
        flow = rng.normal(0, 0.1, (*SIZE, 2)).astype(np.float32)
        flow[10:30, 2 + 4 * t : 18 + 4 * t] += 5
        if t < FRAMES - 1:
            (root / "flow").mkdir(exist_ok=True)
            write_flo(root / "flow" / f"{t:03d}.flo", flow)
    return root


@pytest.fixture(scope="module")
def segmenter(untrained_run):
    """One for all tests, so that they share its compiled programs."""
    loaded = jm.Segmenter.load(untrained_run)
    objective = ObjectiveConfig(normalisation="pixels")
    task = dataclasses.replace(loaded.task, objective=objective)
    return jm.Segmenter(dataclasses.replace(loaded.config, task=task), loaded.params)


def stored_flow(root):
    return np.stack([read_flo(path) for path in sorted((root / "flow").iterdir())])


def labels_of(out):
    """The label pictures as labels: their colors stand for them, one to one."""
    pictures = [read_image(path) for path in sorted((out / "masks").iterdir())]
    return np.stack(pictures).astype(int) @ [1, 256, 65536]


def names_in(out):
    """But for the mark."""
    return {path.name for path in out.iterdir()} - {".jaxmotion.segment.json"}


def same_partition(a, b):
    pairs = {(x, y) for x, y in zip(a.ravel(), b.ravel(), strict=True)}
    return len(pairs) == len(set(a.ravel())) == len(set(b.ravel()))


@pytest.mark.parametrize("inference", [(1, 0), (3, 2), (0, 0)])
def test_the_files_are_what_the_segmenter_says(video, segmenter, tmp_path, inference):
    segmenter.inference = InferenceConfig(*inference)
    segment_video(video / "frames", segmenter, tmp_path, video / "flow", OF_THE_FLOW)
    flow = stored_flow(video)
    masks = segmenter(flow)
    expected = masks.argmax(-1)
    assert same_partition(labels_of(tmp_path), np.concatenate([expected, expected[-1:]]))
    assert len(list(open_video(tmp_path / "overlay.mp4"))) == FRAMES
    with np.load(tmp_path / "theta.npz") as archive:
        windows = segmenter.inference.windows(FRAMES - 1)
        assert list(zip(archive["start"], archive["length"], strict=True)) == windows
        np.testing.assert_allclose(
            archive["theta"], segmenter.motions(flow, masks), rtol=1e-3, atol=1e-3
        )
        moving = archive["moving"]
    assert names_in(tmp_path) == ALWAYS
    np.testing.assert_array_equal(moving, salient_segments(masks, flow))
    pictures = np.stack([read_image(path) for path in sorted((tmp_path / "moving").iterdir())])
    there = moving[np.concatenate([expected, expected[-1:]])]
    np.testing.assert_array_equal(pictures[..., 0], np.where(there, 255, 0))


def test_outlines_follow_the_frames(video, segmenter, tmp_path):
    segment_video(video / "frames", segmenter, tmp_path, video / "flow")
    frames = list(open_video(video / "frames"))
    masks = segmenter(stored_flow(video))
    found = np.stack(
        [np.array(Image.open(path)) for path in sorted((tmp_path / "masks").iterdir())]
    )
    expected = [sharpen(masks[min(t, FRAMES - 2)], frame) for t, frame in enumerate(frames)]
    np.testing.assert_array_equal(found, np.argmax(expected, axis=-1))
    assert (found[:-1] != masks.argmax(-1)).any()
    with np.load(tmp_path / "theta.npz") as archive:
        there = archive["moving"][found]
    pictures = np.stack([read_image(path) for path in sorted((tmp_path / "moving").iterdir())])
    np.testing.assert_array_equal(pictures[..., 0], np.where(there, 255, 0))


def test_nothing_moves_in_a_video_without_flow(video, segmenter, tmp_path):
    write_flow_npz(tmp_path / "flow.npz", np.zeros((FRAMES - 1, *SIZE, 2), np.float32))
    report = segment_video(video / "frames", segmenter, tmp_path / "out", tmp_path / "flow.npz")
    assert not report.moving.any()
    assert "nothing moves" in str(report)
    for path in (tmp_path / "out" / "moving").iterdir():
        assert not read_image(path).any()


def test_an_archive_of_flow_gives_the_same_as_a_folder(video, segmenter, tmp_path):
    segmenter.inference = InferenceConfig(3, 2)
    write_flow_npz(tmp_path / "flow.npz", stored_flow(video))
    for name, source in (("a", video / "flow"), ("b", tmp_path / "flow.npz")):
        segment_video(video / "frames", segmenter, tmp_path / name, source)
    np.testing.assert_array_equal(labels_of(tmp_path / "a"), labels_of(tmp_path / "b"))


def test_a_long_video_is_cut_by_itself_and_that_is_said(
    video, segmenter, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(segmenter_module, "LONG_VIDEO", InferenceConfig(3, 2))
    segmenter.inference = InferenceConfig(0)
    segment_video(video / "frames", segmenter, tmp_path, video / "flow")
    assert "more than 3 frames" in caplog.text
    with np.load(tmp_path / "theta.npz") as archive:
        assert list(archive["start"]) == list(range(9))
        assert list(archive["length"]) == [3] * 9


def test_flow_is_estimated_segmented_and_written_in_turn(segmenter, tmp_path):
    """So that no more than some windows of it are ever held."""
    written_when_estimated, frames = [], 40
    for t in range(frames):
        write_image(tmp_path / "video" / f"{t:03d}.png", np.full((*SIZE, 3), t, np.uint8))

    @dataclasses.dataclass(frozen=True)
    class Estimator:
        name: str = "still"
        settings: dict = dataclasses.field(default_factory=dict)

        def __call__(self, image0, image1):
            written_when_estimated.append(len(list(tmp_path.glob("out/.jaxmotion*/masks/*.png"))))
            return np.zeros((*SIZE, 2), np.float32)

    segmenter.inference = InferenceConfig(3, 2)
    segment_video(tmp_path / "video", segmenter, tmp_path / "out", Estimator())
    assert len(written_when_estimated) == frames - 1
    held = np.arange(frames - 1) - written_when_estimated
    # Three windows of three, all but two frames of each shared, three frames to look ahead, and
    # six by which each of two stages may be ahead of the next: four wait, one comes, one goes.
    assert held.max() <= 9 + 2 * 6
    assert written_when_estimated[-1] > 0


def test_refined_flow_is_made_at_the_size_that_the_network_works_at(video, segmenter, tmp_path):
    frames = [
        np.kron(frame, np.ones((3, 3, 1), np.uint8)) for frame in open_video(video / "frames")
    ]
    frames = [np.roll(frame, 2 * t, axis=1) for t, frame in enumerate(frames[:4])]
    for t, frame in enumerate(frames):
        write_image(tmp_path / "large" / f"{t}.png", frame)
    size = segmenter.working_size(3 * SIZE[0], 3 * SIZE[1])
    assert size[0] < 3 * SIZE[0]
    segmenter.inference = InferenceConfig(1)
    segment_video(tmp_path / "large", segmenter, tmp_path / "out", Refined(), OF_THE_FLOW)
    refined = Refined(size=size)
    flow = np.stack([refined(a, b) for a, b in pairwise(frames)])
    assert flow.shape == (3, *size, 2)
    expected = resize_masks(segmenter(flow), frames[0].shape[:2]).argmax(-1)
    assert same_partition(labels_of(tmp_path / "out")[:-1], expected)


@pytest.fixture
def broken_flow(video, tmp_path):
    """A folder of flow whose last field is of another size."""
    shutil.copytree(video / "flow", tmp_path / "broken")
    write_flo(tmp_path / "broken" / f"{FRAMES - 2:03d}.flo", np.zeros((20, 32, 2), np.float32))
    return tmp_path / "broken"


def files_in(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_nothing_is_left_of_a_video_that_breaks_off(video, segmenter, tmp_path, broken_flow):
    segmenter.inference = InferenceConfig(1)
    out = tmp_path / "out"
    with pytest.raises(jm.InputError, match=r"010.flo: flow of shape"):
        segment_video(video / "frames", segmenter, out, broken_flow)
    assert files_in(out) == {}
    assert not list(out.iterdir())
    segment_video(video / "frames", segmenter, out, video / "flow")
    before = files_in(out)
    with pytest.raises(jm.InputError, match=r"010.flo: flow of shape"):
        segment_video(video / "frames", segmenter, out, broken_flow)
    assert files_in(out) == before


def shorter(video, folder):
    """The video's first frames, under other names, and their flow."""
    for number in range(3):
        for kind, name in (("frames", f"{number:03d}.png"), ("flow", f"{number:03d}.flo")):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(video / kind / name, folder / kind / f"short{name}")
    (folder / "flow" / "short002.flo").unlink()
    return folder


def test_results_of_an_earlier_video_do_not_stay(video, segmenter, tmp_path):
    segmenter.inference = InferenceConfig(1)
    out, short = tmp_path / "out", shorter(video, tmp_path)
    segment_video(video / "frames", segmenter, out, video / "flow", Answer(latents=True))
    assert names_in(out) == ALWAYS | {"latents.npz", "latents.png"}
    (out / "notes.txt").write_text("mine")
    segment_video(short / "frames", segmenter, out, short / "flow")
    assert names_in(out) == ALWAYS | {"notes.txt"}
    assert sorted(path.name for path in (out / "masks").iterdir()) == [
        f"short{number:03d}.png" for number in range(3)
    ]


def test_what_the_user_put_there_is_kept(video, segmenter, tmp_path):
    segmenter.inference = InferenceConfig(1)
    out = tmp_path / "out"
    (out / "masks").mkdir(parents=True)
    (out / "masks" / "000.png").write_text("mine")
    with pytest.raises(jm.InputError, match=r"000\.png: is there and was not written by"):
        segment_video(video / "frames", segmenter, out, video / "flow")
    assert files_in(out) == {Path("masks/000.png"): b"mine"}


def test_results_of_a_version_without_marks_are_replaced_unless_worked_on(
    video, segmenter, tmp_path
):
    segmenter.inference = InferenceConfig(1)
    out, short = tmp_path / "out", shorter(video, tmp_path)
    for _ in range(2):
        segment_video(video / "frames", segmenter, out, video / "flow")
        (out / ".jaxmotion.segment.json").unlink()
        shutil.rmtree(out / "moving")  # which that version did not tell
        (out / "index.html").unlink()
        with np.load(out / "theta.npz") as archive:
            known = {name: archive[name] for name in ("theta", "start", "length")}
        np.savez(out / "theta.npz", allow_pickle=False, **known)
    label = out / "masks" / "003.png"
    later = label.stat().st_mtime_ns + 10**12
    os.utime(label, ns=(later, later))
    with pytest.raises(jm.InputError, match=r"003\.png: is there"):
        segment_video(short / "frames", segmenter, out, short / "flow")
    write_image(label, np.zeros((*SIZE, 3), np.uint8))
    os.utime(label, (1, 1))
    with pytest.raises(jm.InputError, match=r"003\.png: is there"):
        segment_video(short / "frames", segmenter, out, short / "flow")
    (out / "overlay.mp4").unlink()
    with pytest.raises(jm.InputError, match=r"masks/000\.png: is there"):
        segment_video(short / "frames", segmenter, out, short / "flow")


@pytest.mark.parametrize("place", ["frames", "frames/../frames", "link"])
def test_results_do_not_go_over_their_input(video, segmenter, tmp_path, place):
    shutil.copytree(video / "frames", tmp_path / "project" / "frames")
    shutil.copytree(video / "frames", tmp_path / "project" / "masks")
    (tmp_path / "project" / "link").symlink_to(tmp_path / "project" / "frames")
    before = files_in(tmp_path)
    with pytest.raises(jm.InputError, match="is what is read"):
        segment_video(
            tmp_path / "project" / "frames", segmenter, tmp_path / "project" / place, video / "flow"
        )
    with pytest.raises(jm.InputError, match="masks: the results would replace it"):
        segment_video(
            tmp_path / "project" / "masks", segmenter, tmp_path / "project", video / "flow"
        )
    assert files_in(tmp_path) == before


def test_unknown_vectors_stay_unknown(video, segmenter, tmp_path):
    """The same masks as those of the segmenter that is told where the flow is known."""
    segmenter.inference = InferenceConfig(1)
    flow = stored_flow(video)
    valid = np.ones(flow.shape[:3], bool)
    valid[:, 5:25, 20:40] = False
    write_flow_npz(tmp_path / "flow.npz", np.where(valid[..., None], flow, 7), valid)
    segment_video(video / "frames", segmenter, tmp_path / "out", tmp_path / "flow.npz", OF_THE_FLOW)
    expected = segmenter(flow, valid).argmax(-1)
    assert same_partition(labels_of(tmp_path / "out")[:-1], expected)
    zeros = segmenter(np.where(valid[..., None], flow, 0)).argmax(-1)
    assert (zeros != expected).any()


def test_nothing_moves_where_a_classifier_says_so(answered, segmenter, tmp_path):
    """Of a video in which a square moves by 6 pixels a frame; what it says is on the page too."""
    flow = answered.frames.parent / "flow.npz"
    for bias, moves in ((50.0, True), (-50.0, False)):
        run = write_classifier(tmp_path / str(bias), bias=bias)
        out = tmp_path / f"out{bias}"
        report = segment_video(
            answered.frames, segmenter, out, flow, detector=FrameDetector.load(run)
        )
        assert report.moving.any() == moves
        pictures = [read_image(path) for path in sorted((out / "moving").iterdir())]
        assert bool(np.max(pictures)) == moves
        assert "likely" in (out / "index.html").read_text()
