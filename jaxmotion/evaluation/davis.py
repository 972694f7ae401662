"""A folder laid out like DAVIS: which sequences it holds, their flow, masks and frames.

ROOT/Annotations/480p/SEQ/*.png      masks, see `jaxmotion.data.masks`; non-zero = foreground
ROOT/JPEGImages/480p/SEQ/*.jpg       frames; needed for pictures, and where only some are annotated
ROOT/Flows/NAME/SEQ.npz              key "flow" [T, h, w, 2], or
ROOT/Flows/NAME/SEQ/*.flo            one file per flow
ROOT/ImageSets/SPLIT.txt             one sequence name per line, optional

Flow, masks and frames belong together by their names, see `jaxmotion.data.pairing`. An `.npz` has
none: it must have as many fields as there are frames, or one less.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxmotion.data.layouts import flow_places, split_names, the_only
from jaxmotion.data.masks import MASK_SUFFIXES, check_background
from jaxmotion.data.pairing import check_shape, place_files
from jaxmotion.data.pictures import read_image
from jaxmotion.data.video import FRAME_SUFFIXES
from jaxmotion.errors import InputError
from jaxmotion.evaluation.annotations import Annotation, read_annotation, read_masks
from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.evaluation.timeline import (
    Timeline,
    check_flow,
    place_every_mask,
    place_some_masks,
)
from jaxmotion.files import list_files, numbered
from jaxmotion.optical_flow.formats import read_flow_sequence

RESOLUTION = "480p"
MAX_NAMED = 20  # sequences in one line

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DavisSequence:
    """Where the parts of one sequence lie. Flow t goes from frame t to frame t + 1.

    Attributes:
        name: Name of the sequence.
        flow_path: `.npz` file, or folder of `.flo` files; None where only masks are compared.
        mask_paths: One mask per annotated frame, in order.
        frame_paths: One picture per frame, in order; may be empty.
    """

    name: str
    flow_path: Path | None
    mask_paths: tuple[Path, ...]
    frame_paths: tuple[Path, ...]

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Reads the flow and the masks of the frames that have one, every frame being annotated.

        Returns:
            flow float32 `[T, h, w, 2]`, where it is known, bool `[T, h, w]`, and masks bool
            `[T, H, W]`.

        Raises:
            InputError: A file is missing, damaged, of another size than its neighbours or of no
                frame, or the flow is of another shape than the masks.
        """
        flow, valid = self.read_flow()
        self.timeline(Protocol(), len(flow))
        masks = read_masks(self.mask_paths[: len(flow)])
        self.check_shape(flow.shape[1:3], masks.shape[1:])
        return flow, valid, masks

    def read_flow(self) -> tuple[np.ndarray, np.ndarray]:
        """Reads the flow, float32 `[T, h, w, 2]`, and where it is known, bool `[T, h, w]`.

        Raises:
            InputError: It is missing or damaged.
        """
        if self.flow_path is None:
            raise InputError(f"{self.name}: no flow is named, only masks can be compared")
        return read_flow_sequence(self.flow_path)

    def check_shape(self, flow_size: tuple[int, ...], size: tuple[int, ...]) -> None:
        """Checks that flow has the aspect ratio of the masks.

        Args:
            flow_size: Height and width of the flow.
            size: Height and width of the masks.

        Raises:
            InputError: It has not.
        """
        check_shape(self.flow_path or self.name, flow_size, size, "the masks")

    def timeline(self, protocol: Protocol, num_flows: int | None = None) -> Timeline:
        """Which frames there are, and of which of them each mask is.

        Args:
            protocol: Says whether every frame must be annotated.
            num_flows: How many flow fields there are; None where there is no flow.

        Raises:
            InputError: A mask or a flow that is missing or of no frame.
        """
        place = place_every_mask if protocol.every_frame else place_some_masks
        timeline = place(self.mask_paths, self.frame_paths, self.flow_path, num_flows)
        if self.flow_path is not None and num_flows is not None:
            check_flow(self.flow_path, num_flows, timeline)
        return timeline

    def read_annotation(
        self, protocol: Protocol, num_flows: int | None = None
    ) -> tuple[Annotation, int]:
        """Reads the annotated frames that count.

        Args:
            protocol: Says which do.
            num_flows: Frames that have a flow; None where there is no flow: all but the last.

        Returns:
            The annotation, and the number of frames of the video that it was placed in.

        Raises:
            InputError: A mask is missing, damaged or of another size than its neighbours, or
                cannot be placed in the video.
        """
        timeline = self.timeline(protocol, num_flows)
        frames, num_frames = timeline.annotated, len(timeline.names)
        if num_flows is None:
            num_flows = max(num_frames - 1, 1)
        counted = protocol.scored(frames, num_frames, num_flows)
        if not len(counted):
            raise InputError(
                f"{self.mask_paths[0].parent}: no mask of a frame that has a flow, there are "
                f"{num_flows} flow fields"
            )
        paths, places = [self.mask_paths[i] for i in counted], [frames[i] for i in counted]
        annotation = read_annotation(paths, places, protocol.void)
        if protocol.target != "objects":
            check_background(paths, list(annotation.labels))
        if not annotation.foreground.any():
            folder = self.mask_paths[0].parent
            if annotation.void is not None:
                raise InputError(
                    f"{folder}: no label but {protocol.void}, which does not count, expected others"
                )
            _log.warning("%s: no object in any mask", folder)
        return annotation, num_frames

    def read_frame(self, t: int, size: tuple[int, ...] | None = None) -> np.ndarray:
        """Reads frame t.

        Args:
            t: Which.
            size: Height and width of the masks; None where they do not matter.

        Returns:
            uint8 `[H, W, 3]`.

        Raises:
            InputError: The frame is missing, damaged or of another aspect ratio than the masks.
        """
        names = self.frame_names(t + 1)
        places = place_files(self.frame_paths, names) if self.frame_paths else []
        if t not in places:
            raise InputError(
                f"{self.name}: no picture of frame {names[t]} in JPEGImages/{RESOLUTION}/"
                f"{self.name}, which has {len(self.frame_paths)}"
            )
        path = self.frame_paths[places.index(t)]
        frame = read_image(path)
        if size is not None:
            check_shape(path, frame.shape[:2], size, "the masks", kind="a frame")
        return frame

    def frame_names(self, num_frames: int) -> list[str]:
        """Names for the files of all frames: those of the pictures or masks, or 00000, ..."""
        frames, masks = ([p.stem for p in paths] for paths in (self.frame_paths, self.mask_paths))
        if frames and None in place_files(self.mask_paths, frames):
            frames = []  # some are missing
        for names in (frames, masks):
            if len(names) >= num_frames:
                return names[:num_frames]
        return [f"{t:05d}" for t in range(num_frames)]


