"""TFDS builder of any folder of videos with optical flow. Needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path

from jaxmotion_datasets.archives import ArchiveSequence, frames_of
from jaxmotion_datasets.clips import ClipBuilder

from jaxmotion.data.video import FRAME_SUFFIXES, open_video
from jaxmotion.errors import InputError
from jaxmotion.files import list_files, reading

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
BESIDE = ("masks", "Flows")  # folders of the root that are no videos


class Builder(ClipBuilder):
    """Your own videos: files or folders of frames, with masks of some or all frames, or none."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The manual folder holds your videos: NAME.mp4 (.avi, .mov, ...) or folders NAME of "
        "numbered pictures. Optional: masks/NAME/FRAME.png, labels with 0 for the background"
    )

    def splits(self, root: Path) -> dict[str, list[ArchiveSequence]]:
        """All videos, as the split train."""
        with reading(root):
            places = {path.name if path.is_dir() else path.stem: path for path in _videos(root)}
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


def _videos(root: Path) -> list[Path]:
    found: dict[str, Path] = {}
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or path.name in BESIDE:
            continue
        is_video = path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
        if is_video or (path.is_dir() and list_files(path, FRAME_SUFFIXES)):
            name = path.stem if is_video else path.name
            if name in found:
                raise InputError(f"{path}: of the same name as {found[name].name}")
            found[name] = path
    return list(found.values())


def _sequence(place: Path, masks: Path) -> ArchiveSequence:
    if place.is_file():
        return ArchiveSequence(place.stem, open_video(place), _numbered_masks(masks))
    video = frames_of(place)
    names = tuple(path.stem for path in video.files)
    found = {}
    for path in list_files(masks, (".png",)) if masks.is_dir() else ():
        if path.stem not in names:
            raise InputError(f"{path}: a mask of no frame of {place}")
        found[names.index(path.stem)] = (path,)
    return ArchiveSequence(place.name, video, found, names)


def _numbered_masks(masks: Path) -> dict[int, tuple[Path, ...]]:
    """Masks of a video file, by the number of the frame that their name is."""
    found: dict[int, tuple[Path, ...]] = {}
    for path in list_files(masks, (".png",)) if masks.is_dir() else ():
        if not path.stem.isdigit() or int(path.stem) in found:
            raise InputError(f"{path}: expected the number of a frame, once, as its name")
        found[int(path.stem)] = (path,)
    return found
