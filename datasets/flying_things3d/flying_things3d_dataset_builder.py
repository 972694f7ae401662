"""TFDS builder of FlyingThings3D: true flow, or estimated flow. Needs no TensorFlow."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxmotion_datasets.archives import (
    ArchiveSequence,
    archive_root,
    check_partners,
    existing_folder,
    frames_of,
    in_parallel,
    numbered_pictures,
    size_error,
)
from jaxmotion_datasets.clips import ClipBuilder
from jaxmotion_datasets.flow_configs import FLOW_CONFIGS, THESIS_SIZE
from jaxmotion_datasets.flow_records import SequenceFlow, as_half

from jaxmotion.data.transforms import resize_flow_and_valid
from jaxmotion.errors import InputError
from jaxmotion.files import reading
from jaxmotion.optical_flow import FlowOrigin, read_pfm, read_pfm_flow

FRAMES, FLOW, MASKS = "frames_cleanpass", "optical_flow", "object_index"
SPLITS = {"train": "TRAIN", "test": "TEST"}
FLOW_FILE = "OpticalFlowIntoFuture_{}_L.pfm"
LARGEST = 1000.0  # pixels: what moves further than a frame is wide is no vector to learn from
ORIGIN = FlowOrigin("ground_truth", {})


class Builder(ClipBuilder):
    """FlyingThings3D: 2239 training and 437 test sequences of ten frames, drawn with true flow."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack FlyingThings3D, https://lmb.informatik.uni-freiburg.de/resources/datasets/"
        "SceneFlowDatasets.en.html: the manual folder has optical_flow/TRAIN/{A,B,C}/NNNN/"
        "into_future/left/*.pfm (for --flow files) or frames_cleanpass/TRAIN/{A,B,C}/NNNN/left/"
        "*.png, itself or in FlyingThings3D, and object_index if there are to be masks"
    )
    BUILDER_CONFIGS = [  # noqa: RUF012 (the name and type are TFDS's)
        dataclasses.replace(
            FLOW_CONFIGS[0],
            size=THESIS_SIZE,
            description="True flow of the archive, resized to 128x224.",
        ),
        *FLOW_CONFIGS[1:],
    ]
    SEQUENCES: ClassVar = {"train": 2239, "test": 437}

    def flow_root(self, root: Path) -> Path:
        """The folder of the archive."""
        return archive_root(root, ("FlyingThings3D",), self._needed)

    @property
    def _needed(self) -> str:
        return FLOW if self.config.estimator is None else FRAMES

    def splits(self, root: Path) -> dict[str, list[ArchiveSequence]]:
        """The splits of the archive; the folder TEST may be absent."""
        root = self.flow_root(root)
        existing_folder(root / self._needed / SPLITS["train"], "a folder for each sequence")
        found = {}
        for split, name in SPLITS.items():
            folder = root / self._needed / name
            if split == "train" or folder.is_dir():
                places = [place.relative_to(root / self._needed) for place in _sequences(folder)]
                found[split] = [self._sequence(root, place) for place in places]
        return found

    def _sequence(self, root: Path, inner: Path) -> ArchiveSequence:
        """A sequence, by its place SPLIT/LETTER/NUMBER in each of the folders of the archive."""
        name = "-".join(inner.parts[1:])
        frames, masks = (root / kind / inner / "left" for kind in (FRAMES, MASKS))
        flow = root / FLOW / inner / "into_future" / "left"
        video = frames_of(frames) if self.config.estimator or frames.is_dir() else None
        names = tuple(path.stem for path in video.files) if video else ()
        if self.config.estimator is None:
            numbered_pictures(flow, (".pfm",))
            for frame in names[:-1]:
                if not (flow / FLOW_FILE.format(frame)).is_file():
                    raise InputError(f"{flow / FLOW_FILE.format(frame)}: no such file")
        found = numbered_pictures(masks, (".pfm",)) if masks.is_dir() else ()
        of = list(video.files) if video else list(numbered_pictures(flow, (".pfm",)))
        if found:
            check_partners(of, found)
        return ArchiveSequence(
            name, video, {frame: (path,) for frame, path in enumerate(found)}, names, flow=flow
        )

    def flow_of(self, sequence: ArchiveSequence) -> SequenceFlow:
        """True flow; that of the last frame, which goes to one that is not there, is left out."""
        assert sequence.flow is not None
        files = numbered_pictures(sequence.flow, (".pfm",))
        if sequence.frame_names:
            files = tuple(sequence.flow / FLOW_FILE.format(f) for f in sequence.frame_names[:-1])
        fields = in_parallel(_read, files, f"flow of {sequence.name}")
        for file, (flow, _) in zip(files, fields, strict=True):
            if flow.shape != fields[0][0].shape:
                expected = fields[0][0].shape[:2]
                raise size_error(file, flow.shape[:2], expected, files[0].name)
        flow, valid = (np.stack(arrays) for arrays in zip(*fields, strict=True))
        size = flow.shape[1:3]
        if self.config.size is not None:
            flow, share = resize_flow_and_valid(flow, valid, self.config.size)
            valid = share > 0
        half = as_half(sequence.flow, flow)
        return SequenceFlow(half, valid, sequence.frame_names, ORIGIN, size)

    def labels_of(self, sequence: ArchiveSequence) -> dict[int, np.ndarray]:
        """The objects by the order of their index in the archive, from 0 in each sequence."""
        indices = super().labels_of(sequence)
        known = np.unique([index for values in indices.values() for index in np.unique(values)])
        if len(known) > 256:
            folder = sequence.masks[0][0].parent
            raise InputError(f"{folder}: {len(known)} objects, expected 256 at most")
        return {f: np.searchsorted(known, i).astype(np.uint8) for f, i in indices.items()}

    def labels(self, paths: tuple[Path, ...]) -> np.ndarray:
        """The index of the object at each pixel, as the archive has it."""
        values = read_pfm(paths[0])
        if values.shape[-1] != 1:
            raise InputError(f"{paths[0]}: three channels, expected the index of an object in one")
        if not (values == np.round(values)).all():
            raise InputError(f"{paths[0]}: a value that is no whole number, expected indices")
        return values[..., 0].astype(np.int64)


def _sequences(folder: Path) -> list[Path]:
    """SPLIT/{A,B,C}/NNNN of a folder SPLIT, if there is one."""
    with reading(folder):
        return sorted(path for path in folder.glob("[A-Z]/*") if path.is_dir())


def _read(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Flow `[H, W, 2]`, 0 where unknown, and where it is known."""
    flow = read_pfm_flow(file)
    known = np.asarray((np.abs(flow) < LARGEST).all(-1))
    return np.where(known[..., None], flow, np.float32(0)), known