def find_sequences(
    root: str | os.PathLike,
    flow_name: str | None,
    names: Sequence[str] = (),
    split: str | None = None,
) -> list[DavisSequence]:
    """Lists the sequences to evaluate.

    Args:
        root: Folder laid out like DAVIS.
        flow_name: Folder of `root/Flows`; None for masks alone.
        names: The sequences wanted.
        split: Or the name of a list in `root/ImageSets`. Without either, every sequence that has
            both flow and annotation.

    Returns:
        The sequences, in the order asked for, otherwise by name.

    Raises:
        InputError: A folder, list, flow or annotation is missing.
    """
    found, missing = look_for_sequences(root, flow_name, names, split)
    for reason in missing.values():
        raise InputError(reason)
    return found


def look_for_sequences(
    root: str | os.PathLike,
    flow_name: str | None,
    names: Sequence[str] = (),
    split: str | None = None,
) -> tuple[list[DavisSequence], dict[str, str]]:
    """As `find_sequences`, but sets aside the sequences that are missing.

    Returns:
        The sequences found, and by name of each other one asked for what is missing.

    Raises:
        InputError: A folder or list is missing, or there is no sequence at all.
    """
    root = Path(root)
    annotations = root / "Annotations" / RESOLUTION
    flows = root / "Flows" / flow_name if flow_name is not None else None
    for folder in (root, annotations, *((flows.parent,) if flows else ())):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder, expected the root of a DAVIS layout")
    if flows is not None and not flows.is_dir():
        known = sorted(path.name for path in flows.parent.iterdir() if path.is_dir())
        raise InputError(f"{flows}: no such folder of flows, found {', '.join(known) or 'none'}")
    if names and split:
        raise InputError("name either sequences or a split, not both")
    if split is not None and not split.strip():
        raise InputError(f"split {split!r}: expected the name of a list in {root / 'ImageSets'}")
    annotated = _folders(annotations)
    there = annotated
    places = flow_places(flows) if flows is not None else {}
    if flows is not None:
        there = annotated & places.keys()
    if split:
        listed = root / "ImageSets" / f"{split}.txt"
        if not listed.exists() and not any((root / "ImageSets").glob(f"*/{split}.txt")):
            known = sorted({path.stem for path in (root / "ImageSets").glob("**/*.txt")})
            raise InputError(
                f"{listed}: cannot be read (no such list, there are {', '.join(known) or 'none'})"
            )
        names = split_names(root, split)
    elif not names:
        names = sorted(there)
        if not names:
            both = f"both a flow in {flows} and" if flows is not None else "masks, expected"
            raise InputError(f"{root}: no sequence has {both} an annotation")
    found, missing = [], {}
    for name in dict.fromkeys(names):
        try:
            if name not in annotated:
                raise InputError(f"{annotations / name}: no such folder of masks")
            flow = None
            if flows is not None:
                if name not in places:
                    raise InputError(_no_flow(flows, name))
                flow = the_only(places[name])
            masks = _pictures(annotations / name, MASK_SUFFIXES)
            if not masks:
                raise InputError(
                    f"{annotations / name}: no masks, expected {', '.join(MASK_SUFFIXES)}"
                )
            frames = _pictures(root / "JPEGImages" / RESOLUTION / name, FRAME_SUFFIXES)
            found.append(DavisSequence(name, flow, masks, frames))
        except InputError as error:
            missing[name] = str(error)
    if not found:
        raise InputError(next(iter(missing.values())))
    return found, missing


