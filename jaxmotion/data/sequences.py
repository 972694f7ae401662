"""Flow sequences on disk: which layout a folder has, what in it is sound, and cached reading."""

import logging
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from jaxmotion.data.transforms import Size, resize_flow, resize_flow_and_valid
from jaxmotion.errors import InputError
from jaxmotion.files import read_error
from jaxmotion.optical_flow.formats import (
    flo_size,
    has_suffix,
    known_vectors,
    load_flow_npz,
    numbered,
    read_flow_and_valid,
)

OnBadClip = Literal["error", "skip"]

LAYOUTS = (
    "an .npz file (key 'flow', [T, H, W, 2]), a folder of .flo files, a folder of such folders or "
    ".npz files, or a DAVIS-like root with Flows/NAME/SEQUENCE.npz or Flows/NAME/SEQUENCE/*.flo"
)

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
        """First frames of the clips that hold sound frames only and span no missing one."""
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
        entry = self._load(file)
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
            flow, valid = load_flow_npz(file)
        else:
            flow, valid = (array[None] for array in read_flow_and_valid(file))
        # A vector that is not finite is not unknown but wrong: it has to stay to be seen.
        known = known_vectors(flow) | ~np.isfinite(flow).all(-1)
        known = known if valid is None else valid & known
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


def find_sequences(
    root: str | os.PathLike, flow: str | None = None, split: str | None = None
) -> list[tuple[str, Path]]:
    """Finds out which layout a path has and lists its sequences, without reading them.

    Args:
      root: see `LAYOUTS`.
      flow: NAME of `root/Flows/NAME`, for a DAVIS-like root with more than one; other layouts have
        no use for it.
      split: name of the list of sequences `root/ImageSets/SPLIT.txt`; all when left out.

    Returns:
      Names and paths of the sequences, sorted by name.

    Raises:
      InputError: nothing there, or a layout that is none of the known ones.
    """
    root = Path(root)
    if not root.exists():
        raise InputError(f"{root}: no such file or folder, expected {LAYOUTS}")
    if root.is_file():
        if root.suffix.lower() not in (".npz", ".flo"):
            raise InputError(f"{root}: a {root.suffix or 'nameless'} file, expected {LAYOUTS}")
        places = [(root.stem, root)]
    elif (root / "Flows").is_dir():
        places, split = _davis_sequences(root, flow, split), None
    elif list_files(root, (".flo",)):
        places = [(root.resolve().name, root)]
    else:
        places = _sequences_of(root)
    if not places:
        raise InputError(f"{root}: {_contents(root)}, expected {LAYOUTS}")
    if split:
        raise InputError(f"split {split!r}: {root} is no DAVIS-like root (it has no folder Flows)")
    return places


def list_files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files of a folder with one of the suffixes, without the hidden ones."""
    try:
        return sorted(path for path in folder.iterdir() if has_suffix(path, suffixes))
    except OSError as error:
        raise read_error(folder, error) from error


def _sequences_of(folder: Path) -> list[tuple[str, Path]]:
    places = {path.stem: path for path in list_files(folder, (".npz",))}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and list_files(path, (".flo",)):
            if path.name in places:
                raise InputError(f"{path}: a folder and an .npz file of one name, expected one")
            places[path.name] = path
    return sorted(places.items())


def _contents(folder: Path) -> str:
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if not entries:
        return "an empty folder"
    kinds = Counter("folder" if p.is_dir() else f"{p.suffix or 'other'} file" for p in entries)
    return "holds " + ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in kinds.most_common(4))


def _davis_sequences(root: Path, flow: str | None, split: str | None) -> list[tuple[str, Path]]:
    names = sorted(path.name for path in (root / "Flows").iterdir() if path.is_dir())
    if not flow and len(names) != 1:
        raise InputError(f"{root / 'Flows'}: holds {names}, expected the option flow to name one")
    folder = root / "Flows" / (flow or names[0])
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, there are {names}")
    places = _sequences_of(folder)
    if not places:
        raise InputError(f"{folder}: {_contents(folder)}, expected SEQUENCE.npz or SEQUENCE/*.flo")
    if not split:
        return places
    there = dict(places)
    wanted = split_names(root, split)
    for name in wanted:
        if name not in there:
            raise InputError(f"{folder / name}: no flow of this sequence of the split {split!r}")
    return [(name, there[name]) for name in wanted]


def split_names(root: str | os.PathLike, split: str) -> list[str]:
    """The sequences of a split of a DAVIS-like root.

    Args:
      root: with `ImageSets/SPLIT.txt` or, as in the original archives, `ImageSets/*/SPLIT.txt`; a
        line is a name, or the original pair of paths of a frame and its annotation.
      split: SPLIT.

    Returns:
      The names, sorted.

    Raises:
      InputError: no such list, more than one, or an empty one.
    """
    folder = Path(root) / "ImageSets"
    found = [folder / f"{split}.txt"]
    if not found[0].is_file():
        found = sorted(folder.glob(f"*/{split}.txt"))
    if len(found) != 1:
        known = sorted({path.stem for path in folder.glob("**/*.txt")})
        raise InputError(f"{folder}: {len(found)} lists of the split {split!r}, there are {known}")
    lines = [line.split()[0] for line in found[0].read_text().splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{found[0]}: empty, expected the name of a sequence in a line")
    return sorted({Path(line).parent.name if "/" in line else line for line in lines})
