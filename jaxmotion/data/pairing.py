"""Pairs of files and frames, and whether flow and frames have one shape.

Flow, masks, frames and results of a sequence are files of their own. What belongs together is told
by the names, never by the place in a list:

- a file is of the frame that has its very name;
- where not all names agree (`7.flo` and `frame_0007.png`), a file is of the frame of its number,
  the one that differs from name to name;
- names without a number, or with several that differ, go by the very name alone.

Frames of a video file have no names: their numbers are those of their places, from 0.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from jaxmotion.errors import InputError

SQUEEZED = (128, 224)
"""The size at which the published methods see every video, whatever its shape."""

_TOLERANCE = 0.05  # of the aspect ratio: 128 x 224 of 480 x 854 is off by 0.016


def place_files(files: Sequence[Path], names: Sequence[str]) -> list[int | None]:
    """Finds the frame of each file.

    Args:
        files: files of one kind, each of one of the frames; at least one.
        names: names of all frames, without suffix, in order.

    Returns:
        The index of the frame of each file; None where there is no such frame.

    Raises:
        InputError: two files are of one frame.
    """
    stems = [file.stem for file in files]
    places = place_names(stems, names)
    if places is None:
        frames = {name: index for index, name in enumerate(names)}
        places = [frames.get(stem) for stem in stems]
    check_places(files, places)
    return places


def place_names(
    stems: Sequence[str], names: Sequence[str] | None = None
) -> list[int | None] | None:
    """Finds the frames by name, or else by the number that counts in each name.

    Args:
        stems: names of files or fields, at least one.
        names: names of all frames, in order; None for frames numbered from 0, however many.

    Returns:
        The index of the frame of each, None where there is no such frame; or None where not all are
        names of frames and no number tells.
    """
    frames: dict[str | int, int] = {name: index for index, name in enumerate(names or ())}
    if names is not None and set(stems) <= frames.keys():
        return [frames[stem] for stem in stems]
    if names is None:
        numbers = _numbers(stems, stems) if len(stems) > 1 else _last_number(stems[0])
        return None if numbers is None else [*numbers]
    numbers, counted = _numbers(stems, names), frame_numbers(names)
    if numbers is None or counted is None:
        return None
    of_number = {number: index for index, number in enumerate(counted)}
    return [of_number.get(number) for number in numbers]


def frame_numbers(names: Sequence[str]) -> list[int] | None:
    """The number that counts in the name of each frame; None where there is no such number."""
    return _numbers(names, names)


def check_places(labels: Sequence[str | os.PathLike], places: Sequence[int | None]) -> None:
    """Checks that no two files or fields are of one frame.

    Args:
        labels: name of each in a message.
        places: index of the frame of each; None where it is of no frame.

    Raises:
        InputError: two are of one frame.
    """
    first: dict[int, str | os.PathLike] = {}
    for label, place in zip(labels, places, strict=True):
        if place is not None and first.setdefault(place, label) is not label:
            other = Path(first[place]).name
            raise InputError(f"{label}: of the same frame as {other}, expected one file")


def check_flow_names(files: Sequence[Path], names: Sequence[str], gap: int = 1) -> None:
    """Checks that there is a flow of every frame from which one can start.

    Args:
        files: files of the flow, one a field.
        names: names of all frames, without suffix, in order.
        gap: number of frames from the one that a flow is of to the one that it goes to; below 0 if
            backward.

    Raises:
        InputError: a flow of no frame, or a frame without a flow.
    """
    places = place_files(files, names)
    for file, place in zip(files, places, strict=True):
        if place is None:
            raise InputError(
                f"{file}: flow of no frame, the frames are {names[0]} to {names[-1]}; expected the "
                "name or the number of the frame that it starts from"
            )
    wanted = range(len(names) - gap) if gap > 0 else range(-gap, len(names))
    for missing in sorted(set(wanted) - set(places)):
        name = f"{names[missing]}{files[0].suffix}"
        raise InputError(
            f"{files[0].parent / name}: no such flow, expected one of every frame but the "
            f"{'last' if gap > 0 else 'first'} ({len(files)} fields, {len(names)} frames)"
        )


def check_flow_count(
    flow: str | os.PathLike, num_flows: int, num_frames: int, source: str, gap: int = 1
) -> None:
    """Checks that flow without names is of a video: one field a frame, or none of the last.

    Args:
        flow: file or folder of the flow, for the message.
        num_flows: number of fields.
        num_frames: number of frames of the video.
        source: words for what says so, for the message.
        gap: number of frames from the one that a flow is of to the one that it goes to.

    Raises:
        InputError: too few or too many.
    """
    if num_flows not in (num_frames, num_frames - gap):
        raise InputError(
            f"{flow}: {num_flows} flow fields, expected {num_frames - gap} for the "
            f"{num_frames} {source}"
        )


def check_shape(
    path: str | os.PathLike,
    size: tuple[int, ...],
    frame_size: tuple[int, ...],
    source: str,
    kind: str = "flow",
) -> None:
    """Checks that flow has the aspect ratio of what it is of, but for rounding.

    What is of 128 x 224 may be of anything that is not upright in the same measure, because the
    published methods bring every video to that size.

    Args:
        path: file or folder of the flow, for the message.
        size: height and width of the flow.
        frame_size: height and width of the frames or masks.
        source: words for these frames or masks, for the message.
        kind: word for what is looked at, where it is not flow.

    Raises:
        InputError: the flow would have to be stretched, or lies on its side.
    """
    (height, width), (full_height, full_width) = size, frame_size
    if _alike(height / width, full_height / full_width):
        return
    if tuple(size) == SQUEEZED and not _alike(height / width, full_width / full_height):
        return
    raise InputError(
        f"{path}: {kind} of {width} x {height}, expected the aspect ratio of {source}, "
        f"{full_width} x {full_height}"
    )


def _alike(ratio: float, other: float) -> bool:
    return abs(ratio / other - 1) <= _TOLERANCE


def _numbers(stems: Sequence[str], names: Sequence[str]) -> list[int] | None:
    """The number that each name counts; None where that is not known.

    Where one name is all there is, it counts what the names of the frames count.
    """
    pieces = [re.split(r"([0-9]+)", stem) for stem in stems]  # text, number, text, ...
    if any(len(p) != len(pieces[0]) or p[::2] != pieces[0][::2] for p in pieces):
        return None
    columns = _counting(pieces)
    if not columns and len(pieces[0]) > 1:
        others = [re.split(r"([0-9]+)", name) for name in names]
        if len(pieces[0]) == 3:
            columns = [1]
        elif {len(other) for other in others} == {len(pieces[0])}:
            columns = _counting(others)
    if len(columns) != 1:
        return None
    return [int(p[columns[0]]) for p in pieces]


def _last_number(stem: str) -> list[int] | None:
    found = re.findall("[0-9]+", stem)
    return [int(found[-1])] if found else None


def _counting(pieces: Sequence[Sequence[str]]) -> list[int]:
    """The indices of the pieces that are numbers that differ."""
    return [i for i in range(1, len(pieces[0]), 2) if len({int(p[i]) for p in pieces}) > 1]
