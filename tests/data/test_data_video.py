import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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


def test_gray_palette_and_alpha_pictures_become_color(tmp_path):
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
    Image.fromarray(np.ones((48, 64), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(InputError, match=r"float\.tif: a picture of mode F, expected 8 or 16 bits"):
        read_image(tmp_path / "float.tif")
    (tmp_path / "float.tif").unlink()
    write_image(bad, frames(1, 20, 30)[0])
    with pytest.raises(InputError, match=r"1\.png: 30 x 20, expected 64 x 48 as the first frame"):
        list(open_video(tmp_path))
    with pytest.raises(InputError, match=r"none\.png: cannot be read"):
        read_image(tmp_path / "none.png")


def deep(bits):
    """Every value of some bits, in 16."""
    values = np.linspace(0, 2**bits - 1, 48 * 64).round().reshape(48, 64)
    return np.stack([values, values[::-1], values[:, ::-1]], -1).astype(np.uint16)


@pytest.mark.parametrize("suffix", ["png", "tif", "ppm"])
@pytest.mark.parametrize("channels", ["color", "gray", "alpha"])
def test_bits_beyond_8_are_rounded_or_refused(tmp_path, suffix, channels):
    if suffix == "ppm" and channels != "color":
        suffix = "pgm" if channels == "gray" else pytest.skip("no alpha in PPM")

    def write(path, values):
        white = np.full((48, 64, 1), 65535, np.uint16)
        layers = {"gray": values[..., 0], "alpha": np.dstack([values, white]), "color": values}
        assert cv2.imwrite(str(path), layers[channels])

    path = tmp_path / f"a.{suffix}"
    write(path, deep(16))
    expected = np.rint(deep(16)[..., ::-1] / 257)  # OpenCV writes blue first
    expected = expected[..., 2:].repeat(3, -1) if channels == "gray" else expected
    assert np.abs(read_image(path) - expected).max() <= 1
    for bits in (8, 10, 12):
        write(path, deep(bits))
        with pytest.raises(InputError, match=rf"a\.{suffix}: .* values up to {2**bits - 1} only"):
            read_image(path)
    write(path, 0 * deep(16))
    assert not read_image(path).any()


def test_depth_that_the_file_declares(tmp_path):
    values = np.arange(1024, dtype=">u2").reshape(16, 64)
    (tmp_path / "a.ppm").write_bytes(b"P6 64 16 1023\n" + values[..., None].repeat(3, -1).tobytes())
    difference = read_image(tmp_path / "a.ppm") - np.rint(values / 1023 * 255)[..., None]
    assert np.abs(difference).max() <= 1


def test_one_dark_picture_does_not_tell_the_depth_of_a_video(tmp_path):
    dark, bright = deep(11), deep(16)
    for number, image in enumerate([0 * dark, dark, bright, dark]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    read = list(open_video(tmp_path))
    assert [image.max() for image in read] == [0, 8, 255, 8]
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes())
    with pytest.raises(InputError, match=r"1\.png: .* values up to 2047 only.*divide them by 8"):
        list(open_video(tmp_path))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_of_both_depths_are_turned_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    values = deep(16)[..., 0]
    Image.fromarray((values >> 8).astype(np.uint8)).save(tmp_path / "8.png", exif=exif)
    Image.fromarray(values).save(tmp_path / "16.png", exif=exif)
    eight, sixteen = (read_image(tmp_path / name) for name in ("8.png", "16.png"))
    assert eight.shape == sixteen.shape
    assert np.abs(eight.astype(int) - sixteen).max() <= 1


def png_of_size(width, height):
    """A PNG whose header is all there is of it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c))
              for c in (header, data, b"IEND")]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_header_that_asks_for_all_the_memory(tmp_path):
    path = tmp_path / "a.png"
    for size in ((60000, 60000), (2**31 - 1, 2**31 - 1)):
        path.write_bytes(png_of_size(*size))
        with pytest.raises(InputError, match=r"a\.png: too large a picture"):
            read_image(path)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["png", "jpg", "bmp", "ppm", "tif", "webp"]), st.data())
def test_no_damage_ends_in_another_exception(tmp_path_factory, suffix, data):
    path = tmp_path_factory.getbasetemp() / f"damaged.{suffix}"
    write_image(path, frames(1)[0])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, min(len(content) - 1, 300)))] = data.draw(
            st.integers(0, 255)
        )
    path.write_bytes(content)
    words = str(path)
    try:
        assert read_image(path).dtype == np.uint8
    except InputError as error:
        words = str(error)
    assert words.startswith(str(path))
    assert "\n" not in words


def test_what_is_no_video(tmp_path, capfd):
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    (tmp_path / "notes.txt").write_text("this is no video\n" * 100)
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
        "notes.txt": "not a readable video file",
        "empty.mp4": "not a readable video file",
        "folder": "no pictures in this folder",
        "short.mp4": "only 1 frame",
        "cut.mp4": "not a readable video file|damaged or cut short",
        "gap": r"002\.png: missing frame",
        "one": "only 1 frame",
    }.items():
        with pytest.raises(InputError, match=words) as error:
            open_video(tmp_path / name)
        assert str(error.value).startswith(str(tmp_path / name))
        assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""  # nothing of a library's own beside our line
    assert open_video(tmp_path / "one", min_frames=1).num_frames == 1


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
