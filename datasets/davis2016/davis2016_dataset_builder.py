"""TFDS builder of DAVIS 2016 with optical flow. Needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxmotion_datasets.archives import (
    ArchiveSequence,
    archive_root,
    existing_folder,
    frames_of,
    numbered_pictures,
    read_labels,
    read_list,
)
from jaxmotion_datasets.clips import ClipBuilder

from jaxmotion.errors import InputError

RESOLUTION = "480p"
LISTS = ((RESOLUTION,), (), ("2016",))  # folders of ImageSets: DAVIS 2016, plain, DAVIS 2017


class Builder(ClipBuilder):
    """DAVIS 2016: 30 training and 20 validation sequences, the moving object in every frame."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack DAVIS-data.zip, https://graphics.ethz.ch/Downloads/Data/Davis/DAVIS-data.zip: the "
        "manual folder has JPEGImages/480p, Annotations/480p and ImageSets/480p, itself or in DAVIS"
    )

    def flow_root(self, root: Path) -> Path:
        """The folder of the archive."""
        return archive_root(root, ("DAVIS",), "Annotations")

    def splits(self, root: Path) -> dict[str, list[ArchiveSequence]]:
        """Train and validation, as the lists of the archive say."""
        root = self.flow_root(root)
        needs_frames = self.config.estimator is not None
        return {
            split: [
                find_sequence(root, name, needs_frames) for name in listed_sequences(root, file)
            ]
            for split, file in (("train", "train.txt"), ("validation", "val.txt"))
        }

    def labels(self, paths: tuple[Path, ...]) -> np.ndarray:
        """1 for the object, whatever its value in the file."""
        return (read_labels(paths[0]) > 0).astype(np.uint8)


def listed_sequences(root: Path, file: str) -> list[str]:
    """Names of the sequences of a list, whose files, where it names them, are there.

    Args:
        root: with ImageSets.
        file: name of the list; its lines are names, or pairs of a frame and its annotation.

    Returns:
        The names, sorted.

    Raises:
        InputError: no such list, or a file that it names is missing.
    """
    places = [root.joinpath("ImageSets", *folder, file) for folder in LISTS]
    path = next((place for place in places if place.is_file()), places[0])
    names = set()
    for words in read_list(path):
        first = Path(words[0])
        if len(words) > 1 and len(first.parts) > 1:
            annotation = root / words[1].lstrip("/")
            if not annotation.is_file():
                raise InputError(f"{annotation}: no such file, though {path.name} lists it")
            names.add(first.parent.name)
        else:
            names.add(words[0])
    return sorted(names)


def find_sequence(root: Path, name: str, needs_frames: bool) -> ArchiveSequence:
    """The files of a sequence of a DAVIS archive.

    Args:
        root: with Annotations and JPEGImages.
        name: of the sequence.
        needs_frames: whether to insist on the frames; flow that is there needs only the masks.

    Returns:
        The sequence; every frame has a mask of the same name.

    Raises:
        InputError: a file is missing, or of another size than the others.
    """
    annotations = existing_folder(
        root / "Annotations" / RESOLUTION / name, f"the masks of the sequence {name}"
    )
    masks = numbered_pictures(annotations, (".png",))
    frames = root / "JPEGImages" / RESOLUTION / name
    if needs_frames:
        existing_folder(frames, f"the frames of the sequence {name}")
    video = frames_of(frames) if frames.is_dir() else None
    if video is not None:
        there, wanted = {p.stem: p for p in video.files}, {p.stem: p for p in masks}
        for stem in sorted(there.keys() ^ wanted.keys()):
            missing = frames / f"{stem}.jpg" if stem in wanted else annotations / f"{stem}.png"
            raise InputError(f"{missing}: no such file, though its frame or mask is there")
    return ArchiveSequence(
        name,
        video,
        {index: (path,) for index, path in enumerate(masks)},
        tuple(path.stem for path in masks),
    )
