"""The frames of a video, and which of them are annotated and have flow: told by names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxmotion.data.pairing import check_flow_count, check_flow_names, place_files
from jaxmotion.errors import InputError
from jaxmotion.files import numbered
from jaxmotion.optical_flow import flow_files, read_flow_origin


@dataclass(frozen=True)
class Timeline:
    """The frames of a video.

    Attributes:
        names: Of all frames, in order.
        annotated: Index of the frame of each mask.
        source: Where the frames are known from, for messages.
    """

    names: tuple[str, ...]
    annotated: tuple[int, ...]
    source: str


def place_every_mask(
    masks: Sequence[Path], frames: Sequence[Path], flow: Path | None, num_flows: int | None
) -> Timeline:
    """The timeline of a video whose every frame is annotated, but for the last one, which may be.

    Args:
        masks: In order.
        frames: In order; may be empty, or some only.
        flow: Where the flow lies; of no meaning here.
        num_flows: How many fields; of no meaning here.

    Raises:
        InputError: A mask is missing.
    """
    del flow, num_flows
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
    return Timeline(names, tuple(range(len(masks))), f"masks in {masks[0].parent}")


def place_some_masks(
    masks: Sequence[Path], frames: Sequence[Path], flow: Path | None, num_flows: int | None
) -> Timeline:
    """The timeline of a video of which any frames are annotated.

    The frames are those of the pictures; without pictures, those of the `.flo` files and the one
    after them; without these, as many as there are masks, if that fits the flow; otherwise the
    number that a mask has for a name is that of its frame, from 0.

    Args:
        masks: In order.
        frames: In order; all of them, or none.
        flow: An `.npz` file or a folder of `.flo` files; None for none.
        num_flows: How many fields; None for none.

    Raises:
        InputError: A mask of no frame.
    """
    if frames:
        names, source = [path.stem for path in frames], f"frames in {frames[0].parent}"
    elif flow is not None and flow.is_dir():
        names, source = _names_from_flow(flow), f"frames that {flow} is of"
    else:
        return _place_by_count_or_number(masks, num_flows, _gap(flow))
    places = []
    for path, place in zip(masks, place_files(masks, names), strict=True):
        if place is None:
            raise InputError(
                f"{path}: a mask of no frame, the {source} are {names[0]} to {names[-1]}"
            )
        places.append(place)
    return Timeline(tuple(names), tuple(places), source)


def check_flow(flow: Path, num_flows: int, timeline: Timeline) -> None:
    """Checks that there is flow of every frame, by name, or by count where it has no names.

    Args:
        flow: An `.npz` file, a folder of `.flo` files, or one such file.
        num_flows: How many fields there are.
        timeline: The frames.

    Raises:
        InputError: Too few, too many, or flow of no frame; or backward flow, of which the first
            frame has none.
    """
    origin = read_flow_origin(flow)
    if origin is not None and origin.backward:
        raise InputError(f"{flow}: {origin}, expected forward flow")
    gap = _gap(flow)
    if flow.is_dir():
        check_flow_names(flow_files(flow), timeline.names, gap)
    else:
        check_flow_count(flow, num_flows, len(timeline.names), timeline.source, gap)


def _gap(flow: Path | None) -> int:
    origin = read_flow_origin(flow) if flow is not None else None
    return origin.gap if origin is not None else 1


def _names_from_flow(flow: Path) -> list[str]:
    """Names of the frames that flow is of, and numbers for those that it has to go to."""
    names = [path.stem for path in flow_files(flow)]
    first, last = _number(names[0]), _number(names[-1])
    if first is None or last is None:
        return names
    step = max((last[1] - first[1]) // max(len(names) - 1, 1), 1)
    stem, number, digits = last
    following = (number + step * (t + 1) for t in range(_gap(flow)))
    return [*names, *(f"{stem}{n:0{digits}d}" for n in following)]


def _number(name: str) -> tuple[str, int, int] | None:
    """What stands before the number at the end of a name, the number, and its digits."""
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
            return Timeline(names, tuple(range(len(masks))), source)
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
    return Timeline(tuple(f"{t:05d}" for t in range(count)), tuple(frames), source)
