"""Annotated masks: the one reader and the one writer of label pictures, whoever wants them.

What a value means is decided here, by one rule:

- A picture with a palette has the labels that its indices are; one whose palette holds nothing but
  black and white has 1 where it is white. One bit a pixel is 1 where it is set.
- A gray picture of two values, 0 and any other, has one object, where the other one is.
- A gray picture of more values has the labels that these are, unless it is a mask in black and
  white with soft outlines (what lies between is on borders only): then 128 and more are the object.
- Three equal channels are gray. Colors are refused, unless the picture is known to show one object.
  Of a picture with transparency every pixel must be opaque, or 0.

Anything else is refused with the name of the file, because a mask that is read wrongly gives
numbers that are wrong without a word.
"""

import io
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from jaxmotion.data.pictures import reading_picture
from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading
from jaxmotion.optical_flow.colors import label_palette

MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm")
MAX_LABEL = 255
NEARLY_WHITE, NEARLY_GRAY = 250, 32  # a value, and a difference between channels

_GRAY = ("L", "I", "I;16", "I;16B", "I;16L")
_WHITE = (255, 65535)


def read_labels(path: str | os.PathLike, one_object: bool = False) -> tuple[np.ndarray, bool]:
    """Reads the labels of a picture, by the rule above.

    Args:
        path: file of a picture of a lossless kind.
        one_object: whether it shows one object on black, whose color does not matter.

    Returns:
        uint8 `[H, W]`, 0 for the background; and whether the picture has a palette of labels, where
        some data sets give 255 a meaning of its own.

    Raises:
        InputError: missing, damaged, or of values whose meaning is not known.
    """
    with reading(path):
        data = Path(path).read_bytes()
    with reading_picture(path):
        if _is_bitmap_of_two_colors(data):
            values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
            if values is not None:
                return _of_gray(path, values), False
        with Image.open(io.BytesIO(data)) as image:
            depths = str(image.tile)
            image.load()
            return _labels(path, image, depths, one_object)


def read_label_pictures(
    paths: Sequence[Path], size: tuple[int, int] | None = None
) -> list[tuple[np.ndarray, bool]]:
    """Reads label pictures of one size, several at a time.

    Args:
        paths: files of the pictures.
        size: `(height, width)` that they must have; that of the first by default.

    Returns:
        The result of `read_labels` for each file.

    Raises:
        InputError: a file is not as expected; the message names the first one, in order.
    """
    with ThreadPoolExecutor() as pool:  # decoding leaves the interpreter lock alone
        pictures = []
        for path, picture in zip(paths, pool.map(read_labels, paths), strict=True):
            expected = size or (pictures or [picture])[0][0].shape
            if picture[0].shape != expected:
                height, width = picture[0].shape
                like = "the annotation" if size else paths[0].name
                raise InputError(
                    f"{path}: mask of {width} x {height}, expected {expected[1]} x {expected[0]} "
                    f"as {like}"
                )
            pictures.append(picture)
    return pictures


def encode_labels(labels: np.ndarray, palette: bool = True) -> bytes:
    """Encodes a labeling as a PNG whose values are the labels.

    Args:
        labels: labels of the pixels, integers `[H, W]` in 0..255.
        palette: whether it is an indexed picture with the colors of the labels; gray otherwise.

    Returns:
        The bytes of the file.
    """
    labels = np.asarray(labels)
    if labels.min() < 0 or labels.max() > MAX_LABEL:
        raise ValueError(f"labels of 0 to 255 fit a PNG, got {labels.min()} to {labels.max()}")
    data = io.BytesIO()
    image = Image.fromarray(labels.astype(np.uint8), mode="P" if palette else "L")
    if palette:
        image.putpalette(label_palette(256).tobytes())
    image.save(data, format="PNG")
    return data.getvalue()


def write_labels(path: str | os.PathLike, labels: np.ndarray) -> None:
    """Writes a labeling as an indexed PNG: the values are the labels, the palette their colors.

    Args:
        path: file to write, `.png`.
        labels: labels of the pixels, integers `[H, W]` in 0..255.

    Raises:
        InputError: it cannot be written there.
    """
    data = encode_labels(labels)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_label_pictures(
    folder: str | os.PathLike, names: Iterable[str], labels: np.ndarray
) -> None:
    """Writes `folder/NAME.png` for every frame, indexed pictures as the DAVIS tools read them.

    Args:
        folder: folder to write to; made where it is missing.
        names: names of the files, without suffix.
        labels: labels of the pixels, uint8 `[T, H, W]`.

    Raises:
        InputError: a file cannot be written.
    """
    paths = [Path(folder) / f"{name}.png" for name in names]
    with ThreadPoolExecutor() as pool:
        list(pool.map(write_labels, paths, labels))


