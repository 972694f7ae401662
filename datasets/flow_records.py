"""The flow of a sequence: read from files, or estimated while building."""

import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxmotion_datasets.archives import ArchiveSequence
from tqdm import tqdm

from jaxmotion.data.layouts import find_sequences
from jaxmotion.data.sequences import FlowCache, inspect
from jaxmotion.data.transforms import resize_flow
from jaxmotion.data.video import Video
from jaxmotion.errors import InputError
from jaxmotion.optical_flow import Estimator, read_flow_npz, write_flow_npz


@dataclass(frozen=True)
class SequenceFlow:
    """The flow of a sequence, frame t to t + 1.

    Attributes:
        flow: float16 `[T, h, w, 2]`, pixels per frame of the original size, 0 where unknown.
        valid: bool `[T, h, w]`, where it is known.
        frame_names: of the frames, one more than there are fields; none where unknown.
    """

    flow: np.ndarray
    valid: np.ndarray
    frame_names: tuple[str, ...]


def flow_places(root: Path, flow_name: str | None) -> dict[str, Path]:
    """Where the flow of which sequence lies, in `ROOT/Flows/NAME`.

    Args:
        root: of the archive, where the user put the folder Flows.
        flow_name: NAME; not needed where there is just one.

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
    return dict(find_sequences(root, flow_name))


def read_files(sequence: ArchiveSequence) -> SequenceFlow:
    """The flow that came with a sequence.

    Args:
        sequence: with `flow`.

    Returns:
        The flow.

    Raises:
        InputError: missing, damaged, not finite, beyond float16, or of another number of frames.
    """
    assert sequence.flow is not None
    cache = FlowCache()
    found = inspect(sequence.name, sequence.flow, cache)
    if found.faults:
        raise InputError(found.faults[0])
    count, expected = len(found.sound), sequence.num_frames
    if expected is not None and count != expected - 1:
        raise InputError(
            f"{sequence.flow}: {count} flow fields, expected {expected - 1} for the {expected} "
            f"frames of {sequence.name}"
        )
    flow, valid = cache.read(found, range(count))
    return SequenceFlow(_half(sequence.flow, flow), valid > 0, sequence.frame_names)


def estimate(
    sequence: ArchiveSequence, estimator: Estimator, size: tuple[int, int] | None, folder: Path
) -> SequenceFlow:
    """Estimates the flow of a sequence, on several cores, or takes it from an interrupted build.

    Args:
        sequence: with frames.
        estimator: the estimator.
        size: `(height, width)` to resize to, bilinearly and without rescaling the vectors; as the
            frames when None.
        folder: where finished sequences are kept until the whole data set is built.

    Returns:
        The flow.

    Raises:
        InputError: a missing or unreadable frame, or the file cannot be written.
    """
    if sequence.video is None:
        raise InputError(f"{sequence.name}: the archive has no frames of this sequence")
    place = folder / f"{_fingerprint(sequence.video, estimator, size)}.npz"
    flow = _kept(place)
    if flow is None:
        fields = []
        total = None if sequence.num_frames is None else sequence.num_frames - 1
        for field in tqdm(
            _fields(sequence.video, estimator),
            desc=f"{estimator.name} {sequence.name}",
            total=total,
            unit="frame",
            leave=False,
        ):
            field = field if size is None else resize_flow(field[None], size)[0]
            fields.append(_half(f"{sequence.video.path}, frame {len(fields)}", field))
        if not fields:
            raise InputError(f"{sequence.video.path}: one frame, expected two or more")
        flow = np.stack(fields)
        write_flow_npz(place, flow)
    names = sequence.frame_names
    if not names:
        names = tuple(itertools.islice(sequence.video.frame_names(), len(flow) + 1))
    return SequenceFlow(flow, np.ones(flow.shape[:-1], bool), names)


def _fields(video: Video, estimator: Estimator) -> Iterator[np.ndarray]:
    """Flow from each frame to the next; a few pairs at a time are in memory and at work."""
    workers = os.cpu_count() or 1
    if estimator.name != "dis":
        workers = 1  # the networks keep all cores, or the accelerator, busy by themselves
    pairs = itertools.pairwise(video)
    with ThreadPoolExecutor(workers) as pool:
        while batch := list(itertools.islice(pairs, 4 * workers)):
            yield from pool.map(lambda pair: estimator(*pair), batch)


def _half(name: str | os.PathLike, flow: np.ndarray) -> np.ndarray:
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


def _kept(place: Path) -> np.ndarray | None:
    try:
        return read_flow_npz(place)[0]
    except InputError:
        return None  # not there yet, or damaged: it is estimated again
