"""TFDS builder of SegTrack v2 with optical flow. Needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxmotion_datasets.archives import (
    ArchiveSequence,
    archive_root,
    check_partners,
    existing_folder,
    frames_of,
    numbered_pictures,
    size_error,
    sound_size,
)
from jaxmotion_datasets.clips import ClipBuilder

from jaxmotion.data.masks import MASK_SUFFIXES, check_background, read_labels
from jaxmotion.files import reading


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
        objects = []
        for path in paths:
            objects.append(read_labels(path, one_object=True)[0])
            check_background([path], objects[-1:])
        labels = np.zeros(objects[0].shape, np.uint8)
        for number, values in enumerate(objects, start=1):
            labels[values > 0] = number
        return labels


def _sequence(root: Path, name: str) -> ArchiveSequence:
    video = frames_of(root / "JPEGImages" / name)
    folder = existing_folder(root / "GroundTruth" / name, f"the masks of {name}")
    with reading(folder):
        objects = sorted(path for path in folder.iterdir() if path.is_dir()) or [folder]
    masks = [numbered_pictures(place, MASK_SUFFIXES) for place in objects]
    for found in masks:
        check_partners(video.files, found)
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
