"""Pictures: reading frames, segments laid over a frame, and labels as indexed PNG files."""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading
from jaxmotion.optical_flow.colors import color_labels, label_palette


def overlay(
    image: np.ndarray, labels: np.ndarray, alpha: float = 0.5, background: int | None = 0
) -> np.ndarray:
    """Lays the colours of the segments over a frame, with their outlines in full colour.

    Args:
      image: uint8 `[..., H, W, 3]`.
      labels: integers `[..., H, W]`.
      alpha: opacity of the colours, 0 to 1.
      background: the segment that is left as it is in the frame; None colours all.

    Returns:
      uint8 `[..., H, W, 3]`.
    """
    image, labels = np.asarray(image), np.asarray(labels)
    edge = np.zeros(labels.shape, bool)
    across = labels[..., :, 1:] != labels[..., :, :-1]
    edge[..., :, 1:] |= across
    edge[..., :, :-1] |= across
    down = labels[..., 1:, :] != labels[..., :-1, :]
    edge[..., 1:, :] |= down
    edge[..., :-1, :] |= down
    opacity = np.where(edge, 1.0, alpha) * (labels != background)
    opacity = opacity.astype(np.float32)[..., None]
    mixed = (1 - opacity) * image + opacity * color_labels(labels)
    return np.rint(mixed).astype(np.uint8)


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture of 8 bits a channel, turned upright as its camera noted.

    Args:
      path: a file of a kind that Pillow reads (PNG, JPEG, ...).

    Returns:
      uint8 `[H, W, 3]`.

    Raises:
      InputError: missing, not a picture, truncated, or not of 8 bits.
    """
    with reading(path):
        data = Path(path).read_bytes()
    try:
        with Image.open(io.BytesIO(data)) as image:
            if not image.mode.startswith(("I", "F")):
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
            mode = image.mode
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not a picture of a known kind") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise InputError(f"{path}: damaged picture ({error})") from error
    raise InputError(f"{path}: a picture of mode {mode}, expected 8 bits a channel")


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a picture, of the kind that the suffix names, atomically.

    Args:
      path: where to.
      image: uint8 `[H, W, 3]` or `[H, W]` (grey).

    Raises:
      InputError: it cannot be written there.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(np.asarray(image)).save(temporary)


def write_labels(path: str | os.PathLike, labels: np.ndarray) -> None:
    """Writes a labelling as an indexed PNG: the values are the labels, the palette their colours.

    Args:
      path: where to, `.png`.
      labels: integers `[H, W]` in 0..255.

    Raises:
      InputError: it cannot be written there.
    """
    labels = np.asarray(labels)
    if labels.min() < 0 or labels.max() > 255:
        raise ValueError(f"labels of 0 to 255 fit a PNG, got {labels.min()} to {labels.max()}")
    image = Image.fromarray(labels.astype(np.uint8), mode="P")
    image.putpalette(label_palette(256).tobytes())
    with atomic_path(path) as temporary:
        image.save(temporary)