def left_out(root: str | os.PathLike, flow_name: str | None) -> list[str]:
    """Says which sequences are not scored where no names are given, because they lack a part.

    Args:
        root: Folder laid out like DAVIS.
        flow_name: Folder of `root/Flows`; None for masks alone, which lack nothing.

    Returns:
        A line for those without flow and one for those without masks, where there are any.
    """
    annotations = Path(root) / "Annotations" / RESOLUTION
    if flow_name is None or not annotations.is_dir():
        return []
    flows = Path(root) / "Flows" / flow_name
    annotated = _folders(annotations)
    with_flow = flow_places(flows).keys() if flows.is_dir() else annotated
    lines = []
    for names, reason in (
        (annotated - with_flow, f"annotated, but without flow in {flows}"),
        (with_flow - annotated, f"without masks in {annotations}"),
    ):
        if names:
            shown = sorted(names)[:MAX_NAMED]
            more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
            lines.append(f"left out, {reason}: {', '.join(shown)}{more}")
    return lines


def _folders(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")}


def _pictures(folder: Path, suffixes: Sequence[str]) -> tuple[Path, ...]:
    """The pictures of a folder in the order of their numbers; none where there is no folder."""
    files = list_files(folder, suffixes) if folder.is_dir() else []
    return tuple(numbered(files)[0]) if files else ()


def _no_flow(flows: Path, name: str) -> str:
    if (flows / name).is_dir():
        return f"{flows / name}: no .flo file in this folder, expected one per pair of frames"
    return f"{flows}/{name}.npz: no such flow, nor a folder {flows}/{name}"
