"""TFDS builder of DAVIS 2016 with optical flow. Needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxmotion_datasets.archives import ArchiveSequence, archive_root
from jaxmotion_datasets.clips import ClipBuilder
from jaxmotion_datasets.davis_layout import find_sequence, listed_sequences
from jaxmotion_datasets.downloads import Archive

from jaxmotion.data.masks import check_background

URL = "https://graphics.ethz.ch/Downloads/Data/Davis/DAVIS-data.zip"
LISTS = ("480p", "", "2016")  # DAVIS 2016, plain lists, DAVIS 2017


class Builder(ClipBuilder):
    """DAVIS 2016: 30 training and 20 validation sequences, the moving object in every frame."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Unpack DAVIS-data.zip, {URL}: the manual folder has JPEGImages/480p, Annotations/480p "
        "and ImageSets/480p, itself or in DAVIS"
    )
    ARCHIVES = (
        # Both states that the authors' own get_davis.sh has known.
        Archive(
            URL,
            ("md5:0cb3cf9c5617209fa3cc4794e52a2ffa", "md5:464ebb594dcbc34e012487f4cd0f8213"),
            leave_out=("1080p",),
        ),
    )
    SEQUENCES: ClassVar = {"train": 30, "validation": 20}

    def flow_root(self, root: Path) -> Path:
        """The folder of the archive."""
        return archive_root(root, ("DAVIS",), "Annotations")

    def splits(self, root: Path) -> dict[str, list[ArchiveSequence]]:
        """Train and validation, as the lists of the archive say."""
        root = self.flow_root(root)
        needs_frames = self.config.estimator is not None
        return {
            split: [
                find_sequence(root, name, needs_frames=needs_frames)
                for name in listed_sequences(root, LISTS, file)
            ]
            for split, file in (("train", "train.txt"), ("validation", "val.txt"))
        }

    def labels_of(self, sequence: ArchiveSequence) -> dict[int, np.ndarray]:
        """Labels by frame: 1 for the object, whatever its value in the files."""
        masks = super().labels_of(sequence)
        check_background([path for (path,) in sequence.masks.values()], list(masks.values()))
        return {frame: (labels > 0).astype(np.uint8) for frame, labels in masks.items()}
