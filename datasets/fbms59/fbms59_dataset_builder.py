"""TFDS builder of FBMS-59 with optical flow. Needs no TensorFlow."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxmotion_datasets.archives import (
    ArchiveSequence,
    archive_root,
    existing_folder,
    frames_of,
)
from jaxmotion_datasets.clips import ClipBuilder

from jaxmotion.data.pictures import read_values
from jaxmotion.errors import InputError
from jaxmotion.files import reading

SPLITS = {"train": "Trainingset", "validation": "Testset"}


class Builder(ClipBuilder):
    """FBMS-59: 29 training and 30 validation sequences; regions of some of their frames."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack FBMS_Trainingset.zip and FBMS_Testset.zip, "
        "https://lmb.informatik.uni-freiburg.de/resources/datasets/moseg.en.html: the manual "
        "folder has Trainingset and Testset, itself or in FBMS"
    )
    SEQUENCES: ClassVar = {"train": 29, "validation": 30}

    def flow_root(self, root: Path) -> Path:
        """The folder of the archive."""
        return archive_root(root, ("FBMS", "FBMS59", "FBMS-59"), "Testset")

    def splits(self, root: Path) -> dict[str, list[ArchiveSequence]]:
        """Train and validation: what the archive calls its training and its test set."""
        root = self.flow_root(root)
        found = {}
        for split, name in SPLITS.items():
            folder = existing_folder(root / name, "the unpacked archive")
            with reading(folder):
                places = sorted(path for path in folder.iterdir() if path.is_dir())
            found[split] = [_sequence(place) for place in places]
        return found

    def labels(self, paths: tuple[Path, ...]) -> np.ndarray:
        """The number of the region, in the order of the definition; the first is background."""
        picture, definition = paths
        scales, _ = read_definition(definition)
        values = read_values(picture)
        if values.dtype != np.uint8:
            raise InputError(f"{picture}: a picture of 16 bits, expected 8 bits a channel")
        values = values.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
        # A scale up to 255 is a gray: the same value in each channel.
        wanted = [scale if scale > 255 else scale * (1 + (1 << 8) + (1 << 16)) for scale in scales]
        labels = np.full(values.shape, -1)
        for region, value in enumerate(wanted):
            labels[values == value] = region
        if (labels < 0).any():
            y, x = np.argwhere(labels < 0)[0]
            raise InputError(
                f"{picture}: the color at {x}, {y} is of no region of {definition.name}"
            )
        return labels.astype(np.uint8)


def _sequence(place: Path) -> ArchiveSequence:
    video = frames_of(place)
    folder = existing_folder(place / "GroundTruth", f"the regions of {place.name}")
    definitions = sorted(folder.glob("*Def.dat"))
    if len(definitions) != 1:
        raise InputError(f"{folder}: {len(definitions)} files *Def.dat, expected one")
    masks = {}
    for frame, name in read_definition(definitions[0])[1].items():
        picture = folder / name
        if not picture.is_file():
            raise InputError(f"{picture}: no such file, though {definitions[0].name} lists it")
        if frame >= len(video.files):
            raise InputError(
                f"{definitions[0]}: frame {frame}, but there are {len(video.files)} frames"
            )
        masks[frame] = (picture, definitions[0])
    return ArchiveSequence(place.name, video, masks, tuple(path.stem for path in video.files))


def read_definition(path: Path) -> tuple[list[int], dict[int, str]]:
    """Reads a `*Def.dat`, whose lines are a title that ends in a colon, then its value.

    Args:
        path: file to read.

    Returns:
        The color of each region (red * 65536 + green * 256 + blue, or a gray up to 255), and the
        names of the annotated pictures by the number of their frame, from 0.

    Raises:
        InputError: missing, or not such a file.
    """
    with reading(path):
        lines = [
            line.strip()
            for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        ]
    lines = [line for line in lines if line]
    values: dict[str, list[str]] = {}
    for title, value in itertools.pairwise(lines):
        if title.endswith(":"):
            kind = "Scale" if title.startswith("Scale of region") else title[:-1]
            values.setdefault(kind, []).append(value)
    try:
        scales = [int(value) for value in values["Scale"]]
        frames = [int(value) for value in values["Frame number"]]
        names = values["File name"]
        (regions,) = values["Total number of regions"]
        whole = len(scales) == int(regions) and len(frames) == len(names) and bool(frames)
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: not a definition of regions and annotated frames") from error
    if not whole:
        raise InputError(
            f"{path}: {len(scales)} regions of {regions}, {len(names)} names of {len(frames)} "
            "frames, expected all of them"
        )
    return scales, dict(zip(frames, names, strict=True))
