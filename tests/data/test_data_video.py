import itertools
import logging
import os
import subprocess

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from jaxmotion.data import (
    VideoWriter,
    open_video,
    overlay,
    read_image,
    write_image,
    write_labels,
)
from jaxmotion.errors import InputError
from jaxmotion.optical_flow import label_palette, make_estimator, write_flow_folder


def frames(count=5, height=48, width=64):
    """A smooth picture that moves, so that a lossy video keeps it nearly."""
    y, x = np.mgrid[:height, :width]
    return [
        np.stack(
            [
                128 + 100 * np.sin((x + 3 * t) / 9),
                128 + 100 * np.cos((y - 2 * t) / 7),
                np.full((height, width), 20.0 * t + 40),
            ],
            -1,
        ).astype(np.uint8)
        for t in range(count)
    ]


def write_video(path, images, fps=None):
    with VideoWriter(path, fps=fps) as writer:
        for image in images:
            writer.write(image)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (47, 63), (18, 33)])
def test_video_round_trip_of_even_and_odd_sizes(tmp_path, height, width):
    images = frames(5, height, width)
    write_video(tmp_path / "a.mp4", images, fps=12.5)
    assert os.listdir(tmp_path) == ["a.mp4"]
    video = open_video(tmp_path / "a.mp4")
    assert (video.height, video.width) == (height + height % 2, width + width % 2)
    assert video.num_frames == 5
    assert video.fps == pytest.approx(12.5)
    assert list(zip(range(5), video.frame_names(), strict=False))[4] == (4, "00004")
    for _ in range(2):  # can be read again
        read = list(video)
        assert len(read) == 5
        for image, back in zip(images, read, strict=True):
            assert back.dtype == np.uint8
            difference = np.abs(back[:height, :width].astype(int) - image)
            assert difference.mean() < 6


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_folder_of_pictures(tmp_path, suffix):
    images = frames(12)
    for number, image in enumerate(images):
        write_image(tmp_path / f"f{number}{suffix}", image)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".DS_Store").write_text("")
    video = open_video(tmp_path)
    assert (video.num_frames, video.height, video.width) == (12, 48, 64)
    assert video.fps is None
    assert list(video.frame_names()) == [f"f{i}" for i in range(12)]
    for image, back in zip(images, video, strict=True):
        assert np.abs(back.astype(int) - image).mean() < (0.1 if suffix == ".png" else 4)


def test_grey_palette_and_alpha_pictures_become_color(tmp_path):
    values = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    Image.fromarray(values).save(tmp_path / "0.png")
    Image.fromarray(np.stack([values] * 3 + [values * 0 + 255], -1)).save(tmp_path / "1.png")
    palette = Image.fromarray(values, mode="P")
    palette.putpalette(np.repeat(np.arange(256, dtype=np.uint8), 3).tobytes())
    palette.save(tmp_path / "2.png")
    for image in open_video(tmp_path):
        np.testing.assert_array_equal(image, np.repeat(values[..., None], 3, -1))


