"""Pictures: reading and writing frames, and segments laid over a frame."""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PpmImagePlugin import PpmImageFile

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading
from jaxmotion.optical_flow.colors import color_labels


def overlay(
    image: np.ndarray, labels: np.ndarray, alpha: float = 0.5, background: int | None = 0
) -> np.ndarray:
    """Lays the colors of the segments over a frame, with their outlines in full color.

    Args:
        image: frame, uint8 `[..., H, W, 3]`.
        labels: segment of each pixel, integers `[..., H, W]`.
        alpha: opacity of the colors, 0 to 1.
        background: segment that is left as it is in the frame; None colors all.

    Returns:
        The picture, uint8 `[..., H, W, 3]`.
    """
    labels = np.asarray(labels)
    edge = np.zeros(labels.shape, bool)
    across = labels[..., :, 1:] != labels[..., :, :-1]
    edge[..., :, 1:] |= across
    edge[..., :, :-1] |= across
    down = labels[..., 1:, :] != labels[..., :-1, :]
    edge[..., 1:, :] |= down
    edge[..., :-1, :] |= down
    # OpenCV takes a tenth of NumPy's time, and one picture: all of them as a tall one.
    width = labels.shape[-1]
    frame, colors = (a.reshape(-1, width, 3) for a in (np.asarray(image), color_labels(labels)))
    edge, left = (a.reshape(-1, width).astype(np.uint8) for a in (edge, labels == background))
    mixed = cv2.addWeighted(frame, 1 - alpha, colors, alpha, 0)
    mixed = cv2.copyTo(colors, edge, mixed)
    return cv2.copyTo(frame, left, mixed).reshape(*labels.shape, 3)


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture, turned upright as its camera noted.

    Args:
        path: file of a kind that Pillow reads (PNG, JPEG, ...), of 8 or 16 bits a channel.

    Returns:
        uint8 `[H, W, 3]`; 16 bits are rounded to 8.

    Raises:
        InputError: missing, not a picture, damaged, too large, of another depth, or values of 12
            bits or fewer in 16, of which 8 bits would leave a few shades.
    """
    values = read_values(path)
    if values.dtype == np.uint16 and values.any() and not uses_16_bits(values):
        raise shallow_error(path, values)
    return to_8_bits(values)


def read_values(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture as deep as it is, turned upright.

    Args:
        path: file of a kind that Pillow reads, of 8 or 16 bits a channel.

    Returns:
        uint8 or uint16 `[H, W, 3]`.

    Raises:
        InputError: missing, not a picture, damaged, too large, or of another depth.
    """
    with reading(path):
        data = Path(path).read_bytes()
    with reading_picture(path), Image.open(io.BytesIO(data)) as image:
        if not _is_deep(image, data):
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        mode, turned = image.mode, image.getexif().get(_ORIENTATION, 1)
        if mode.startswith("I"):
            values = np.asarray(image)  # gray
        else:  # Pillow keeps the upper byte of colors
            values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            values = values[..., 2::-1] if values is not None and values.ndim == 3 else None
    if values is None or values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise InputError(f"{path}: a picture of mode {mode}, expected 8 or 16 bits a channel")
    values = np.broadcast_to(values.reshape(*values.shape[:2], -1), (*values.shape[:2], 3))
    flips = {2: "h", 3: "hv", 4: "v", 5: "t", 6: "th", 7: "thv", 8: "tv"}.get(turned, "")
    for flip in flips:
        values = {"h": np.fliplr, "v": np.flipud, "t": lambda v: v.swapaxes(0, 1)}[flip](values)
    return np.ascontiguousarray(values, np.uint16)


_ORIENTATION = 0x0112  # the tag of Exif


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """Whether a picture, not loaded yet, has more than 8 bits whose scale it does not declare."""
    if image.mode.startswith(("I", "F")):
        return True
    if image.format == "PNG":
        return data[24] == 16
    if image.format == "TIFF":
        return max(image.getexif().get(258) or (8,)) > 8
    return isinstance(image, PpmImageFile) and 65535 in tuple(image.tile[0].args or ())


def uses_16_bits(values: np.ndarray) -> bool:
    """Whether values of 16 bits reach beyond the 12 that cameras put into 16."""
    return values.dtype == np.uint16 and values.max() >= 1 << 12


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """Rounds uint16 to uint8, white to white; uint8 stays as it is."""
    if values.dtype == np.uint8:
        return values
    return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def shallow_error(path: str | os.PathLike, values: np.ndarray) -> InputError:
    """The error for values of 12 bits or fewer in a picture of 16, with advice.

    Args:
        path: file of the picture.
        values: values of the picture, uint16 `[H, W, 3]`.
    """
    top = int(values.max())
    by = 1 << max(top.bit_length() - 8, 0)
    return InputError(
        f"{path}: 16 bits a channel with values up to {top} only, of which 8 bits would leave "
        f"{top // 257 + 1} shades; expected the whole range: divide them by {by}, save 8 bits"
    )


@contextlib.contextmanager
def reading_picture(path: str | os.PathLike) -> Iterator[None]:
    """Turns what Pillow and OpenCV say of a file that is no sound picture into our one line.

    Args:
        path: file that is read, for the message.

    Raises:
        InputError: in the place of any exception: the readers of the many formats raise all kinds
            on damaged data (`struct.error`, `OverflowError`, `MemoryError` on a size that is
            absurd, ...).
    """
    try:
        yield
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not a picture of a known kind") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: too large a picture ({error})") from error
    except Exception as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: damaged picture ({words})") from error


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a picture, of the kind that the suffix names, atomically.

    Args:
        path: file to write.
        image: picture, uint8 `[H, W, 3]` or `[H, W]` (gray).

    Raises:
        InputError: it cannot be written there.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(np.asarray(image)).save(temporary)
