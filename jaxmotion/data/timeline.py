"""The frames of a video, and which of them are annotated and have flow: told by names."""

from collections.abc import Sequence
from pathlib import Path

from jaxmotion.data.davis import SequenceFiles
from jaxmotion.data.pairing import check_flow_count, check_flow_names, place_files
from jaxmotion.data.sequence import Timeline, number_frames
from jaxmotion.errors import InputError
from jaxmotion.files import numbered
from jaxmotion.optical_flow.fields import named_fields
from jaxmotion.optical_flow.origin import read_flow_origin


def find_timeline(files: SequenceFiles, num_flows: int | None, every_frame: bool) -> Timeline:
    """The frames of a video in files, and of which of them each mask is.

    Args:
        files: files of its parts, masks among them.
        num_flows: number of flow fields; None where there is no flow.
        every_frame: whether every frame must be annotated, but for the last one, which may be.

    Returns:
        The timeline.

    Raises:
        InputError: a mask or a flow that is missing or of no frame.
    """
    if every_frame:
        timeline = _place_every_mask(files.masks, files.frames)
    else:
        timeline = _place_some_masks(files, num_flows)
    if files.flow is not None and num_flows is not None:
        check_flow(files.flow, num_flows, timeline)
    return timeline


def frame_names(files: SequenceFiles, num_frames: int) -> list[str]:
    """Names for the files of all frames: those of the pictures or masks, or 00000, ...

    Args:
        files: files of the parts of a sequence.
        num_frames: number of frames to name, the first ones.
    """
    frames, masks = ([p.stem for p in paths] for paths in (files.frames, files.masks))
    if frames and masks and None in place_files(files.masks, frames):
        frames = []  # some are missing
    for names in (frames, masks):
        if len(names) >= num_frames:
            return names[:num_frames]
    return number_frames(num_frames)


def _place_every_mask(masks: Sequence[Path], frames: Sequence[Path]) -> Timeline:
    """The timeline of a video whose every frame is annotated, but for the last one, which may be.

    Frames may be there, some of them, or none.
    """
    _, gaps = numbered(masks)
    for missing in gaps.values():
        raise InputError(f"{missing}: no such mask, expected one of every frame")
    names = tuple(path.stem for path in masks)
    places = place_files(frames, names) if frames else []
    if None in places and len(set(places) - {None}) == len(masks):  # frames without a mask
        without = [path for path, place in zip(frames, places, strict=True) if place is None]
        if without != [frames[-1]]:
            missing = masks[0].with_stem(without[0].stem)
            raise InputError(f"{missing}: no such mask, expected one of every frame")
        names = tuple(path.stem for path in frames)
    source = f"masks in {masks[0].parent}"
    return Timeline(names, tuple(range(len(masks))), source, tuple(masks))


def _place_some_masks(files: SequenceFiles, num_flows: int | None) -> Timeline:
    """The timeline of a video of which any frames are annotated.

    The frames are those of the pictures; without pictures, those of the fields of flow that have
    names and the one after them; without these, as many as there are masks, if that fits the flow;
    otherwise the number that a mask has for a name is that of its frame, from 0.
    """
    masks, frames, flow = files.masks, files.frames, files.flow
    fields = named_fields(flow) if flow is not None and not frames else []
    if frames:
        names, source = [path.stem for path in frames], f"frames in {frames[0].parent}"
    elif fields and flow is not None:
        names = _names_from_fields([path.stem for path in fields], _gap(flow))
        source = f"frames that {flow} is of"
    else:
        return _place_by_count_or_number(masks, num_flows, _gap(flow))
    places = []
    for path, place in zip(masks, place_files(masks, names), strict=True):
        if place is None:
            raise InputError(
                f"{path}: a mask of no frame, the {source} are {names[0]} to {names[-1]}"
            )
        places.append(place)
    return Timeline(tuple(names), tuple(places), source, tuple(masks))


def check_flow(flow: Path, num_flows: int, timeline: Timeline) -> None:
    """Checks that there is flow of every frame, by name, or by count where it has no names.

    Args:
        flow: place of the flow: an `.npz` file, a folder of fields or with a `flow.npz`, or one
            field.
        num_flows: number of fields.
        timeline: frames of the video.

    Raises:
        InputError: too few, too many, or flow of no frame; or backward flow, of which the first
            frame has none.
    """
    origin = read_flow_origin(flow)
    if origin is not None and origin.backward:
        raise InputError(f"{flow}: {origin}, expected forward flow")
    fields = named_fields(flow)
    if fields and (len(fields) > 1 or flow.is_dir()):
        check_flow_names(fields, timeline.names, _gap(flow))
    else:
        check_flow_count(flow, num_flows, len(timeline.names), timeline.source, _gap(flow))


def _gap(flow: Path | None) -> int:
    origin = read_flow_origin(flow) if flow is not None else None
    return origin.gap if origin is not None else 1


def _names_from_fields(names: list[str], gap: int) -> list[str]:
    """Names of the frames that flow is of, and numbers for those that it has to go to."""
    first, last = _number(names[0]), _number(names[-1])
    if first is None or last is None:
        return names
    step = max((last[1] - first[1]) // max(len(names) - 1, 1), 1)
    stem, number, digits = last
    following = (number + step * (t + 1) for t in range(gap))
    return [*names, *(f"{stem}{n:0{digits}d}" for n in following)]


def _number(name: str) -> tuple[str, int, int] | None:
    """Splits a name before the number at its end: the start, the number, and its digits."""
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    return (stem, int(digits), len(digits)) if digits else None


def _place_by_count_or_number(masks: Sequence[Path], num_flows: int | None, gap: int) -> Timeline:
    names = tuple(path.stem for path in masks)
    source = f"masks in {masks[0].parent}"
    if num_flows is not None and len(masks) in (num_flows, num_flows + gap):
        _, gaps = numbered(masks)
        if not gaps:
            names += tuple(f"{names[-1]}+{t + 1}" for t in range(num_flows + gap - len(names)))
            return Timeline(names, tuple(range(len(masks))), source, tuple(masks))
    for path in masks:
        if not (path.stem.isascii() and path.stem.isdigit()):
            raise InputError(
                f"{path}: of which frame is not known, expected its number from 0 as name, or the "
                "frames in JPEGImages/480p"
            )
    frames = [int(name) for name in names]
    count = max(frames) + 2 if num_flows is None else num_flows + gap
    for path, frame in zip(masks, frames, strict=True):
        if frame >= count:
            raise InputError(
                f"{path}: a mask of frame {frame}, but there are {num_flows} flow fields"
            )
    names = tuple(number_frames(count))
    return Timeline(names, tuple(frames), source, tuple(masks))
