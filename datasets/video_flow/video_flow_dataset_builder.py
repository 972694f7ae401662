"""TFDS builder of any folder of videos with optical flow. Needs no TensorFlow."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from jaxmotion_datasets.archives import ArchiveSequence, frames_of
from jaxmotion_datasets.clips import ClipBuilder

from jaxmotion.data.masks import MASK_SUFFIXES
from jaxmotion.data.pairing import place_files
from jaxmotion.data.video import FRAME_SUFFIXES, VIDEO_SUFFIXES, open_video
from jaxmotion.errors import InputError
from jaxmotion.files import list_files, reading

BESIDE = ("masks", "Flows")  # folders of the root that are no videos

_log = logging.getLogger(__name__)


class Builder(ClipBuilder):
    """Your own videos: files or folders of frames, with masks of some or all frames, or none."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The manual folder holds your videos: NAME.mp4 (.avi, .mov, ...) or folders NAME of "
        "numbered pictures. Optional: masks/NAME/FRAME.png, labels with 0 for the background"
    )

    def splits(self, root: Path) -> dict[str, list[ArchiveSequence]]:
        """All videos, as the split train; what is none of them is named in a warning."""
        with reading(root):
            places = _videos(root)
        if not places:
            raise InputError(
                f"{root}: no videos, expected files ({', '.join(VIDEO_SUFFIXES)}) or folders of "
                "pictures"
            )
        masks = root / "masks"
        for folder in sorted(masks.iterdir()) if masks.is_dir() else ():
            if folder.is_dir() and folder.name not in places:
                raise InputError(f"{folder}: masks of no video of {root}")
        return {"train": [_sequence(place, masks / name) for name, place in places.items()]}


def _videos(root: Path) -> dict[str, Path]:
    """The videos by name; says what is left out."""
    found: dict[str, Path] = {}
    left_out = []
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or path.name in BESIDE:
            continue
        is_video = path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
        if is_video or (path.is_dir() and list_files(path, FRAME_SUFFIXES)):
            name = path.stem if is_video else path.name
            if name in found:
                raise InputError(f"{path}: of the same name as {found[name].name}")
            found[name] = path
        else:
            left_out.append(path.name + "/" * path.is_dir())
    if left_out:
        _log.warning(
            "%s: left out, neither a video nor a folder of pictures: %s", root, ", ".join(left_out)
        )
    return found


def _sequence(place: Path, masks: Path) -> ArchiveSequence:
    files = _mask_files(masks)
    if place.is_file():
        return ArchiveSequence(place.stem, open_video(place), _numbered_masks(files))
    video = frames_of(place)
    names = tuple(path.stem for path in video.files)
    found = {}
    for path, frame in zip(files, place_files(files, names) if files else (), strict=True):
        if frame is None:
            raise InputError(f"{path}: a mask of no frame of {place}")
        found[frame] = (path,)
    return ArchiveSequence(place.name, video, found, names)


def _mask_files(masks: Path) -> list[Path]:
    """The masks of a video, all of which can be read without loss."""
    if not masks.is_dir():
        return []
    files = list_files(masks, MASK_SUFFIXES)
    for path in list_files(masks, FRAME_SUFFIXES):
        if path not in files:
            raise InputError(f"{path}: expected masks of the kinds {', '.join(MASK_SUFFIXES)}")
    return files


def _numbered_masks(files: Sequence[Path]) -> dict[int, tuple[Path, ...]]:
    """Masks of a video file, by the number of the frame that their name is."""
    found: dict[int, tuple[Path, ...]] = {}
    for path in files:
        number = int(path.stem) if path.stem.isascii() and path.stem.isdigit() else None
        if number is None or number in found:
            raise InputError(f"{path}: expected the number of a frame, once, as its name")
        found[number] = (path,)
    return found
