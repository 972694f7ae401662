"""TFDS builder of the 88 videos of MoCA that motion segmentation is judged by. No TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from jaxmotion_datasets.archives import (
    ArchiveSequence,
    Box,
    archive_root,
    existing_folder,
    frames_of,
)
from jaxmotion_datasets.clips import ClipBuilder
from jaxmotion_datasets.via import Region, read_regions

from jaxmotion.data.pairing import place_files
from jaxmotion.errors import InputError
from jaxmotion.files import reading

ANNOTATIONS = ("Annotations/annotations.csv", "annotations.csv")  # MoCA, MoCA_filtered
MOTION = "1"  # the attribute that says how the animal moves
MOTIONS = {"0": "locomotion", "1": "deformation", "2": "static"}
SUBSET = Path(__file__).with_name("subset.txt")


class Builder(ClipBuilder):
    """MoCA: 88 videos of camouflaged animals, with a box around the animal in some frames."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack MoCA, https://www.robots.ox.ac.uk/~vgg/data/MoCA/: the manual folder has "
        "JPEGImages/VIDEO/*.jpg and Annotations/annotations.csv, itself or in MoCA (or is "
        "MoCA_filtered of https://github.com/charigyang/motiongrouping, with annotations.csv)"
    )
    SEQUENCES: ClassVar = {"test": 88}

    def flow_root(self, root: Path) -> Path:
        """The folder of the archive."""
        return archive_root(root, ("MoCA", "MoCA_filtered", "MoCA_filter"), "JPEGImages")

    def splits(self, root: Path) -> dict[str, list[ArchiveSequence]]:
        """The videos of the 88 that are there, as the split test: all are for evaluation."""
        root = self.flow_root(root)
        subset = SUBSET.read_text().split()
        places = [root / name for name in ANNOTATIONS]
        table = next((place for place in places if place.exists()), places[0])
        regions: dict[str, list[Region]] = {}
        for region in read_regions(table):
            regions.setdefault(region.file.parent.name, []).append(region)
        frames = existing_folder(root / "JPEGImages", "a folder of frames for each video")
        with reading(frames):
            there = {path.name for path in frames.iterdir() if path.is_dir()}
        return {
            "test": [
                _sequence(frames / name, table, regions.get(name, []))
                for name in sorted(subset)
                if name in there or name in regions
            ]
        }

    def extra_features(self) -> dict[str, Any]:
        """The boxes."""
        features = tfds.features
        return {
            "boxes": features.Tensor(
                shape=(None, 4), dtype=np.float32, doc="x, y, width, height in original pixels."
            ),
            "box_frames": features.Sequence(
                np.int32, doc="Number of the frame that each box belongs to."
            ),
            "box_motions": features.Sequence(
                features.Text(), doc="locomotion, deformation or static; empty if not said."
            ),
        }

    def extra(self, sequence: ArchiveSequence) -> dict[str, Any]:
        """Values of the extra features for a sequence, its boxes."""
        return {
            "boxes": np.array([box.corners for box in sequence.boxes], np.float32).reshape(-1, 4),
            "box_frames": np.array([box.frame for box in sequence.boxes], np.int32),
            "box_motions": [box.motion for box in sequence.boxes],
        }


def _sequence(folder: Path, table: Path, regions: list[Region]) -> ArchiveSequence:
    video = frames_of(existing_folder(folder, f"the frames of a video of {table.name}"))
    if not regions:
        raise InputError(f"{table}: no box of the video {folder.name}, expected some")
    files = [Path(file) for file in dict.fromkeys(region.file for region in regions)]
    places = place_files(files, [path.stem for path in video.files])
    numbers = dict(zip(files, places, strict=True))
    boxes = []
    for region in regions:
        frame = numbers[Path(region.file)]
        if frame is None:
            raise InputError(
                f"{folder / region.file.name}: no such file, though line {region.line} of "
                f"{table.name} lists it"
            )
        x, y, width, height = region.rectangle
        inside = x < video.width and y < video.height and x + width > 0 and y + height > 0
        if not (inside and width > 0 and height > 0):
            raise InputError(
                f"{table}, line {region.line}: a box of {width:g} x {height:g} at {x:g}, {y:g}, "
                f"expected one within {video.width} x {video.height}"
            )
        motion = region.attributes.get(MOTION)
        if motion is not None and motion not in MOTIONS:
            raise InputError(
                f"{table}, line {region.line}: motion {motion!r}, expected one of "
                f"{', '.join(MOTIONS)}"
            )
        said = "" if motion is None else MOTIONS[motion]
        boxes.append(Box(frame, region.rectangle, said))
    boxes.sort(key=lambda box: box.frame)
    names = tuple(path.stem for path in video.files)
    return ArchiveSequence(folder.name, video, {}, names, tuple(boxes))
