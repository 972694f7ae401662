"""TFDS builder of SegTrack v2 with optical flow. Needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxmotion_datasets.archives import (
    ArchiveSequence,
    archive_root,
    existing_folder,
    frames_of,
    numbered_pictures,
    read_colors,
    size_error,
    sound_size,
)
from jaxmotion_datasets.clips import ClipBuilder

from jaxmotion.errors import InputError
from jaxmotion.files import reading

PICTURES = (".png", ".bmp")


class Builder(ClipBuilder):
    """SegTrack v2: 14 videos, one mask per object in every frame."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack SegTrackv2.zip, https://web.engr.oregonstate.edu/~lif/SegTrack2/dataset.html: the "
        "manual folder has JPEGImages and GroundTruth, itself or in SegTrackv2"
    )
    SEQUENCES: ClassVar = {"test": 14}

    def flow_root(self, root: Path) -> Path:
        """The folder of the archive."""
        return archive_root(root, ("SegTrackv2",), "GroundTruth")

    def splits(self, root: Path) -> dict[str, list[ArchiveSequence]]:
        """All videos, as the split test: the benchmark has no other."""
        root = self.flow_root(root)
        existing_folder(root / "JPEGImages", "the frames")
        with reading(root):
            names = sorted(path.name for path in (root / "JPEGImages").iterdir() if path.is_dir())
        return {"test": [_sequence(root, name) for name in names]}

    def labels(self, paths: tuple[Path, ...]) -> np.ndarray:
        """1, 2, ... for the objects, in the order of their folders."""
        objects = [read_colors(path) for path in paths]
        objects = [values.max(-1) if values.ndim == 3 else values for values in objects]
        labels = np.zeros(objects[0].shape, np.uint8)
        for number, values in enumerate(objects, start=1):
            labels[values > 127] = number  # JPEG-like greys lie along some outlines
        return labels


def _sequence(root: Path, name: str) -> ArchiveSequence:
    video = frames_of(root / "JPEGImages" / name)
    folder = existing_folder(root / "GroundTruth" / name, f"the masks of {name}")
    with reading(folder):
        objects = sorted(path for path in folder.iterdir() if path.is_dir()) or [folder]
    masks = [numbered_pictures(place, PICTURES) for place in objects]
    for place, found in zip(objects, masks, strict=True):
        if len(found) != len(video.files):
            raise _missing(place, found, video.files)
        for path in found:
            size = sound_size(path)
            if size != (video.height, video.width):
                raise size_error(path, size, (video.height, video.width), "the frames")
    return ArchiveSequence(
        name,
        video,
        dict(enumerate(zip(*masks, strict=True))),
        tuple(path.stem for path in video.files),
    )


def _missing(place: Path, masks: tuple[Path, ...], frames: tuple[Path, ...]) -> InputError:
    """The error for frames and masks that are not as many."""
    here, there = {path.stem for path in frames}, {path.stem for path in masks}
    for folder, suffix, stems in (
        (frames[0].parent, frames[0].suffix, there - here),
        (place, masks[0].suffix, here - there),
    ):
        if stems:
            missing = folder / f"{min(stems)}{suffix}"
            return InputError(f"{missing}: no such file, though its frame or mask is there")
    return InputError(f"{place}: {len(masks)} masks, expected {len(frames)}, one per frame")
