"""A user's own video, end to end: frames → flow → masks → pictures, overlay and parameters."""

import itertools
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from jaxmotion.data.pictures import overlay, write_image, write_labels
from jaxmotion.data.transforms import likeliest_labels, resize_flow_and_valid
from jaxmotion.data.video import Video, VideoWriter, open_video
from jaxmotion.inference.given_flow import GivenFlow
from jaxmotion.inference.latents import write_latents
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.optical_flow.arrays import known_flow
from jaxmotion.optical_flow.colors import label_palette
from jaxmotion.optical_flow.estimators import Estimator, estimate_sequence
from jaxmotion.optical_flow.refinement import Refined
from jaxmotion.output_folder import Results
from jaxmotion.saliency import ResidualMeter, salient

RESULTS = ("masks", "moving", "overlay.mp4", "theta.npz", "latents.npz", "latents.png")


class Report(NamedTuple):
    """What `segment_video` has to say.

    Attributes:
        moving: bool ``[K]``, which segments move on their own.
        timing: how long the stages took.
    """

    moving: np.ndarray
    timing: "Timing"

    def __str__(self) -> str:
        segments = np.flatnonzero(self.moving)
        names = ", ".join(map(str, segments))
        found = "nothing moves on its own"
        if len(segments):
            found = f"segment{'s' * (len(segments) > 1)} {names} moving"
        return f"{found} ({self.timing})"


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
) -> Report:
    """Segments a video file or a folder of frames.

    Flow is estimated, segmented and written as it goes, in memory that does not grow with the
    video (`Segmenter.stream`). Into ``out`` go, all at once when all is done and in the place of
    what an earlier run left there:

    - ``masks/NAME.png``, indexed pictures: the label of each pixel, a label being the same segment
      in all frames.
    - ``moving/NAME.png``, 255 where something moves on its own and 0 elsewhere: the union of the
      segments that are salient over the whole video (`jaxmotion.saliency`).
    - ``overlay.mp4``: the segments in colour over the frames.
    - ``theta.npz``: the motion models of the segments in each of the N windows that the network
      saw. ``theta`` ``[N, K, P]``, with coordinates from -1 to 1 over the window (`MotionModel`;
      P is its ``num_parameters(length)``); ``start`` ``[N]``, the number of the window's first
      frame; ``length`` ``[N]``, its frames, as many in all windows; ``moving`` ``[K]``, the
      segments that ``moving`` is made of.

    The last frame has no flow to a next one. Its masks are those of the frame before.

    Args:
        path: the video.
        segmenter: what segments it.
        out: folder to write to.
        flow: what estimates the flow, or flow that is there already (see `GivenFlow`), from each
            frame to the next. What is unknown in it counts nowhere.
        latents: also writes what the network takes the segments for, ``latents.npz`` and
            ``latents.png`` (`write_latents`); for that the video is seen in one go, in memory that
            grows with it.

    Returns:
        Which segments move on their own, and how long the stages took.

    Raises:
        InputError: on an unreadable video, flow that does not belong to it, or a folder whose files
            are somebody else's (`Results.claimed`). Nothing has changed there then.
    """
    video = open_video(path)
    size = segmenter.working_size(video.height, video.width)
    if isinstance(flow, Path):
        fields = given = GivenFlow(flow, video)
    else:
        estimator = flow.at(size) if isinstance(flow, Refined) else flow
        fields, given = _estimated(video, estimator), None
    results = Results(out, "segment", RESULTS, video.path.name, _of_an_earlier_version(out))
    inputs = [video.path, *video.files, *(given.files if given else ())]
    total = None if video.num_frames is None else video.num_frames - 1
    start, compiled = time.perf_counter(), segmenter.compilation_seconds

    source = _Timed(_at_size(size, fields))
    frames = zip(video.frame_names(), video, strict=False)
    with (
        results.claimed(inputs),
        results.replaced() as new,
        # Bars end here, so that nothing is drawn after an error's line.
        tqdm(source, desc="flow", unit="frame", total=total) as bar,
        _Pictures(new, video) as pictures,
    ):
        first, again = itertools.tee(bar)
        with tqdm(segmenter.stream(first), desc="masks", unit="frame", total=total) as masks:
            written = _written(zip(masks, again, strict=False), frames, pictures)
            meter = ResidualMeter(segmenter.config.network.num_masks)
            written = _measured(written, meter)
            kept = []
            if latents:
                written = _kept(written, kept)
            start_frames, lengths, theta = zip(*segmenter.stream_motions(written), strict=True)
        moving = salient(meter.residuals())
        pictures.write_moving(moving)
        np.savez(new / "theta.npz", theta=theta, start=start_frames, length=lengths, moving=moving)
        if latents:
            flows, segments, valid = (np.stack(arrays) for arrays in zip(*kept, strict=True))
            embedding = np.asarray(segmenter.describe(flows, valid).embedding)
            write_latents(new, flows, segments, embedding, valid)

    seconds, compilation = time.perf_counter() - start, segmenter.compilation_seconds - compiled
    each = 1000 / max(pictures.count, 1)
    timing = Timing(
        flow=source.seconds * each,
        masks=(seconds - source.seconds - pictures.seconds - compilation) * each,
        writing=pictures.seconds * each,
        compilation=compilation,
    )
    return Report(moving, timing)


