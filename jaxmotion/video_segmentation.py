"""A user's own video, end to end: frames → flow → masks → pictures, overlay and parameters."""

import itertools
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from jaxmotion.data.pictures import overlay, write_labels
from jaxmotion.data.transforms import resize_flow, resize_masks
from jaxmotion.data.video import Video, VideoWriter, open_video
from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path
from jaxmotion.latents import write_latents
from jaxmotion.optical_flow.estimators import Estimator, estimate_sequence
from jaxmotion.optical_flow.folders import read_flow_origin
from jaxmotion.optical_flow.formats import flo_files, read_flow, read_flow_sequence
from jaxmotion.segmenter import Segmenter


@dataclass(frozen=True)
class Timing:
    """Milliseconds per frame of the stages of `segment_video`, and seconds of compilation."""

    flow: float
    masks: float
    writing: float
    compilation: float

    def __str__(self) -> str:
        total = self.flow + self.masks + self.writing
        return (
            f"{total:.0f} ms/frame: flow {self.flow:.0f}, masks {self.masks:.0f}, "
            f"writing {self.writing:.0f}; compilation {self.compilation:.1f} s"
        )


def segment_video(
    path: Path, segmenter: Segmenter, out: Path, flow: Estimator | Path, *, latents: bool = False
) -> Timing:
    """Segments a video file or a folder of frames.

    Flow is estimated, segmented and written as it goes, in memory that does not grow with the
    video (`Segmenter.stream`). Into ``out`` go, once all is done:

    - ``masks/NAME.png``, indexed pictures: the label of each pixel, a label being the same segment
      in all frames.
    - ``overlay.mp4``: the segments in colour over the frames.
    - ``theta.npz``: the motion models of the segments in each of the N windows that the network
      saw. ``theta`` ``[N, K, P]``, with coordinates from -1 to 1 over the window (`MotionModel`;
      P is its ``num_parameters(length)``); ``start`` ``[N]``, the number of the window's first
      frame; ``length`` ``[N]``, its frames, as many in all windows.

    The last frame has no flow to a next one. Its masks are those of the frame before.

    Args:
        path: the video.
        segmenter: what segments it.
        out: folder to write to.
        flow: what estimates the flow, or flow that is there already (``.npz`` or a folder of
            ``.flo``, one field fewer than frames, or as many), from each frame to the next.
        latents: also writes what the network takes the segments for, ``latents.npz`` and
            ``latents.png`` (`write_latents`); for that the video is seen in one go, in memory that
            grows with it.

    Returns:
        How long the stages took.

    Raises:
        InputError: on an unreadable video, or flow that does not belong to it.
    """
    video = open_video(path)
    _check_writable(out)
    size = segmenter.working_size(video.height, video.width)
    total = None if video.num_frames is None else video.num_frames - 1
    start, compiled = time.perf_counter(), segmenter.compilation_seconds

    source = _Timed(_flow(video, flow, size))
    fields, again = itertools.tee(tqdm(source, desc="flow", unit="frame", total=total))
    masks = tqdm(segmenter.stream(fields), desc="masks", unit="frame", total=total)
    frames = zip(video.frame_names(), video, strict=False)
    with _Pictures(out, video.fps) as pictures:
        written = _written(zip(again, masks, strict=False), frames, pictures)
        kept = []
        if latents:
            written = _kept(written, kept)
        motions = segmenter.stream_motions(written)
        start_frames, lengths, theta = zip(*motions, strict=True)
        with atomic_path(out / "theta.npz") as temporary:
            np.savez(temporary, theta=theta, start=start_frames, length=lengths)
        if latents:
            fields, segments = (np.stack(parts) for parts in zip(*kept, strict=True))
            embedding = np.asarray(segmenter.describe(fields).embedding)
            write_latents(out, fields, segments, embedding)

    seconds, compilation = time.perf_counter() - start, segmenter.compilation_seconds - compiled
    each = 1000 / max(pictures.count, 1)
    return Timing(
        flow=source.seconds * each,
        masks=(seconds - source.seconds - pictures.seconds - compilation) * each,
        writing=pictures.seconds * each,
        compilation=compilation,
    )


