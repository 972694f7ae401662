"""Flow that is given for a video: which field is of which frame, and what is refused."""

import numpy as np
import pytest

from jaxmotion.data import open_video, write_image
from jaxmotion.data.video import VideoWriter
from jaxmotion.errors import InputError
from jaxmotion.inference.given_flow import GivenFlow
from jaxmotion.optical_flow import (
    make_estimator,
    write_flo,
    write_flow_folder,
    write_flow_npz,
    write_kitti_png,
)

SIZE = (48, 80)
FRAMES = 6


def scene(seed=0, count=FRAMES, size=SIZE):
    """Frames of a texture that moves by 4 pixels a frame."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (size[0] // 8 + 1, size[1] // 8 + 12, 3))
    texture = np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)
    return [texture[: size[0], 4 * t : 4 * t + size[1]] for t in range(count)]


def frames_folder(folder, frames=None, name="{:05d}.png", start=0):
    for number, frame in enumerate(frames or scene(), start):
        write_image(folder / name.format(number), frame)
    return open_video(folder)


def field(number, size=SIZE):
    return np.full((*size, 2), number, np.float32)


def flow_folder(folder, numbers, name="{:05d}.flo", size=SIZE):
    for number in numbers:
        write_flo(folder / name.format(number), field(number, size))
    return folder


def numbers(given):
    """Which field came at which place: each holds its number."""
    return [int(flow[0, 0, 0]) for flow, _ in given]


@pytest.fixture
def video(tmp_path):
    return frames_folder(tmp_path / "frames")


@pytest.fixture
def file(tmp_path):
    """A video file without names or, for sure, a count of frames."""
    with VideoWriter(tmp_path / "video.mp4") as writer:
        for frame in scene():
            writer.write(frame)
    return open_video(tmp_path / "video.mp4")


@pytest.mark.parametrize("name", ["{:05d}.flo", "{}.flo", "flow_{:03d}.flo", "{:05d}.FLO"])
@pytest.mark.parametrize("count", [FRAMES - 1, FRAMES])
def test_a_field_goes_to_the_frame_of_its_number(tmp_path, video, file, name, count):
    path = flow_folder(tmp_path / "flow", range(count), name)
    assert numbers(GivenFlow(path, video)) == list(range(count))
    assert numbers(GivenFlow(path, file)) == list(range(count))


def test_numbers_need_neither_start_at_zero_nor_follow_by_one(tmp_path):
    frames = [f"seq2_{number:04d}" for number in range(10, 70, 10)]
    for name, frame in zip(frames, scene(), strict=True):
        write_image(tmp_path / "frames" / f"{name}.png", frame)
    path = flow_folder(tmp_path / "flow", range(10, 60, 10), "{}.flo")
    video = open_video(tmp_path / "frames")
    assert numbers(GivenFlow(path, video)) == [10, 20, 30, 40, 50]


def test_names_of_frames_serve_whatever_they_are(tmp_path, video):
    """Own flow has them, so that not even the order of numbers matters."""
    path = flow_folder(tmp_path / "flow", range(5), "{:05d}.flo")
    assert numbers(GivenFlow(path, video)) == list(range(5))


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ([1, 2, 3, 4], r"00000\.flo: missing; 4 flow fields for the 6 frames"),
        ([1, 2, 3, 4, 5], r"00000\.flo: missing"),
        ([0, 1, 2, 3], r"00004\.flo: missing"),
        ([0, 1, 3, 4], r"00002\.flo: missing"),
        ([6, 7, 8, 9, 10], r"00000\.flo: missing"),
        ([0, 1, 2, 3, 4, 5, 6], r"00006\.flo: of no frame"),
        (list(range(30)), r"00006\.flo: of no frame; 30 flow fields for the 6 frames"),
    ],
)
def test_a_field_that_is_missing_or_too_many_is_named(tmp_path, video, file, there, words):
    path = flow_folder(tmp_path / "flow", there)
    for source in (video, file):
        with pytest.raises(InputError, match=words):
            GivenFlow(path, source)


def test_a_prefix_of_its_own_is_kept_in_the_name_of_what_is_missing(tmp_path, video):
    path = flow_folder(tmp_path / "flow", [0, 2, 3, 4], "take2_{:03d}.flo")
    with pytest.raises(InputError, match=r"take2_001\.flo: missing"):
        GivenFlow(path, video)
    path = flow_folder(tmp_path / "other", [1, 2, 3, 4], "take2_{:03d}.flo")
    with pytest.raises(InputError, match=r"take2_000\.flo: missing"):
        GivenFlow(path, video)


def with_count(video, count):
    """The same file with another count in its header."""
    object.__setattr__(video, "num_frames", count)
    return video


@pytest.mark.parametrize("header", [None, 3, 5, 9, 100])
def test_what_a_header_says_of_the_frames_is_not_believed(tmp_path, file, header):
    file = with_count(file, header)
    path = flow_folder(tmp_path / "flow", range(5))
    assert numbers(GivenFlow(path, file)) == [0, 1, 2, 3, 4]
    for name, there, words in (
        ("few", range(2), r"00002\.flo: missing"),
        ("many", range(8), r"00006\.flo: of no frame"),
        ("some", range(4), r"00004\.flo: missing"),
    ):
        wrong = flow_folder(tmp_path / name, there)
        with pytest.raises(InputError, match=f"{words}; .* for the 6 frames"):
            numbers(GivenFlow(wrong, file))  # at once, or where it shows
        archive = tmp_path / f"{name}.npz"
        write_flow_npz(archive, np.stack([field(number) for number in there]))
        with pytest.raises(InputError, match=r"\.npz, field .* for the 6 frames"):
            numbers(GivenFlow(archive, file))


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        ((480, 854), True),
        ((128, 224), True),  # as networks are trained
        ((240, 427), True),
        ((480, 864), True),  # padded to a multiple of 32
        ((512, 896), True),  # to one of 64
        ((64, 112), True),
        ((960, 1708), True),
        ((854, 480), False),
        ((224, 128), False),
        ((480, 480), False),
        ((128, 128), False),
        ((480, 640), False),
        ((480, 720), False),
        ((256, 512), False),
    ],
)
def test_flow_has_the_shape_of_the_frames_at_any_size(tmp_path, size, fits):
    frame = np.zeros((480, 854, 3), np.uint8)
    video = frames_folder(tmp_path / "frames", [frame] * 2)
    path = flow_folder(tmp_path / "flow", [0], size=size)
    if fits:
        assert next(iter(GivenFlow(path, video)))[0].shape == (*size, 2)
    else:
        with pytest.raises(
            InputError, match=f"flow of {size[1]} x {size[0]} for the frames of 854"
        ):
            GivenFlow(path, video)


@pytest.mark.parametrize("format", ["flo", "png", "npz"])
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_jaxmotion_flow_wrote_can_be_given_back(tmp_path, request, format, kind):
    source = request.getfixturevalue("video" if kind == "folder" else "file")
    write_flow_folder(
        source, tmp_path / "flow", make_estimator("dis"), format=format, color=True, progress=False
    )
    fields = list(GivenFlow(tmp_path / "flow", source))
    assert len(fields) == FRAMES - 1
    known = [flow[8:-8, 8:-8, 0].mean() for flow, _ in fields]
    np.testing.assert_allclose(known, -4, atol=0.2)
    if format == "npz":
        archive = list(GivenFlow(tmp_path / "flow" / "flow.npz", source))
        np.testing.assert_array_equal(archive[2][0], fields[2][0])


def test_what_is_half_done_or_no_flow_is_said(tmp_path, video):
    flow_folder(tmp_path / "flow" / "unfinished", range(3))
    with pytest.raises(InputError, match=r"its flow\.npz is not finished; run the same"):
        GivenFlow(tmp_path / "flow", video)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="nothing: no flow in this folder, expected"):
        GivenFlow(tmp_path / "nothing", video)
    with pytest.raises(InputError, match=r"00000\.png: .* expected a KITTI flow PNG"):
        GivenFlow(video.path, video)
    with pytest.raises(InputError, match="nowhere: "):
        GivenFlow(tmp_path / "nowhere", video)


def test_unknown_vectors_are_told_in_every_format(tmp_path, video):
    valid = np.ones(SIZE, bool)
    valid[3:7, 10:20] = False
    for number in range(FRAMES - 1):
        flow = field(number)
        write_kitti_png(tmp_path / "png" / f"{number:05d}.png", flow, valid)
        write_flo(tmp_path / "flo" / f"{number:05d}.flo", np.where(valid[..., None], flow, 2e9))
    flows = np.stack([field(number) for number in range(FRAMES - 1)])
    write_flow_npz(tmp_path / "a.npz", flows, np.broadcast_to(valid, flows.shape[:3]))
    np.savez(
        tmp_path / "nan.npz",
        flow=np.where(valid[..., None], flows, np.nan),
        valid=np.broadcast_to(valid, flows.shape[:3]),
    )
    write_flow_npz(tmp_path / "big.npz", np.where(valid[..., None], flows, 2e9))
    for name in ("png", "flo", "a.npz", "nan.npz", "big.npz"):
        for number, (flow, known) in enumerate(GivenFlow(tmp_path / name, video)):
            np.testing.assert_array_equal(known, valid)
            np.testing.assert_array_equal(flow, np.where(valid[..., None], field(number), 0))
    np.savez(tmp_path / "bad.npz", flow=np.where(valid[..., None], flows, np.nan))
    with pytest.raises(InputError, match=r"bad\.npz: .* NaN or infinite"):
        GivenFlow(tmp_path / "bad.npz", video)


@pytest.fixture
def own(tmp_path, video):
    write_flow_folder(video, tmp_path / "own", make_estimator("dis"), progress=False)
    return tmp_path / "own"


def test_own_flow_of_another_video_is_refused(tmp_path, own):
    for name, frames in (
        ("other", scene(1)),
        ("reversed", scene()[::-1]),
        ("later", scene(count=FRAMES + 1)[1:]),  # each frame is the next one
        ("changed", [*scene()[:3], scene(1)[3], *scene()[4:]]),
    ):
        other = frames_folder(tmp_path / name, frames)
        with pytest.raises(InputError, match=rf"not the flow of frame \d of .*{name}"):
            list(GivenFlow(own, other))


def test_own_flow_of_the_same_video_moved_encoded_anew_or_smaller_is_taken(tmp_path, own, file):
    import cv2

    moved = frames_folder(tmp_path / "moved")
    small = frames_folder(tmp_path / "small", [cv2.resize(f, (40, 24)) for f in scene()])
    one_frame_less = frames_folder(tmp_path / "less", scene()[:-1])
    for source, count in ((moved, 5), (file, 5), (small, 5), (one_frame_less, 5)):
        assert len(list(GivenFlow(own, source))) == count


def test_without_notes_a_name_that_differs_is_a_warning(tmp_path, own, caplog):
    (own / "fields.jsonl").unlink()
    assert len(list(GivenFlow(own, frames_folder(tmp_path / "moved")))) == 5
    assert "made from frames, says flow.json; nothing tells whether" in caplog.text
    caplog.clear()
    list(GivenFlow(own, frames_folder(tmp_path / "again" / "frames")))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("option", "words"), [({"gap": 2}, "gap of 2"), ({"backward": True}, "backward")]
)
def test_flow_to_elsewhere_is_refused(tmp_path, video, option, words):
    write_flow_folder(video, tmp_path / "f", make_estimator("dis"), progress=False, **option)
    with pytest.raises(InputError, match=f"{words}.*expected forward flow with a gap of 1"):
        GivenFlow(tmp_path / "f", video)