Field = tuple[np.ndarray, np.ndarray]
"""Flow ``[h, w, 2]``, and where it is known, ``[h, w]``."""
Segmented = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Flow ``[h, w, 2]``, masks ``[h, w, K]``, and where the flow is known, ``[h, w]``."""


def _estimated(video: Video, estimator: Estimator) -> Iterator[Field]:
    for index, flow in enumerate(estimate_sequence(video, estimator)):
        yield known_flow(f"flow field {index}", flow)


def _at_size(size: tuple[int, int], fields: Iterable[Field]) -> Iterator[Field]:
    return (resize_flow_and_valid(flow, valid, size) for flow, valid in fields)


class _Timed:
    """An iterator, and the seconds that its items took to come."""

    def __init__(self, items: Iterator[Field]) -> None:
        self._items, self.seconds = items, 0.0

    def __iter__(self) -> Iterator[Field]:
        return self

    def __next__(self) -> Field:
        start = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self.seconds += time.perf_counter() - start


class _Pictures:
    """Writes the masks and the overlay into a folder."""

    def __init__(self, folder: Path, video: Video) -> None:
        self._folder, self._shown = folder, (video.fps, video.pixel_aspect)
        self.count, self.seconds = 0, 0.0

    def __enter__(self) -> "_Pictures":
        with ExitStack() as stack:
            self._video = stack.enter_context(
                VideoWriter(self._folder / "overlay.mp4", *self._shown)
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error_details) -> None:
        self._stack.__exit__(*error_details)

    def write(self, name: str, frame: np.ndarray, masks: np.ndarray) -> None:
        """Adds a frame, uint8 ``[H, W, 3]``, with its masks ``[h, w, K]``."""
        start = time.perf_counter()
        labels = likeliest_labels(masks, frame.shape[:2])
        write_labels(self._folder / "masks" / f"{name}.png", labels)
        self._video.write(overlay(frame, labels))
        self.count += 1
        self.seconds += time.perf_counter() - start

    def write_moving(self, moving: np.ndarray) -> None:
        """Adds the masks of what moves, from those of the segments that have been written.

        Args:
            moving: bool ``[K]``. It is known at the end only, when the masks are on disk.
        """
        start = time.perf_counter()
        for path in (self._folder / "masks").iterdir():
            with Image.open(path) as labels:
                there = moving[np.asarray(labels)]
            write_image(self._folder / "moving" / path.name, np.uint8(255) * there)
        self.seconds += time.perf_counter() - start


def _written(
    fields: Iterable[tuple[np.ndarray, Field]],
    frames: Iterator[tuple[str, np.ndarray]],
    pictures: _Pictures,
) -> Iterator[Segmented]:
    """Passes on flow, masks and valid of each frame once its pictures are written."""
    masks = None
    for (masks, (flow, valid)), (name, frame) in zip(fields, frames, strict=False):
        pictures.write(name, frame, masks)
        yield flow, masks, valid
    if masks is not None:
        for name, frame in frames:
            pictures.write(name, frame, masks)


def _measured(frames: Iterable[Segmented], meter: ResidualMeter) -> Iterator[Segmented]:
    """Passes on flow, masks and valid of each frame once its segments are measured."""
    for flow, masks, valid in frames:
        meter.add(masks.argmax(axis=-1), flow, valid)
        yield flow, masks, valid


def _kept(frames: Iterable[Segmented], kept: list[Segmented]) -> Iterator[Segmented]:
    """Passes on flow, masks and valid of each frame, and keeps them."""
    for frame in frames:
        kept.append(frame)
        yield frame


def _of_an_earlier_version(out: Path) -> Callable[[Path], bool]:
    """Tells the results of a version that left no mark beside them.

    They are all there, the labels have our palette, and none was touched after ``theta.npz``, which
    was written after the last of them.
    """
    theta, palette = out / "theta.npz", label_palette(256).tobytes()
    try:
        with np.load(theta, allow_pickle=False) as archive:
            is_ours = set(archive.files) == {"theta", "start", "length"}
        end = theta.stat().st_mtime_ns
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        is_ours, end = False, 0

    def is_label_picture(file: Path) -> bool:
        try:
            with Image.open(file) as image:
                return image.mode == "P" and bytes(image.getpalette() or ()) == palette
        except (OSError, SyntaxError, ValueError):
            return False

    def known(file: Path) -> bool:
        if not is_ours or not (out / "overlay.mp4").is_file() or file.is_symlink():
            return False
        if file.parent.name == "moving":  # it wrote none
            return False
        if file.parent.name == "masks":
            return file.stat().st_mtime_ns <= end and is_label_picture(file)
        return True

    return known