def _flow(video: Video, flow: Estimator | Path, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Flow fields at the working size."""
    if not isinstance(flow, Path):
        for field in estimate_sequence(video, flow):
            yield resize_flow(field, size)
        return
    _check_direction(flow)
    # A folder is read as it goes; the files of an archive cannot be.
    fields = flo_files(flow) if flow.is_dir() else read_flow_sequence(flow)
    expected = video.num_frames
    if expected is not None and len(fields) not in (expected - 1, expected):
        raise InputError(
            f"{flow}: {len(fields)} flow fields for the {expected} frames of {video.path}; "
            f"expected {expected - 1}"
        )
    first = None
    for item in fields:
        field = read_flow(item) if isinstance(item, Path) else item
        first = first or field.shape
        if field.shape != first:
            raise InputError(f"{item}: flow of shape {field.shape}, expected {first} as the first")
        yield resize_flow(field, size)


def _check_direction(flow: Path) -> None:
    """Refuses flow that goes elsewhere than to the next frame, where that is noted beside it."""
    origin = read_flow_origin(flow)
    if origin is not None and (origin.backward or origin.gap != 1):
        raise InputError(f"{flow}: {origin} (flow.json), expected forward flow with a gap of 1")


class _Timed:
    """An iterator, and the seconds that its items took to come."""

    def __init__(self, items: Iterator[np.ndarray]) -> None:
        self._items, self.seconds = items, 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        start = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self.seconds += time.perf_counter() - start


class _Pictures:
    """Writes the masks and the overlay, which appear together when the `with` block ends well."""

    def __init__(self, out: Path, fps: float | None) -> None:
        self._out, self._fps = out, fps
        self.count, self.seconds = 0, 0.0

    def __enter__(self) -> "_Pictures":
        with ExitStack() as stack:
            self._folder = stack.enter_context(_filled_at_the_end(self._out / "masks"))
            self._video = stack.enter_context(VideoWriter(self._out / "overlay.mp4", self._fps))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error_details) -> None:
        self._stack.__exit__(*error_details)

    def write(self, name: str, frame: np.ndarray, masks: np.ndarray) -> None:
        """Adds a frame, uint8 ``[H, W, 3]``, with its masks ``[h, w, K]``."""
        start = time.perf_counter()
        labels = resize_masks(masks, frame.shape[:2]).argmax(axis=-1).astype(np.uint8)
        write_labels(self._folder / f"{name}.png", labels)
        self._video.write(overlay(frame, labels))
        self.count += 1
        self.seconds += time.perf_counter() - start


def _written(
    fields: Iterable[tuple[np.ndarray, np.ndarray]],
    frames: Iterator[tuple[str, np.ndarray]],
    pictures: _Pictures,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Passes on flow and masks of each frame once its pictures are written."""
    masks = None
    for (flow, masks), (name, frame) in zip(fields, frames, strict=False):
        pictures.write(name, frame, masks)
        yield flow, masks
    if masks is not None:
        for name, frame in frames:
            pictures.write(name, frame, masks)


def _kept(
    frames: Iterable[tuple[np.ndarray, np.ndarray]], kept: list[tuple[np.ndarray, np.ndarray]]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Passes on flow and masks of each frame, and keeps both."""
    for flow, masks in frames:
        kept.append((flow, masks))
        yield flow, masks


@contextmanager
def _filled_at_the_end(folder: Path) -> Iterator[Path]:
    """A temporary folder beside ``folder``, whose files go there when the block ends well."""
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        temporary.mkdir()
        yield temporary
        folder.mkdir(exist_ok=True)
        for file in temporary.iterdir():
            os.replace(file, folder / file.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror})") from error
