"""The layout that the archives of DAVIS 2016 and 2017 share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jaxmotion_datasets.archives import (
    ArchiveSequence,
    check_partners,
    existing_folder,
    frames_of,
    numbered_pictures,
)

from jaxmotion.data.davis import frame_folder, mask_folder, read_list, sequence_name
from jaxmotion.data.masks import MASK_SUFFIXES
from jaxmotion.errors import InputError


def listed_sequences(root: Path, folders: Sequence[str], file: str) -> list[str]:
    """Names of the sequences of a list, whose files, where it names them, are there.

    Args:
        root: folder with ImageSets.
        folders: names of the folders of ImageSets where the list may be, best first; "" is
            ImageSets itself.
        file: name of the list; its lines are names, or pairs of a frame and its annotation.

    Returns:
        The names, sorted.

    Raises:
        InputError: no such list, or a file that it names is missing.
    """
    places = [root / "ImageSets" / folder / file for folder in folders]
    path = next((place for place in places if place.is_file()), places[0])
    names = set()
    for words in read_list(path):
        if len(words) > 1 and "/" in words[0]:
            annotation = root / words[1].lstrip("/")
            if not annotation.is_file():
                raise InputError(f"{annotation}: no such file, though {path.name} lists it")
        names.add(sequence_name(words[0]))
    return sorted(names)


def find_sequence(
    root: Path,
    name: str,
    *,
    annotations: str = "Annotations",
    needs_masks: bool = True,
    needs_frames: bool = True,
) -> ArchiveSequence:
    """The files of a sequence of a DAVIS archive.

    Args:
        root: folder with JPEGImages and a folder of annotations.
        name: name of the sequence.
        annotations: name of the folder of annotations.
        needs_masks: whether to insist on the masks.
        needs_frames: whether to insist on the frames; flow that is there needs only the masks.

    Returns:
        The sequence; every frame has a mask of the same name, or none has one.

    Raises:
        InputError: a file is missing, or of another size than the others.
    """
    folder = mask_folder(root, name, annotations)
    if needs_masks:
        existing_folder(folder, f"the masks of the sequence {name}")
    masks = numbered_pictures(folder, MASK_SUFFIXES) if folder.is_dir() else ()
    frames = frame_folder(root, name)
    if needs_frames or not masks:
        existing_folder(frames, f"the frames of the sequence {name}")
    video = frames_of(frames) if frames.is_dir() else None
    if video is not None and masks:
        check_partners(video.files, masks)
    return ArchiveSequence(
        name,
        video,
        {index: (path,) for index, path in enumerate(masks)},
        tuple(path.stem for path in (masks or (video.files if video else ()))),
    )
