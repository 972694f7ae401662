"""Label pictures: annotated masks, and the masks that other methods and ours leave in a folder."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxmotion.data.pictures import write_labels
from jaxmotion.errors import InputError
from jaxmotion.files import read_error

ONE_CHANNEL_MODES = ("1", "L", "P", "I", "I;16")
MAX_LABEL = 255


@dataclass(frozen=True)
class Annotation:
    """The annotated frames of a sequence.

    Attributes:
        frames: int `[n]`, index of each within the video, ascending.
        names: Name of each file, without suffix.
        labels: uint8 `[n, H, W]`, 0 for background, otherwise an object.
        void: bool `[n, H, W]`, pixels that do not count; None if all do.
    """

    frames: np.ndarray
    names: tuple[str, ...]
    labels: np.ndarray
    void: np.ndarray | None = None

    @property
    def foreground(self) -> np.ndarray:
        """All objects as one: bool `[n, H, W]`."""
        return self.labels != 0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.labels.shape[1:]
        return height, width

    def select(self, positions) -> "Annotation":
        """Some of the annotated frames."""
        names = tuple(self.names[i] for i in positions)
        void = None if self.void is None else self.void[positions]
        return Annotation(self.frames[positions], names, self.labels[positions], void)

    def shown(self, void_label: int = MAX_LABEL) -> np.ndarray:
        """Labels with the void pixels marked, and an object of that very label as 1.

        Binary masks are often 0 and 255: uint8 `[n, H, W]`.
        """
        labels = np.where(self.labels == void_label, 1, self.labels).astype(np.uint8)
        return labels if self.void is None else np.where(self.void, np.uint8(void_label), labels)


def read_annotation(
    paths: Sequence[Path], frames: Sequence[int], void: int | None = None
) -> Annotation:
    """Reads the annotated frames of a sequence.

    Args:
        paths: PNG files of one channel (grey or indexed) and of one size.
        frames: Index of each within the video.
        void: Label that means "does not count" in indexed pictures; None for none.

    Raises:
        InputError: A file cannot be read, has several channels, labels above 255, or another size.
    """
    pictures = read_label_pictures(paths)
    labels = np.stack([values for values, _ in pictures])
    unknown = None
    if void is not None and any(indexed for _, indexed in pictures):
        unknown = np.stack([(values == void) & indexed for values, indexed in pictures])
        labels[unknown] = 0
        unknown = unknown if unknown.any() else None
    return Annotation(np.asarray(frames, int), tuple(p.stem for p in paths), labels, unknown)


def read_masks(paths: Sequence[Path]) -> np.ndarray:
    """Reads binary masks of one size.

    Args:
        paths: PNG files of one channel (grey, or indexed); non-zero is foreground.

    Returns:
        bool `[T, H, W]`.

    Raises:
        InputError: As `read_annotation`.
    """
    return np.stack([values for values, _ in read_label_pictures(paths)]) != 0


def read_label_pictures(
    paths: Sequence[Path], size: tuple[int, int] | None = None
) -> list[tuple[np.ndarray, bool]]:
    """Reads label pictures of one size, several at a time.

    Args:
        paths: PNG files of one channel.
        size: Height and width that they must have; those of the first by default.

    Returns:
        Labels uint8 `[H, W]` of each file, and whether it has a palette.

    Raises:
        InputError: Of the first file, in order, that is not as expected.
    """
    with ThreadPoolExecutor() as pool:  # decoding leaves the interpreter lock alone
        pictures = []
        for path, picture in zip(paths, pool.map(_read_labels, paths), strict=True):
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


def write_label_pictures(
    folder: str | os.PathLike, names: Iterable[str], labels: np.ndarray
) -> None:
    """Writes `folder/NAME.png` for every frame, indexed pictures as the DAVIS tools read them.

    Args:
        folder: Made where it is missing.
        names: Of the files, without suffix.
        labels: uint8 `[T, H, W]`.

    Raises:
        InputError: A file cannot be written.
    """
    paths = [Path(folder) / f"{name}.png" for name in names]
    with ThreadPoolExecutor() as pool:
        list(pool.map(write_labels, paths, labels))


def _read_labels(path: Path) -> tuple[np.ndarray, bool]:
    try:
        with Image.open(path) as image:
            if image.mode not in ONE_CHANNEL_MODES:
                raise InputError(f"{path}: mask of mode {image.mode}, expected one channel")
            values, indexed = np.asarray(image), image.mode == "P"
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not a PNG picture") from error
    except InputError:
        raise
    except Exception as error:  # Pillow's readers raise all kinds
        if isinstance(error, OSError) and error.strerror:
            raise read_error(path, error) from error
        raise InputError(f"{path}: damaged picture ({error})") from error
    if values.dtype != np.uint8 and values.max(initial=0) > MAX_LABEL:
        raise InputError(f"{path}: label {values.max()}, expected at most {MAX_LABEL}")
    return values.astype(np.uint8, copy=False), indexed
