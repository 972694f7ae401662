"""TFDS builder of DAVIS 2017 with the annotations grouped by motion. Needs no TensorFlow."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxmotion_datasets.archives import ArchiveSequence, archive_root
from jaxmotion_datasets.clips import ClipBuilder
from jaxmotion_datasets.davis_layout import find_sequence, listed_sequences
from jaxmotion_datasets.downloads import Archive

from jaxmotion.errors import InputError

_log = logging.getLogger(__name__)

URL = "https://data.vision.ee.ethz.ch/csergi/share/davis/DAVIS-2017-trainval-480p.zip"
GROUPED = "https://github.com/Jyxarthur/OCLR_model"
ANNOTATIONS = ("Annotations_unsupervised_motion", "Annotations_unsupervised", "Annotations")
LISTS = ("2017", "", "480p")
UNKNOWN = 255  # label of pixels that no one judges

# Objects of the validation sequences that move together in them, so that one is left.
GROUPED_TO_ONE = {
    *("bmx-trees", "horsejump-high", "kite-surf", "lab-coat", "mbike-trick", "motocross-jump"),
    *("paragliding-launch", "scooter-black", "shooting", "soapbox"),
}


class Builder(ClipBuilder):
    """DAVIS 2017: 60 training and 30 validation sequences; what moves together is one object."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Unpack DAVIS-2017-trainval-480p.zip, {URL}, and put the annotations grouped by motion, "
        f"{GROUPED}, into Annotations_unsupervised_motion/480p beside JPEGImages/480p and "
        "ImageSets/2017, in the manual folder itself or in DAVIS"
    )
    ARCHIVES = (
        Archive(
            URL,
            ("sha256:e3d0b5b77c3d031b000a19e0e25e3e2cac65d183755601bc2cf066df1a2aa492",),
            leave_out=("Annotations",),  # not grouped: these must not be taken for the others
        ),
    )
    SEQUENCES: ClassVar = {"train": 60, "validation": 30}

    def flow_root(self, root: Path) -> Path:
        """The folder of the archive."""
        return archive_root(root, ("DAVIS", "DAVIS2017-motion", "DAVIS2017"), "ImageSets")

    def splits(self, root: Path) -> dict[str, list[ArchiveSequence]]:
        """Train, whose sequences may be without masks, and validation."""
        root = self.flow_root(root)
        annotations = next((name for name in ANNOTATIONS if (root / name).is_dir()), None)
        if annotations is None:
            raise InputError(
                f"{root / ANNOTATIONS[0]}: no such folder, expected the annotations grouped by "
                f"motion of {GROUPED}"
            )
        needs_frames = self.config.estimator is not None
        return {
            split: [
                find_sequence(
                    root,
                    name,
                    annotations=annotations,
                    needs_masks=split == "validation",
                    needs_frames=needs_frames,
                )
                for name in listed_sequences(root, LISTS, file)
            ]
            for split, file in (("train", "train.txt"), ("validation", "val.txt"))
        }

    def labels_of(self, sequence: ArchiveSequence) -> dict[int, np.ndarray]:
        """Labels by frame; warns of objects that should have been grouped."""
        masks = super().labels_of(sequence)
        objects = set().union(*(np.unique(labels).tolist() for labels in masks.values()))
        objects -= {0, UNKNOWN}
        if sequence.name in GROUPED_TO_ONE and len(objects) > 1:
            _log.warning(
                "%s: %d objects, though they move as one: are these DAVIS 2017's own annotations "
                "instead of those grouped by motion (%s)?",
                *(sequence.masks[0][0].parent, len(objects), GROUPED),
            )
        return masks
