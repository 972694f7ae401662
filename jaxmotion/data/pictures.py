"""Pictures: reading frames, and showing segments as colours, overlays and indexed PNG files."""

import os

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, read_error

# Okabe and Ito's colours, which colour-blind people tell apart too; segment 0 is a neutral grey.
_FIRST_COLORS = (
    (110, 110, 110),
    (230, 159, 0),
    (0, 114, 178),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (86, 180, 233),
)
_GOLDEN_ANGLE = 0.381966


def label_palette(num_segments: int) -> np.ndarray:
    """One colour a segment, the same for a segment whatever their number.

    Args:
      num_segments: K, at least 1.

    Returns:
      uint8 `[K, 3]`.
    """
    colors = list(_FIRST_COLORS[:num_segments])
    for index in range(num_segments - len(colors)):
        # Hues a golden angle apart never come back close to the ones just used.
        hue = 6 * ((index * _GOLDEN_ANGLE) % 1.0)
        strength = 255 if index % 2 == 0 else 150
        rgb = np.clip(np.abs((hue + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
        colors.append(tuple(int(c) for c in np.rint(strength * (0.15 + 0.85 * rgb))))
    return np.array(colors, np.uint8).reshape(num_segments, 3)


def color_labels(labels: np.ndarray, num_segments: int | None = None) -> np.ndarray:
    """Paints every segment in its colour.

    Args:
      labels: integers `[..., H, W]` in 0..K-1.
      num_segments: K; the largest label + 1 when left out.

    Returns:
      uint8 `[..., H, W, 3]`.
    """
    labels = np.asarray(labels)
    count = int(labels.max(initial=0)) + 1 if num_segments is None else num_segments
    return label_palette(count)[labels]


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
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise InputError(
                    f"{path}: a picture of mode {image.mode}, expected 8 bits a channel"
                )
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not a picture of a known kind") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        if isinstance(error, OSError) and error.strerror:
            raise read_error(path, error) from error
        raise InputError(f"{path}: damaged picture ({error})") from error


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
