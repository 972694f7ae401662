"""A folder laid out like DAVIS: which sequences it holds, their flow, masks and frames.

ROOT/Annotations/480p/SEQ/*.png      masks, one channel, non-zero = foreground
ROOT/JPEGImages/480p/SEQ/*.jpg       frames, only needed for pictures
ROOT/Flows/NAME/SEQ.npz              key "flow" [T, h, w, 2], or
ROOT/Flows/NAME/SEQ/*.flo            one file per flow
ROOT/ImageSets/SPLIT.txt             one sequence name per line, optional
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxmotion.data.pictures import read_image
from jaxmotion.errors import InputError
from jaxmotion.files import read_error
from jaxmotion.optical_flow.formats import read_flow_sequence

RESOLUTION = "480p"
ONE_CHANNEL_MODES = ("1", "L", "P", "I", "I;16")


@dataclass(frozen=True)
class DavisSequence:
    """Where the parts of one sequence lie. Flow t goes from frame t to frame t + 1.

    Attributes:
        name: Name of the sequence.
        flow_path: `.npz` file, or folder of `.flo` files.
        mask_paths: One mask per frame, in order.
        frame_paths: One picture per frame, in order; may be empty.
    """

    name: str
    flow_path: Path
    mask_paths: tuple[Path, ...]
    frame_paths: tuple[Path, ...]

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Reads the flow and the masks of the frames that have one.

        Returns:
            flow float32 `[T, h, w, 2]` and masks bool `[T, H, W]`.

        Raises:
            InputError: A file is missing, damaged or of another size than its neighbours, or
                there are more flows than masks.
        """
        flow = read_flow_sequence(self.flow_path)
        if len(flow) > len(self.mask_paths):
            raise InputError(
                f"{self.flow_path}: {len(flow)} flow fields, expected at most "
                f"{len(self.mask_paths)}, the number of masks in {self.mask_paths[0].parent}"
            )
        return flow, read_masks(self.mask_paths[: len(flow)])

    def read_frame(self, t: int) -> np.ndarray:
        """Reads frame t: uint8 `[H, W, 3]`.

        Raises:
            InputError: The frame is missing or damaged.
        """
        if t >= len(self.frame_paths):
            raise InputError(
                f"{self.name}: frame {t} is wanted, but there are "
                f"{len(self.frame_paths)} pictures in JPEGImages/{RESOLUTION}/{self.name}"
            )
        return read_image(self.frame_paths[t])


def find_sequences(
    root: str | os.PathLike,
    flow_name: str,
    names: Sequence[str] = (),
    split: str | None = None,
) -> list[DavisSequence]:
    """Lists the sequences to evaluate.

    Args:
        root: Folder laid out like DAVIS.
        flow_name: Folder of `root/Flows`.
        names: The sequences wanted.
        split: Or the name of a list in `root/ImageSets`. Without either, every sequence that has
            both flow and annotation.

    Returns:
        The sequences, in the order asked for, otherwise by name.

    Raises:
        InputError: A folder, list, flow or annotation is missing.
    """
    root = Path(root)
    annotations, flows = root / "Annotations" / RESOLUTION, root / "Flows" / flow_name
    for folder in (root, annotations, flows.parent):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder, expected the root of a DAVIS layout")
    if not flows.is_dir():
        known = sorted(path.name for path in flows.parent.iterdir() if path.is_dir())
        raise InputError(f"{flows}: no such folder of flows, found {', '.join(known) or 'none'}")
    if names and split:
        raise InputError("name either sequences or a split, not both")
    annotated = {path.name for path in annotations.iterdir() if path.is_dir()}
    with_flow = {path.stem for path in flows.glob("*.npz")}
    with_flow |= {path.name for path in flows.iterdir() if path.is_dir()}
    if split:
        names = _read_split(root / "ImageSets" / f"{split}.txt")
    elif not names:
        names = sorted(annotated & with_flow)
        if not names:
            raise InputError(f"{root}: no sequence has both a flow in {flows} and an annotation")
    for name in names:
        if name not in annotated:
            raise InputError(f"{annotations / name}: no such folder of masks")
        if name not in with_flow:
            raise InputError(f"{flows / name}.npz: no such flow, nor a folder {flows / name}")
    return [_sequence(root, flows, name) for name in dict.fromkeys(names)]


def _sequence(root: Path, flows: Path, name: str) -> DavisSequence:
    folder = root / "Annotations" / RESOLUTION / name
    masks = sorted(folder.glob("*.png"))
    if not masks:
        raise InputError(f"{folder}: no masks, expected *.png")
    pictures = root / "JPEGImages" / RESOLUTION / name
    npz = flows / f"{name}.npz"
    return DavisSequence(
        name=name,
        flow_path=npz if npz.exists() else flows / name,
        mask_paths=tuple(masks),
        frame_paths=tuple(sorted(pictures.glob("*.jpg"))),
    )


def _read_split(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise read_error(path, error) from error
    if not lines:
        raise InputError(f"{path}: empty, expected one sequence name per line")
    return lines


def read_masks(paths: Sequence[Path]) -> np.ndarray:
    """Reads binary masks of one size.

    Args:
        paths: PNG files of one channel (grey, or indexed); non-zero is foreground.

    Returns:
        bool `[T, H, W]`.

    Raises:
        InputError: A file cannot be read, has several channels, or another size.
    """
    masks = []
    for path in paths:
        masks.append(_read_mask(path))
        if masks[-1].shape != masks[0].shape:
            height, width = masks[-1].shape
            raise InputError(
                f"{path}: mask of {width} x {height}, expected {masks[0].shape[1]} x "
                f"{masks[0].shape[0]} as {paths[0].name}"
            )
    return np.stack(masks)


def _read_mask(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            if image.mode not in ONE_CHANNEL_MODES:
                raise InputError(f"{path}: mask of mode {image.mode}, expected one channel")
            return np.asarray(image) != 0
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not a PNG picture") from error
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise read_error(path, error) from error
        raise InputError(f"{path}: damaged picture ({error})") from error
