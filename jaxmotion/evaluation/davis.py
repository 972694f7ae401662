"""A folder laid out like DAVIS: which sequences it holds, their flow, masks and frames.

ROOT/Annotations/480p/SEQ/*.png      masks, one channel, non-zero = foreground
ROOT/JPEGImages/480p/SEQ/*.jpg       frames; needed for pictures, and where only some are annotated
ROOT/Flows/NAME/SEQ.npz              key "flow" [T, h, w, 2], or
ROOT/Flows/NAME/SEQ/*.flo            one file per flow
ROOT/ImageSets/SPLIT.txt             one sequence name per line, optional
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxmotion.data.layouts import split_names
from jaxmotion.data.pictures import read_image
from jaxmotion.errors import InputError
from jaxmotion.evaluation.annotations import Annotation, read_annotation, read_masks
from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.files import numbered
from jaxmotion.optical_flow.formats import read_flow_sequence

RESOLUTION = "480p"


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
            InputError: A file is missing, damaged or of another size than its neighbours, or
                there are more flows than masks.
        """
        flow, valid = self.read_flow()
        self._check_masks(len(flow))
        return flow, valid, read_masks(self.mask_paths[: len(flow)])

    def read_flow(self) -> tuple[np.ndarray, np.ndarray]:
        """Reads the flow, float32 `[T, h, w, 2]`, and where it is known, bool `[T, h, w]`.

        Raises:
            InputError: It is missing or damaged.
        """
        if self.flow_path is None:
            raise InputError(f"{self.name}: no flow is named, only masks can be compared")
        return read_flow_sequence(self.flow_path)

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
        if protocol.every_frame:
            if num_flows is not None:
                self._check_masks(num_flows)
            self._check_gaps()
            frames, num_frames = list(range(len(self.mask_paths))), len(self.mask_paths)
        else:
            frames, num_frames = self._annotated_frames(num_flows)
        if num_flows is None:
            num_flows = max(num_frames - 1, 1)
        counted = protocol.scored(frames, num_frames, num_flows)
        if not len(counted):
            raise InputError(
                f"{self.mask_paths[0].parent}: no mask of a frame that has a flow, there are "
                f"{num_flows} flow fields"
            )
        paths, places = [self.mask_paths[i] for i in counted], [frames[i] for i in counted]
        return read_annotation(paths, places, protocol.void), num_frames

    def read_frame(self, t: int) -> np.ndarray:
        """Reads frame t: uint8 `[H, W, 3]`.

        Raises:
            InputError: The frame is missing or damaged.
        """
        if t >= len(self.frame_paths):
            raise InputError(
                f"{self.name}: frame {t} is wanted, but there are "
                f"{len(self.frame_paths)} pictures in JPEGImages/{RESOLUTION}/{self.name}"
            )
        return read_image(self.frame_paths[t])

    def frame_names(self, num_frames: int) -> list[str]:
        """Names for the files of all frames: those of the pictures or masks, or 00000, ..."""
        for paths in (self.frame_paths, self.mask_paths):
            if len(paths) >= num_frames:
                return [path.stem for path in paths[:num_frames]]
        return [f"{t:05d}" for t in range(num_frames)]

    def _check_masks(self, num_flows: int) -> None:
        if num_flows > len(self.mask_paths):
            raise InputError(
                f"{self.flow_path}: {num_flows} flow fields, expected at most "
                f"{len(self.mask_paths)}, the number of masks in {self.mask_paths[0].parent}"
            )

    def _check_gaps(self) -> None:
        _, gaps = numbered(self.mask_paths)
        for missing in gaps.values():
            raise InputError(f"{missing}: no such mask, expected one of every frame")

    def _annotated_frames(self, num_flows: int | None) -> tuple[list[int], int]:
        """Index of every mask within the video, and the number of its frames."""
        stems = [path.stem for path in self.mask_paths]
        if self.frame_paths:
            places = {path.stem: t for t, path in enumerate(self.frame_paths)}
            for path in self.mask_paths:
                if path.stem not in places:
                    raise InputError(f"{path}: no frame of that name in JPEGImages/{RESOLUTION}")
            return [places[stem] for stem in stems], len(self.frame_paths)
        if num_flows is not None and len(stems) in (num_flows, num_flows + 1):
            return list(range(len(stems))), num_flows + 1
        for path in self.mask_paths:
            if not path.stem.isdigit():
                raise InputError(
                    f"{path}: of which frame is not known, expected its number from 0 as name, or "
                    f"the frames in JPEGImages/{RESOLUTION}"
                )
        frames = [int(stem) for stem in stems]
        num_frames = frames[-1] + 2 if num_flows is None else num_flows + 1
        return frames, max(num_frames, frames[-1] + 1)


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
    annotated = {path.name for path in annotations.iterdir() if path.is_dir()}
    there = annotated
    if flows is not None:
        with_flow = {path.stem for path in flows.glob("*.npz")}
        there = annotated & (with_flow | {path.name for path in flows.iterdir() if path.is_dir()})
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
        if name not in annotated:
            missing[name] = f"{annotations / name}: no such folder of masks"
        elif name not in there:
            missing[name] = f"{flows}/{name}.npz: no such flow, nor a folder {flows}/{name}"
        elif not (masks := _pictures(annotations / name, "*.png")):
            missing[name] = f"{annotations / name}: no masks, expected *.png"
        else:
            frames = _pictures(root / "JPEGImages" / RESOLUTION / name, "*.jpg")
            found.append(DavisSequence(name, _flow_path(flows, name), masks, frames))
    if not found:
        raise InputError(next(iter(missing.values())))
    return found, missing


def _pictures(folder: Path, pattern: str) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.glob(pattern) if not path.name.startswith(".")))


def _flow_path(flows: Path | None, name: str) -> Path | None:
    if flows is None:
        return None
    npz = flows / f"{name}.npz"
    return npz if npz.exists() else flows / name