def test_pictures_that_are_none(tmp_path):
    good = tmp_path / "0.png"
    write_image(good, frames()[0])
    data = good.read_bytes()
    bad = tmp_path / "1.png"
    for content in (b"", b"text", data[: len(data) // 2], data[:60]):
        bad.write_bytes(content)
        video = open_video(tmp_path)
        with pytest.raises(InputError, match=r"1\.png: (not a picture|damaged picture)") as error:
            list(video)
        assert "\n" not in str(error.value)
    Image.fromarray(np.zeros((48, 64), np.uint16)).save(bad)
    with pytest.raises(InputError, match=r"1\.png: .*expected 8 bits"):
        list(open_video(tmp_path))
    write_image(bad, frames(1, 20, 30)[0])
    with pytest.raises(InputError, match=r"1\.png: 30 x 20, expected 64 x 48 as the first frame"):
        list(open_video(tmp_path))
    with pytest.raises(InputError, match=r"none\.png: cannot be read"):
        read_image(tmp_path / "none.png")


def test_what_is_no_video(tmp_path, capfd):
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    write_video(tmp_path / "short.mp4", frames(1))
    write_video(tmp_path / "whole.mp4", frames(5))
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "gap").mkdir()
    for number in (0, 1, 3):
        write_image(tmp_path / "gap" / f"{number:03d}.png", frames()[0])
    (tmp_path / "one").mkdir()
    write_image(tmp_path / "one" / "000.png", frames()[0])
    capfd.readouterr()
    for name, words in {
        "none.mp4": "No such file",
        "text.mp4": "not a readable video file",
        "empty.mp4": "not a readable video file",
        "folder": "no pictures in this folder",
        "short.mp4": "only 1 frame",
        "cut.mp4": "readable video|no frame could be decoded|only",
        "gap": r"002\.png: missing frame",
        "one": "only 1 frame",
    }.items():
        with pytest.raises(InputError, match=words) as error:
            open_video(tmp_path / name)
        assert str(error.value).startswith(str(tmp_path / name))
        assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""  # nothing of a library's own beside our line
    assert open_video(tmp_path / "one", min_frames=1).num_frames == 1


def test_video_cut_short_is_told(tmp_path, caplog):
    write_video(tmp_path / "whole.mp4", frames(60))
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        assert len(list(open_video(tmp_path / "whole.mp4"))) == 60
        assert not caplog.records
        assert 2 <= len(list(open_video(tmp_path / "cut.mp4"))) < 50
    assert "cut.mp4: only" in caplog.text
    assert "of the 60 frames" in caplog.text


def test_name_with_digits_is_no_pattern(tmp_path):
    write_video(tmp_path / "clip_%03d 01.mp4", frames(3))
    assert len(list(open_video(tmp_path / "clip_%03d 01.mp4"))) == 3


def test_unfinished_video_is_not_left(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt), VideoWriter(path) as writer:  # noqa: PT012
        writer.write(frames()[0])
        raise KeyboardInterrupt
    assert path.read_bytes() == b"before"
    with pytest.raises(InputError, match="there were no frames"), VideoWriter(path):
        pass
    assert os.listdir(tmp_path) == ["a.mp4"]
    assert path.read_bytes() == b"before"


def test_video_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.mp4"):
        VideoWriter(tmp_path / "a.avi")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_video(tmp_path / "file" / "a.mp4", frames())
    with pytest.raises(ValueError, match="the first frame was"):
        write_video(tmp_path / "a.mp4", [*frames(1), *frames(1, 20, 20)])
    with pytest.raises(ValueError, match="uint8"):
        write_video(tmp_path / "a.mp4", [np.zeros((4, 4, 3))])
    assert os.listdir(tmp_path) == ["file"]


def test_variable_frame_rate_gives_each_frame_once(tmp_path):
    """A phone's video: frames of uneven duration must not come twice, with zero flow between."""
    write_video(tmp_path / "even.mp4", frames(6), fps=30)
    subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(tmp_path / "even.mp4"),
            "-vf", "setpts='(N+6*gt(N,2)+9*gt(N,4))/30/TB'", "-fps_mode", "vfr",
            str(tmp_path / "uneven.mp4"),
        ],
        check=True,
    )  # fmt: skip
    read = list(open_video(tmp_path / "uneven.mp4"))
    assert len(read) == 6
    changes = [np.abs(a.astype(int) - b).mean() for a, b in itertools.pairwise(read)]
    assert min(changes) > 1


def test_video_to_flow_folder(tmp_path):
    write_video(tmp_path / "a.mp4", frames(4))
    report = write_flow_folder(
        open_video(tmp_path / "a.mp4"), tmp_path / "flow", make_estimator("dis"), progress=False
    )
    assert report.num_flows == 3
    assert report.seconds_per_flow > 0
    assert sorted(p.name for p in (tmp_path / "flow").glob("*.flo")) == [
        "00000.flo",
        "00001.flo",
        "00002.flo",
    ]


def test_labels_are_the_values_of_an_indexed_png(tmp_path):
    labels = np.arange(12).reshape(3, 4) % 5
    write_labels(tmp_path / "a.png", labels)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), labels)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), label_palette(5)[labels])
    assert cv2.imread(str(tmp_path / "a.png")).shape == (3, 4, 3)
    with pytest.raises(ValueError, match="labels of 0 to 255"):
        write_labels(tmp_path / "b.png", labels + 252)
    assert os.listdir(tmp_path) == ["a.png"]


def test_overlay_leaves_the_background_and_outlines_segments():
    image = np.full((7, 9, 3), 100, np.uint8)
    labels = np.zeros((7, 9), int)
    labels[1:6, 2:8] = 2
    result = overlay(image, labels, alpha=0.5)
    np.testing.assert_array_equal(result[0, 0], 100)
    color = label_palette(3)[2].astype(int)
    np.testing.assert_array_equal(result[1, 2], color)  # the outline
    np.testing.assert_allclose(result[3, 5], (color + 100) / 2, atol=0.5)
    everything = overlay(image, labels, alpha=1.0, background=None)
    np.testing.assert_array_equal(everything[0, 0], label_palette(1)[0])
    np.testing.assert_array_equal(overlay(image[None], labels[None])[0], result)
