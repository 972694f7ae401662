"""One object, written in every way that masks are written in, and what is refused."""

import cv2
import numpy as np
import pytest
from PIL import Image

from jaxmotion.data.masks import check_background, read_labels
from jaxmotion.errors import InputError

OBJECT = np.zeros((40, 60), bool)
OBJECT[8:30, 11:41] = True
OBJECT[20:35, 30:50] = True


def gray(value, dtype=np.uint8):
    return Image.fromarray(OBJECT.astype(dtype) * dtype(value))


def palette(colors, indices=(0, 1)):
    image = Image.fromarray(np.where(OBJECT, *indices[::-1]).astype(np.uint8), mode="P")
    image.putpalette([value for color in colors for value in color])
    return image


def with_channels(*channels, mode):
    stacked = np.stack([np.broadcast_to(c, OBJECT.shape) for c in channels], -1)
    return Image.fromarray(stacked.astype(np.uint8), mode=mode)


def blurred():
    """What a program that smooths outlines writes."""
    large = cv2.resize(OBJECT.astype(np.uint8) * 255, None, fx=4, fy=4, interpolation=0)
    soft = cv2.GaussianBlur(large, (0, 0), 2)
    return cv2.resize(soft, OBJECT.shape[::-1], interpolation=cv2.INTER_AREA)


def noisy(channels):
    """What is left of a mask that was a JPEG once, in gray or a little colored."""
    picture = np.repeat(OBJECT[..., None], channels, -1).astype(np.uint8) * 255
    rng = np.random.default_rng(0)
    border = cv2.dilate(OBJECT.view(np.uint8), np.ones((5, 5))) != cv2.erode(
        OBJECT.view(np.uint8), np.ones((5, 5))
    )
    noise = rng.integers(0, 25, picture.shape)
    return np.where(border[..., None], np.where(picture > 0, picture - noise, noise), picture)


BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (200, 0, 0)
FULL = OBJECT * 255
ENCODINGS = {
    "0 and 1": gray(1),
    "0 and 255": gray(255),
    "0 and 7": gray(7),
    "0 and 127": gray(127),
    "one bit": Image.fromarray(OBJECT),
    "palette": palette([BLACK, RED]),
    "palette, black and white": palette([BLACK, WHITE]),
    "palette, white and black": palette([WHITE, BLACK], (1, 0)),
    "palette without colors": palette([(i, i, i) for i in range(256)], (0, 255)),
    "gray and opaque": with_channels(FULL, 255, mode="LA"),
    "transparent background": with_channels(FULL, FULL, mode="LA"),
    "three channels": with_channels(FULL, FULL, FULL, mode="RGB"),
    "three channels, 0 and 1": with_channels(OBJECT, OBJECT, OBJECT, mode="RGB"),
    "four channels": with_channels(FULL, FULL, FULL, 255, mode="RGBA"),
    "16 bits": gray(65535, np.uint16),
    "16 bits, 0 and 1": gray(1, np.uint16),
    "soft outlines": Image.fromarray(blurred()),
    "noise": Image.fromarray(noisy(1)[..., 0].astype(np.uint8)),
    "colored noise": Image.fromarray(noisy(3).astype(np.uint8)),
}


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif"])
@pytest.mark.parametrize("name", ENCODINGS)
def test_an_object_is_one_however_it_is_written(name, suffix, tmp_path):
    path = tmp_path / f"mask{suffix}"
    ENCODINGS[name].save(path)
    labels, indexed = read_labels(path)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels > 0, OBJECT)
    assert indexed == (name in ("palette", "palette without colors"))


def test_an_object_in_a_bitmap(tmp_path):
    black_and_white = palette([BLACK, WHITE])  # 8 bits and two colors, which Pillow reads wrongly
    images = {"gray": gray(255), "bit": Image.fromarray(OBJECT), "palette": black_and_white}
    for name, image in images.items():
        image.save(tmp_path / f"{name}.bmp")
        np.testing.assert_array_equal(read_labels(tmp_path / f"{name}.bmp")[0] > 0, OBJECT)


@pytest.mark.parametrize("values", [(0, 1, 2), (0, 100, 255), (0, 38, 75), (1, 2, 3), (0, 1, 255)])
@pytest.mark.parametrize("indexed", [True, False])
def test_labels_stay_what_they_are(values, indexed, tmp_path):
    labels = np.full((40, 60), values[0], np.uint8)
    labels[5:20, 5:20], labels[25:38, 30:55] = values[1], values[2]
    image = Image.fromarray(labels, mode="P" if indexed else "L")
    if indexed:
        image.putpalette([value for i in range(256) for value in (i, 255 - i, i // 2)])
    image.save(tmp_path / "a.png")
    found = read_labels(tmp_path / "a.png")
    np.testing.assert_array_equal(found[0], labels)
    assert found[1] == indexed


def test_a_picture_of_one_value(tmp_path):
    for image, value in (
        (Image.new("L", (6, 4), 0), 0),
        (Image.new("L", (6, 4), 255), 255),
        (Image.new("1", (6, 4), 1), 1),
        (Image.fromarray(np.full((4, 6), 65535, np.uint16)), 1),
    ):
        image.save(tmp_path / "a.png")
        assert (read_labels(tmp_path / "a.png")[0] == value).all()


def sixteen_bits_in_three_channels(path):
    cv2.imwrite(str(path), np.repeat(OBJECT[..., None], 3, -1).astype(np.uint16))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (palette([BLACK, RED]).convert("RGB").save, "in colors"),
        (with_channels(FULL, OBJECT, mode="LA").save, "transparent pixels that are not 0"),
        (with_channels(255, FULL, mode="LA").save, "transparent pixels that are not 0"),
        (Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60)).save, "label 2399"),
        (Image.fromarray(np.full((4, 6), 1000, np.uint16)).save, "label 1000, expected at most"),
        (sixteen_bits_in_three_channels, "16 bits in several channels"),
        (lambda path: path.write_text("hello"), "not a picture of a known kind"),
        (lambda path: None, "cannot be read"),
    ],
)
def test_what_is_ambiguous_or_damaged_is_refused_by_name(write, words, tmp_path):
    path = tmp_path / "mask.png"
    write(path)
    with pytest.raises(InputError, match=words) as error:
        read_labels(path)
    assert str(error.value).startswith(f"{path}: ")


def test_one_object_may_have_any_color(tmp_path):
    palette([BLACK, RED]).convert("RGB").save(tmp_path / "a.png")
    labels, _ = read_labels(tmp_path / "a.png", one_object=True)
    np.testing.assert_array_equal(labels > 0, OBJECT)


def test_which_of_two_values_is_the_background_has_to_be_known(tmp_path):
    path = tmp_path / "a.png"
    one_or_two = OBJECT.astype(np.uint8) + 1
    with pytest.raises(InputError, match=r"a\.png: masks of the values 1, 2, expected 0 for the"):
        check_background([path, path], [one_or_two, one_or_two])
    check_background([path, path], [one_or_two, OBJECT.astype(np.uint8)])
    check_background([path], [np.full((4, 6), 255, np.uint8)])
