"""Flow sequences on disk: which of their frames are sound, and cached reading."""

import hashlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from jaxmotion.data.transforms import Size, resize_flow, resize_flow_and_valid
from jaxmotion.errors import InputError
from jaxmotion.files import list_files, numbered
from jaxmotion.optical_flow.arrays import known_vectors
from jaxmotion.optical_flow.formats import flo_size, load_flow_npz, read_flow_and_valid

OnBadClip = Literal["error", "skip"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FlowSequence:
    """A sequence of flow fields and which of them are sound.

    Attributes:
      name: as it is called in logs and results.
      files: one `.npz` file, or one `.flo` file a frame.
      sound: bool `[N]`, False where the field cannot be used.
      run: int `[N]`, changes where a frame is missing between two neighbours.
      size: `(height, width)` of what is read.
      faults: what is wrong, one line each.
    """

    name: str
    files: tuple[Path, ...]
    sound: np.ndarray
    run: np.ndarray
    size: tuple[int, int]
    faults: tuple[str, ...] = ()

    def starts(self, clip_length: int, interval: int, stride: int) -> list[int]:
        """Earliest frames of the clips that hold sound frames only and span no missing one."""
        interval = abs(interval)
        span = (clip_length - 1) * interval + 1
        return [
            start
            for start in range(0, len(self.sound) - span + 1, stride)
            if self.sound[start : start + span : interval].all()
            and self.run[start] == self.run[start + span - 1]
        ]


class FlowCache:
    """Reads flow of sequences, resizes it, and keeps the most recently used in memory.

    It holds `nbytes`, `max_bytes` at most, in the precision of the files, so that caching changes
    no value. Safe to share among threads.
    """

    def __init__(self, size: Size | None = None, max_bytes: int = 2**31):
        """Starts empty.

        Args:
          size: `(height, width)` to resize to; as they are when left out.
          max_bytes: what is kept in memory at most.
        """
        self.size, self.max_bytes = size, max_bytes
        self._entries: OrderedDict[Path, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self._digests: dict[Path, bytes] = {}
        self.nbytes = 0
        self._lock = threading.Lock()

    def read(self, sequence: FlowSequence, frames: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Reads frames of a sequence.

        Args:
          sequence: the sequence.
          frames: T indices into it.

        Returns:
          flow float32 `[T, H, W, 2]`, zero where unknown, and valid float32 `[T, H, W]`.
        """
        if sequence.files[0].suffix.lower() == ".npz":
            flow, valid = self.load(sequence.files[0])
            flow, valid = flow[list(frames)], valid[list(frames)]
        else:
            parts = [self.load(sequence.files[frame]) for frame in frames]
            flow, valid = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return flow.astype(np.float32), valid.astype(np.float32)

    def load(self, file: Path) -> tuple[np.ndarray, np.ndarray]:
        """All of a file: flow `[T, H, W, 2]`, float16 or float32, and valid bool `[T, H, W]`.

        Vectors that are not finite are kept: `inspect` is there to find them.
        """
        with self._lock:
            if file in self._entries:
                self._entries.move_to_end(file)
                return self._entries[file]
        return self.keep(file, self._load(file))

    def keep(
        self, file: Path, entry: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Keeps what was loaded from a file, and gives it back."""
        with self._lock:
            if file not in self._entries:
                self._entries[file] = entry
                self.nbytes += sum(array.nbytes for array in entry)
                while self.nbytes > self.max_bytes:
                    _, old = self._entries.popitem(last=False)
                    self.nbytes -= sum(array.nbytes for array in old)
        return entry

    def _load(self, file: Path) -> tuple[np.ndarray, np.ndarray]:
        if file.suffix.lower() == ".npz":
            return self.noted(file, *load_flow_npz(file))
        flow, valid = read_flow_and_valid(file)
        return self.noted(file, flow[None], valid[None])

    def digest(self, file: Path) -> bytes:
        """What tells the flow in a file from another, whatever the file's name, place and date."""
        if file not in self._digests:
            self._load(file)
        return self._digests[file]

    def noted(
        self, file: Path, flow: np.ndarray, valid: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What was read of a file, at the size wanted; its digest is noted before it is resized.

        Args:
          file: where it is from.
          flow: `[T, H, W, 2]`.
          valid: bool `[T, H, W]`; None where all of it is known.

        Returns:
          Flow and where it is known, see `resized`.
        """
        if file not in self._digests:
            digest = hashlib.blake2b(repr((flow.shape, flow.dtype.str)).encode(), digest_size=16)
            known = np.ones(flow.shape[:-1], bool) if valid is None else valid > 0
            for array in (flow, np.packbits(known)):
                digest.update(np.ascontiguousarray(array).data)
            self._digests[file] = digest.digest()
        return self.resized(flow, valid)

    def resized(self, flow: np.ndarray, valid: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Flow `[T, H, W, 2]` and where it is known, bool `[T, H, W]`, at the size wanted.

        Zero where unknown. A vector that is valid and not finite is not unknown but wrong: it
        stays, to be seen.
        """
        known = known_vectors(flow, valid)
        wrong = ~np.isfinite(flow).all(-1)
        known |= wrong if valid is None else wrong & valid
        if not known.all():
            flow = np.where(known[..., None], flow, flow.dtype.type(0))
        if self.size is None or flow.shape[1:3] == tuple(self.size):
            return flow, known
        if known.all():
            return resize_flow(flow, self.size), np.ones((len(flow), *self.size), bool)
        flow, share = resize_flow_and_valid(flow, known, self.size)
        return flow, share > 0


def inspect(name: str, path: Path, cache: FlowCache) -> FlowSequence:
    """Reads a sequence once and notes what cannot be used.

    Args:
      name: the name to give it.
      path: an `.npz` file, a `.flo` file, or a folder of `.flo` files.
      cache: reads the files, and keeps what fits for later.

    Returns:
      The sequence with its faults; none of its frames is sound when all is lost.
    """
    try:
        if path.suffix.lower() == ".npz" and not path.is_dir():
            return _inspect_npz(name, path, cache)
        return _inspect_folder(name, path, cache)
    except InputError as error:
        nothing = np.zeros(0, int)
        return FlowSequence(name, (), nothing.astype(bool), nothing, (0, 0), (str(error),))


def _inspect_npz(name: str, path: Path, cache: FlowCache) -> FlowSequence:
    flow, _ = cache.load(path)
    sound = np.array([np.isfinite(frame).all() for frame in flow])
    faults = tuple(
        f"{path}, frame {frame}: NaN or infinite vectors, expected finite flow"
        for frame in np.flatnonzero(~sound)
    )
    return FlowSequence(name, (path,), sound, np.zeros(len(flow), int), flow.shape[1:3], faults)


def _inspect_folder(name: str, path: Path, cache: FlowCache) -> FlowSequence:
    files, gaps = numbered(list_files(path, (".flo",))) if path.is_dir() else ([path], {})
    faults = [f"{missing}: missing frame" for missing in gaps.values()]
    sound = np.ones(len(files), bool)
    first: tuple[int, int] | None = None
    shape = (0, 0)
    for index, file in enumerate(files):
        try:
            size = flo_size(file)
            if first is not None and size != first:
                raise InputError(
                    f"{file}: {size[1]} x {size[0]}, expected {first[1]} x {first[0]} "
                    "as the others of its folder"
                )
            shape = cache.load(file)[0].shape[1:3]  # raises where a vector is not finite
            first = size
        except InputError as error:
            faults.append(str(error))
            sound[index] = False
    run = np.zeros(len(files), int)
    for before in gaps:
        run[before + 1 :] += 1
    return FlowSequence(name, tuple(files), sound, run, shape, tuple(faults))


def inspect_all(
    places: Sequence[tuple[str, Path]], cache: FlowCache, on_bad_clip: OnBadClip
) -> list[FlowSequence]:
    """Reads all sequences once, so that what is wrong shows before training starts.

    Args:
      places: names and paths.
      cache: reads the files.
      on_bad_clip: "error" raises at the first fault; "skip" logs each and goes on.

    Returns:
      The sequences, in the order of `places`.

    Raises:
      InputError: the first fault, where `on_bad_clip` is "error".
    """
    sequences = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        jobs = [pool.submit(inspect, name, path, cache) for name, path in places]
        try:
            for job in tqdm(jobs, desc="reading flow", unit="sequence", delay=2, leave=False):
                sequence = job.result()
                if sequence.faults and on_bad_clip == "error":
                    raise InputError(sequence.faults[0])
                for fault in sequence.faults:
                    _log.warning("left out: %s", fault)
                sequences.append(sequence)
        finally:
            pool.shutdown(cancel_futures=True)
    faults = sum(len(sequence.faults) for sequence in sequences)
    if faults:
        _log.warning("clips with any of these %d faults are left out", faults)
    return sequences
