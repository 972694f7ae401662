"""The flow of a sequence: read from files, or estimated while building."""

import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxmotion_datasets.archives import ArchiveSequence
from tqdm import tqdm

from jaxmotion.data.davis import SequenceFiles
from jaxmotion.data.file_sequences import open_files
from jaxmotion.data.flow_cache import FlowCache
from jaxmotion.data.layouts import find_flow
from jaxmotion.data.pairing import check_flow_names
from jaxmotion.data.transforms import resize_flow
from jaxmotion.data.video import Video
from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path
from jaxmotion.optical_flow import Estimator, FlowOrigin, read_flow_origin
from jaxmotion.optical_flow.fields import named_fields


@dataclass(frozen=True)
class SequenceFlow:
    """The flow of a sequence.

    Attributes:
        flow: float16 `[T, h, w, 2]`, pixels of the original size per `origin.gap` frames, 0 where
            unknown.
        valid: bool `[T, h, w]`, where it is known.
        frame_names: names of the T + `origin.gap` frames; none where unknown.
        origin: origin of the flow, what made it.
        size: `(height, width)` of the original frames, where the flow tells.
    """

    flow: np.ndarray
    valid: np.ndarray
    frame_names: tuple[str, ...]
    origin: FlowOrigin
    size: tuple[int, int] | None = None

    @property
    def num_frames(self) -> int:
        """Number of frames that the flow is of."""
        return len(self.flow) + self.origin.gap


def flow_places(root: Path, flow_name: str | None) -> dict[str, Path]:
    """Places of the flow of each sequence, in `ROOT/Flows/NAME`.

    Args:
        root: folder of the archive, where the user put the folder Flows.
        flow_name: name of the folder of flow, NAME; not needed where there is just one.

    Returns:
        Paths of `.npz` files or folders of `.flo` files by sequence.

    Raises:
        InputError: no such folder, or nothing in it.
    """
    if not (root / "Flows").is_dir():
        raise InputError(
            f"{root / 'Flows'}: no such folder, expected Flows/NAME/SEQUENCE.npz or "
            "Flows/NAME/SEQUENCE/*.flo (or another --flow than files)"
        )
    return dict(find_flow(root, flow_name))


def read_files(sequence: ArchiveSequence) -> SequenceFlow:
    """The flow that came with a sequence, and what a `flow.json` beside it says.

    Args:
        sequence: sequence that has a `flow`.

    Returns:
        The flow.

    Raises:
        InputError: missing, damaged, not finite, beyond float16, or of another number of frames.
    """
    assert sequence.flow is not None
    found = open_files(SequenceFiles(sequence.name, sequence.flow), FlowCache(), thorough=True)
    if found.faults:
        raise InputError(found.faults[0])
    origin = read_flow_origin(sequence.flow) or FlowOrigin("files", {})
    count, num_frames = found.length, sequence.num_frames
    if num_frames is None and sequence.video is not None:
        num_frames = sum(1 for _ in sequence.video)  # the header of a file can be off
    if num_frames is not None and count != num_frames - origin.gap:
        raise InputError(
            f"{sequence.flow}: {count} flow fields, expected {num_frames - origin.gap} "
            f"for the {num_frames} frames of {sequence.name}"
        )
    fields = named_fields(sequence.flow)
    if sequence.frame_names and fields:
        gap = -origin.gap if origin.backward else origin.gap
        check_flow_names(fields, sequence.frame_names, gap)
    read = found.read(("flow", "valid"), range(count))
    flow = as_half(sequence.flow, read["flow"])
    return SequenceFlow(flow, read["valid"] > 0, sequence.frame_names, origin)


def estimate(
    sequence: ArchiveSequence, estimator: Estimator, size: tuple[int, int] | None, folder: Path
) -> SequenceFlow:
    """Estimates the flow of a sequence, on several cores, or takes it from an interrupted build.

    Args:
        sequence: sequence that has frames.
        estimator: estimator of the flow of two frames.
        size: `(height, width)` to resize to, bilinearly and without rescaling the vectors; as the
            frames when None.
        folder: folder that keeps each field until the whole data set is built.

    Returns:
        The flow.

    Raises:
        InputError: a missing or unreadable frame, or a field cannot be written.
    """
    video = sequence.video
    if video is None:
        raise InputError(f"{sequence.name}: the archive has no frames of this sequence")
    place = folder / _fingerprint(video, estimator, size)

    def one_field(pair: tuple[int, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        index, frames = pair
        file = place / f"{index:06d}.npy"
        kept = _kept(file, size or frames[0].shape[:2])
        if kept is not None:
            return kept
        flow = estimator(*frames)
        flow = flow if size is None else resize_flow(flow[None], size)[0]
        flow = as_half(f"{video.path}, frame {index}", flow)
        with atomic_path(file) as temporary:
            np.save(temporary, flow)
        return flow

    fields = list(
        tqdm(
            _in_parallel(one_field, enumerate(itertools.pairwise(video)), estimator.name),
            desc=f"{estimator.name} {sequence.name}",
            total=None if sequence.num_frames is None else sequence.num_frames - 1,
            unit="frame",
            leave=False,
        )
    )
    if not fields:
        raise InputError(f"{video.path}: one frame, expected two or more")
    flow = np.stack(fields)
    names = sequence.frame_names
    names = names or tuple(itertools.islice(video.frame_names(), len(flow) + 1))
    origin = FlowOrigin(estimator.name, estimator.settings)
    return SequenceFlow(flow, np.ones(flow.shape[:-1], bool), names, origin)


def _in_parallel(one_field: Any, pairs: Iterator, estimator: str) -> Iterator[np.ndarray]:
    """Fields in order; a few pairs at a time are in memory and at work."""
    workers = os.cpu_count() or 1
    if estimator != "dis":
        workers = 1  # the networks keep all cores, or the accelerator, busy by themselves
    with ThreadPoolExecutor(workers) as pool:
        while batch := list(itertools.islice(pairs, 4 * workers)):
            yield from pool.map(one_field, batch)


def as_half(name: str | os.PathLike, flow: np.ndarray) -> np.ndarray:
    """Flow as float16.

    Args:
        name: name of what it is of, for the message.
        flow: vectors, of any shape.

    Returns:
        float16 of that shape.

    Raises:
        InputError: not finite, or beyond what float16 holds.
    """
    largest = np.abs(flow).max(initial=0)
    if not largest < 65504:
        raise InputError(f"{name}: a flow of {largest:g} pixels, expected less than 65504")
    return flow.astype(np.float16)


def _fingerprint(video: Video, estimator: Estimator, size: tuple[int, int] | None) -> str:
    """Changes whenever the frames or the estimator do."""
    files = [(str(path), path.stat()) for path in video.files or (video.path,)]
    words = json.dumps(
        [
            estimator.name,
            estimator.settings,
            size,
            [(path, stat.st_size, stat.st_mtime_ns) for path, stat in files],
        ]
    )
    return hashlib.sha256(words.encode()).hexdigest()[:32]


def _kept(file: Path, size: tuple[int, ...]) -> np.ndarray | None:
    """A field of an interrupted build; None where it is not there, or damaged."""
    try:
        flow = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return flow if flow.shape == (*size, 2) and flow.dtype == np.float16 else None
