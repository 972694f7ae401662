"""Flow of a whole video into a folder, with pictures and quality, ready to be resumed."""

import os
import statistics
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np
from tqdm import tqdm

import jaxmotion
from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading
from jaxmotion.locks import locked
from jaxmotion.optical_flow.colors import flow_to_color
from jaxmotion.optical_flow.estimators import Estimator
from jaxmotion.optical_flow.fields import ARCHIVE, UNFINISHED
from jaxmotion.optical_flow.notes import NOTES, FieldNotes, note_frames
from jaxmotion.optical_flow.origin import DESCRIPTION, describe
from jaxmotion.optical_flow.quality import FlowQuality, flow_quality
from jaxmotion.optical_flow.quality_file import QUALITY, kept_qualities
from jaxmotion.optical_flow.stores import KINDS, Store, open_store
from jaxmotion.output_folder import keep_apart

COLOR = "color"
_OURS = (NOTES, QUALITY, COLOR)
# Mean difference of two fields, in pixels, below which they are of the same frames. The same
# network gives slightly another field on another machine, and KITTI's pictures are rounded.
_SAME_FIELD = 0.05


class Frames(Protocol):
    """A video as `jaxmotion.data.open_video` gives it."""

    @property
    def path(self) -> Path:
        """The file or folder that it comes from."""
        ...

    @property
    def height(self) -> int:
        """Height of its frames, in pixels."""
        ...

    @property
    def width(self) -> int:
        """Width of its frames, in pixels."""
        ...

    @property
    def num_frames(self) -> int | None:
        """Number of its frames; None where that is not known."""
        ...

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields the frames, uint8 `[H, W, 3]`."""
        ...

    def frame_names(self) -> Iterable[str]:
        """Yields a name for each frame."""
        ...


@dataclass(frozen=True)
class FlowFolderReport:
    """Report of what `write_flow_folder` did.

    Attributes:
        folder: folder of the flow.
        num_flows: number of fields in the folder, fewer than frames by the gap.
        num_reused: number of fields that were there already.
        seconds_per_flow: estimation time of a new one (the median), 0 where there were none.
        format: format of the files, "flo", "png" or "npz".
        quality: mean quality over the video; None where it was not asked for.
    """

    folder: Path
    num_flows: int
    num_reused: int
    seconds_per_flow: float
    format: str = "flo"
    quality: FlowQuality | None = None

    def __str__(self) -> str:
        """One line for the end of the command, and one for the quality."""
        kept = f", {self.num_reused} of them there before" if self.num_reused else ""
        pace = f"; {1000 * self.seconds_per_flow:.0f} ms a field" if self.seconds_per_flow else ""
        quality = f"\n{self.quality}" if self.quality else ""
        return f"{self.folder}: {self.num_flows} flow fields (.{self.format}){kept}{pace}{quality}"


def write_flow_folder(
    video: Frames,
    folder: str | os.PathLike,
    estimator: Estimator,
    *,
    gap: int = 1,
    backward: bool = False,
    format: Literal["flo", "png", "npz"] = "flo",
    color: bool = False,
    quality: bool = False,
    progress: bool = True,
) -> FlowFolderReport:
    """Estimates the flow of a video into a folder.

    A field is the flow from its frame to the one `gap` frames later, or earlier if `backward`, and
    carries the name of its frame. Frames are read and files written one by one, so memory does not
    grow with the video. Run again after an interruption, it keeps what is there and estimates the
    rest. `flow.json` in the folder says what made the flow, `fields.jsonl` of which frames, and
    another estimator, video or kind of flow is refused there. A video that was moved, renamed or
    has grown is the same one.

    Args:
        video: frames of the video, such as `jaxmotion.data.open_video` gives.
        folder: folder that the files go to; made where missing.
        estimator: estimator of the flow of two frames, such as `make_estimator` gives.
        gap: number of frames from one to the other, at least 1; vectors are pixels per gap.
        backward: whether flow goes to the frame before instead of the one after.
        format: format of the files: "flo", a file a field; "png", KITTI's, rounded to 1/64 pixel
            and below 512 pixels; "npz", one `flow.npz` with "flow" `[T, H, W, 2]`.
        color: whether to write pictures too, `color/NAME.png`, by the usual wheel and to one scale.
        quality: whether to write the figures of `FlowQuality` too, to `quality.json`; they need the
            flow back, so twice the time.
        progress: whether to show progress bars.

    Returns:
        The report: number of fields, time that one took, and their quality.

    Raises:
        InputError: a wrong option, a frame that cannot be read, a folder that holds other flow, or
            the frames, or that another run writes to, or that cannot be written.
    """
    folder = Path(folder)
    if gap < 1:
        raise InputError(f"gap {gap}: expected at least 1")
    if format not in KINDS:
        raise InputError(f"format {format!r}: expected one of {', '.join(KINDS)}")
    keep_apart(folder, (*_OURS, ARCHIVE, UNFINISHED), (video.path, *getattr(video, "files", ())))
    description = _description(video, estimator, gap, backward, format)
    with locked(folder), _described(folder, description):
        run = _Run(video, folder, estimator, open_store(folder, format), FieldNotes(folder))
        total = None if video.num_frames is None else max(video.num_frames - gap, 0)
        with (
            kept_qualities(folder / QUALITY, quality) as qualities,
            tqdm(
                total=total, desc=f"flow ({estimator.name})", unit="frame", disable=not progress
            ) as bar,
        ):
            for name, image0, image1 in _pairs(video, gap, backward):
                run.add(name, image0, image1)
                if quality and name not in qualities:
                    back = estimator(image1, image0)
                    flow = run.store.read(name)
                    qualities.add(name, flow_quality(image0, image1, flow, back))
                bar.update()
        if not run.names:
            raise InputError(f"{video.path}: too few frames for a gap of {gap}")
        run.store.finish(run.names)
        if color:
            _write_colors(folder / COLOR, run.store, run.names, progress)
    mean = qualities.mean(run.names) if quality else None
    # The first one also compiles.
    pace = statistics.median_low(run.seconds) if run.seconds else 0.0
    return FlowFolderReport(folder, len(run.names), run.num_reused, pace, format, mean)


@contextmanager
def _described(folder: Path, description: dict[str, Any]) -> Iterator[None]:
    """`flow.json` while the block runs, and after it where there is flow.

    What describes no flow would refuse the next video.
    """
    describe(folder, description, _OURS)
    try:
        yield
    finally:
        with suppress(OSError):
            there = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
            if there == {DESCRIPTION}:
                (folder / DESCRIPTION).unlink()


def _description(
    video: Frames, estimator: Estimator, gap: int, backward: bool, format: str
) -> dict[str, Any]:
    """What made the flow of a folder, and what its vectors mean."""
    unit = "pixels per frame" if gap == 1 else f"pixels per {gap} frames"
    return {
        "version": jaxmotion.__version__,
        "estimator": estimator.name,
        "settings": estimator.settings,
        "source": video.path.name,
        "height": video.height,
        "width": video.width,
        "gap": gap,
        "direction": "backward" if backward else "forward",
        "format": format,
        "unit": f"{unit}, of this height and width",
    }


class _Run:
    """Fields one after another, kept or estimated."""

    def __init__(
        self, video: Frames, folder: Path, estimator: Estimator, store: Store, notes: FieldNotes
    ):
        self.video, self.folder, self.estimator = video, folder, estimator
        self.store, self.notes = store, notes
        self.names: list[str] = []
        self.seconds: list[float] = []
        self.num_reused = 0

    def add(self, name: str, image0: np.ndarray, image1: np.ndarray) -> None:
        """Adds the next field, kept or estimated.

        Args:
            name: name of the field.
            image0: frame of the field, uint8 `[H, W, 3]`.
            image1: frame that the flow goes to, uint8 `[H, W, 3]`.

        Raises:
            InputError: the field that is there is of other frames.
        """
        is_there = self.store.has(name, image0.shape[:2])
        note, kept = note_frames(image0, image1), self.notes.get(name) if is_there else None
        if kept is not None and kept.frames != note.frames:
            raise self._of_other_frames(name)
        if kept is None:
            start = time.perf_counter()
            flow = self.estimator(image0, image1)
            self.seconds.append(time.perf_counter() - start)
            if not is_there:
                self.store.write(name, flow)
            # Of an earlier version, or of a run that was killed before it could note the frames.
            elif not np.abs(self.store.read(name) - flow).mean() < _SAME_FIELD:
                raise self._of_other_frames(name)
            self.notes.add(name, note)
        self.num_reused += is_there
        self.names.append(name)

    def _of_other_frames(self, name: str) -> InputError:
        return InputError(
            f"{self.folder}: its flow of {name} is not of that frame of {self.video.path}, but of "
            "another video or of what the frame was before; give another folder"
        )


def _pairs(video: Frames, gap: int, backward: bool) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name of the frame, the frame, and the one that its flow goes to."""
    waiting: deque[tuple[str, np.ndarray]] = deque()
    for name, frame in zip(video.frame_names(), video, strict=False):
        if len(waiting) == gap:
            earlier_name, earlier = waiting.popleft()
            yield (name, frame, earlier) if backward else (earlier_name, earlier, frame)
        waiting.append((name, frame))


def _write_colors(folder: Path, store: Store, names: list[str], progress: bool) -> None:
    """Pictures of all fields to one scale, so that they can be watched as a video."""
    paths = {name: folder / f"{name}.png" for name in names}
    with reading(folder):
        if all(path.exists() for path in paths.values()):
            return
    # A few wild vectors shall not leave all else white.
    scale = max(np.quantile(np.linalg.norm(store.read(name), axis=-1), 0.99) for name in names)
    with tqdm(paths.items(), desc="pictures", unit="frame", disable=not progress) as bar:
        for name, path in bar:
            picture = flow_to_color(store.read(name), max_magnitude=float(scale))
            with atomic_path(path) as temporary:
                temporary.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