def check_background(paths: Sequence[Path], labels: Iterable[np.ndarray]) -> None:
    """Checks that one of the masks of a sequence has a background, unless there is just one value.

    Args:
        paths: files of the masks, for the message.
        labels: labels that `read_labels` gave, of which all but 0 are objects.

    Raises:
        InputError: several labels but no 0: which of them is the background is not known.
    """
    counts = [np.bincount(part.ravel(), minlength=MAX_LABEL + 1) for part in labels]
    found = np.flatnonzero(np.sum(counts, axis=0))
    if len(found) > 1 and found[0] > 0:
        values = ", ".join(map(str, found[:4].tolist())) + (", ..." if len(found) > 4 else "")
        raise InputError(f"{paths[0]}: masks of the values {values}, expected 0 for the background")


def _is_bitmap_of_two_colors(data: bytes) -> bool:
    """Whether a file is a `.bmp` of 8 bits and two colors, which Pillow decodes as one of 1 bit."""
    return data[:2] == b"BM" and data[28:30] == b"\x08\0" and data[46:50] == b"\2\0\0\0"


def _labels(
    path: str | os.PathLike, image: Image.Image, depths: str, one_object: bool
) -> tuple[np.ndarray, bool]:
    values, mode = np.asarray(image), image.mode
    if mode == "1":
        return values.astype(np.uint8), False
    if mode == "P":
        if _is_black_and_white(image):
            return np.array(image.convert("L")) // MAX_LABEL, False
        return np.array(values), True
    if mode in _GRAY:
        return _of_gray(path, values), False
    if mode not in ("LA", "RGB", "RGBA"):
        raise InputError(
            f"{path}: mask of mode {mode}, expected one channel, gray or with a palette"
        )
    if ";16" in depths:
        raise InputError(f"{path}: mask of 16 bits in several channels, expected one channel")
    if mode.endswith("A"):
        values, alpha = values[..., :-1], values[..., -1]
        if values[alpha < MAX_LABEL].any():
            raise InputError(
                f"{path}: mask with transparent pixels that are not 0, expected opaque"
            )
    return _of_gray(path, _one_channel(path, values, one_object)), False


def _is_black_and_white(image: Image.Image) -> bool:
    assert image.palette is not None
    channels = len(image.palette.mode)
    colors = np.frombuffer(bytes(image.palette.palette), np.uint8)
    colors = {tuple(color[:3]) for color in colors.reshape(-1, channels).tolist()}
    return (255, 255, 255) in colors and colors <= {(0, 0, 0), (255, 255, 255)}


def _one_channel(path: str | os.PathLike, values: np.ndarray, one_object: bool) -> np.ndarray:
    """The brightest channel of each pixel, where that says all."""
    brightest = values.max(axis=-1)
    colorful = np.ptp(values, axis=-1).max()  # lossy kinds leave white and black a little colored
    nearly_gray = colorful <= NEARLY_GRAY and brightest.max() >= NEARLY_WHITE
    if colorful and not nearly_gray and not one_object:
        raise InputError(f"{path}: mask in colors, expected gray or with a palette")
    return brightest


def _of_gray(path: str | os.PathLike, values: np.ndarray) -> np.ndarray:
    found = np.unique(values)
    two_values = len(found) == 2 and found[0] == 0
    if found[-1] > MAX_LABEL and (two_values or (len(found) == 1 and found[0] in _WHITE)):
        return (values > 0).astype(np.uint8)
    if found[-1] > MAX_LABEL or found[0] < 0:
        worst = found[-1] if found[-1] > MAX_LABEL else found[0]
        raise InputError(
            f"{path}: label {worst}, expected at most {MAX_LABEL}, or 0 and one other value"
        )
    values = values.astype(np.uint8)
    if len(found) > 2 and _has_soft_outlines(values):
        return np.where(values > 127, np.uint8(MAX_LABEL), np.uint8(0))
    return values


def _has_soft_outlines(values: np.ndarray) -> bool:
    """Whether a picture is black and white, but for pixels along the outlines.

    Labels fill areas: most of their pixels have eight neighbors of the same value. Few pixels
    between black and white have.
    """
    if values.min() > 0 or values.max() < NEARLY_WHITE:
        return False
    around = np.ones((3, 3), np.uint8)
    inside = cv2.dilate(values, around) == cv2.erode(values, around)
    between = (values > 0) & (values < values.max())
    return bool(inside[between].mean() < 0.5)
