"""Reading of archives by the builders: lists of sequences, numbered pictures, annotations.

Whatever is missing, damaged or of another size than its neighbors ends in one `InputError` that
names the file; nothing is guessed and nothing left out in silence.
"""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from PIL import Image
from tqdm import tqdm

from jaxmotion.data.pairing import place_files
from jaxmotion.data.pictures import reading_picture
from jaxmotion.data.video import FRAME_SUFFIXES, Video, open_video
from jaxmotion.errors import InputError
from jaxmotion.files import list_files, numbered, reading

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Box:
    """An object in a frame, by the rectangle around it.

    Attributes:
        frame: number of the frame.
        corners: `(x, y, width, height)` in pixels, x and y of the upper left corner.
        motion: motion of the object, in the archive's words; empty where it says nothing.
    """

    frame: int
    corners: tuple[float, float, float, float]
    motion: str = ""


@dataclass(frozen=True)
class ArchiveSequence:
    """Files of the parts of one sequence.

    Attributes:
        name: name of the sequence.
        video: frames of the sequence; None where the archive has none, which is enough for flow
            from files.
        masks: pictures that annotate a frame, by the number of the frame.
        frame_names: names of the frames, where they are known without decoding a video.
        boxes: boxes that annotate frames in an archive without masks.
        flow: file or folder of the flow that comes with the frames of this sequence; None for none.
    """

    name: str
    video: Video | None
    masks: dict[int, tuple[Path, ...]]
    frame_names: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    flow: Path | None = None

    @cached_property
    def num_frames(self) -> int | None:
        """Number of frames; None for a video file, whose header can be off."""
        return len(self.frame_names) or None


def existing_folder(path: Path, expected: str) -> Path:
    """Returns `path` if it is a folder.

    Args:
        path: path of the folder.
        expected: words for what it should be, for the message.

    Returns:
        The path.

    Raises:
        InputError: there is no such folder.
    """
    with reading(path):
        if not path.is_dir():
            raise InputError(f"{path}: no such folder, expected {expected}")
    return path


def archive_root(manual_dir: Path, names: Sequence[str], inside: str) -> Path:
    """The root of an unpacked archive: the folder given, or the one that unpacking made in it.

    Args:
        manual_dir: folder that the user gave.
        names: names that the archive has for its own folder.
        inside: name of a folder that the root has.

    Returns:
        The root.

    Raises:
        InputError: there is none.
    """
    candidates = [manual_dir, *(manual_dir / name for name in names)]
    for candidate in candidates:
        if (candidate / inside).is_dir():
            return candidate
    raise InputError(f"{manual_dir / inside}: no such folder, expected the unpacked archive there")


def numbered_pictures(folder: Path, suffixes: Sequence[str] = FRAME_SUFFIXES) -> tuple[Path, ...]:
    """The pictures of a folder in the order of their numbers, none of which may be missing.

    Args:
        folder: folder of the pictures.
        suffixes: suffixes of the files that count, in lower case.

    Returns:
        At least one path.

    Raises:
        InputError: no such folder, no pictures, or a gap in the numbers.
    """
    files = list_files(folder, suffixes)
    if not files:
        raise InputError(f"{folder}: no pictures in this folder, expected {', '.join(suffixes)}")
    files, gaps = numbered(files)
    if gaps:
        raise InputError(f"{min(gaps.values())}: missing frame in a sequence of {len(files)}")
    return tuple(files)


def check_partners(frames: Sequence[Path], masks: Sequence[Path]) -> None:
    """Checks that every frame has one mask, and every mask a frame, of its name or number.

    Args:
        frames: files of the frames, in order.
        masks: files of the masks, in order.

    Raises:
        InputError: one of them is missing; the message names it.
    """
    places = place_files(masks, [frame.stem for frame in frames])
    for mask, place in zip(masks, places, strict=True):
        if place is None:
            missing = frames[0].with_stem(mask.stem)
            raise InputError(f"{missing}: no such file, though its mask is there")
    for index in sorted(set(range(len(frames))) - set(places)):
        missing = masks[0].with_stem(frames[index].stem)
        raise InputError(f"{missing}: no such file, though its frame is there")


def frames_of(folder: Path) -> Video:
    """The frames of a folder, each of which has been read: a damaged one is found before the work.

    Args:
        folder: folder of numbered pictures, two or more.

    Returns:
        The frames.

    Raises:
        InputError: a missing, unreadable or damaged picture, or one of another size than the first.
    """
    video = open_video(folder)
    expected = (video.height, video.width)
    sizes = in_parallel(sound_size, video.files, f"checking {folder.name}")
    for path, size in zip(video.files, sizes, strict=True):
        if size != expected:
            raise size_error(path, size, expected, "the first frame")
    return video


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], title: str
) -> list[Result]:
    """Calls a function that reads or encodes files, on as many of them as there are cores.

    Args:
        function: function of one item.
        items: items to call it on, any number.
        title: title of the progress bar, which shows after two seconds.

    Returns:
        The results, in order.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            results = pool.map(function, items)
            bar = tqdm(results, title, len(items), delay=2, unit="file", leave=False)
            return list(bar)
        finally:
            pool.shutdown(cancel_futures=True)


def sound_size(path: Path) -> tuple[int, int]:
    """`(height, width)` of a picture, all of which is read.

    Args:
        path: file of the picture.

    Returns:
        The size of the picture as it is shown, turned upright.

    Raises:
        InputError: missing, no picture, or damaged.
    """
    with reading(path):
        data = path.read_bytes()
    with reading_picture(path), Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        turned = image.getexif().get(0x0112, 1) >= 5
        image.draft(None, (width // 8, height // 8))  # a JPEG is decoded at an eighth of its size
        image.load()
    return (width, height) if turned else (height, width)


def size_error(
    path: str | os.PathLike, size: tuple[int, int], expected: tuple[int, int], source: str
) -> InputError:
    """The error for a picture of another size than its neighbors.

    Args:
        path: file of the picture.
        size: `(height, width)` of the picture.
        expected: `(height, width)` that was expected.
        source: words for what has the expected size.
    """
    return InputError(
        f"{path}: {size[1]} x {size[0]}, expected {expected[1]} x {expected[0]} as {source}"
    )
