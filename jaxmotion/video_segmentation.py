"""A user's own video, end to end: frames → flow → masks → pictures, overlay and parameters."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from jaxmotion.data.pictures import overlay, write_labels
from jaxmotion.data.transforms import resize_flow, resize_masks
from jaxmotion.data.video import Video, VideoWriter, open_video
from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path
from jaxmotion.optical_flow.estimators import Estimator, estimate_sequence
from jaxmotion.optical_flow.formats import read_flow_sequence
from jaxmotion.segmenter import Segmenter


@dataclass(frozen=True)
class Timing:
    """Milliseconds per frame of the stages of `segment_video`, and seconds before the first."""

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


def segment_video(path: Path, segmenter: Segmenter, out: Path, flow: Estimator | Path) -> Timing:
    """Segments a video file or a folder of frames.

    Writes ``masks/NAME.png`` (indexed, the label of each pixel), ``overlay.mp4`` and
    ``theta.npz``: ``theta`` ``[T, K, P]``, the motion model of each segment of each frame, in
    coordinates from -1 to 1 (`MotionModel`).

    The last frame has no flow to a next one. Its masks are those of the frame before.

    Args:
        path: the video.
        segmenter: what segments it.
        out: folder to write to.
        flow: what estimates the flow, or flow that is there already (``.npz`` or a folder of
            ``.flo``, one field fewer than frames, or as many).

    Returns:
        How long the stages took.

    Raises:
        InputError: on an unreadable video, or flow that does not belong to it.
    """
    video = open_video(path)
    _check_writable(out)
    size = segmenter.working_size(video.height, video.width)

    start = time.perf_counter()
    _warm_up(segmenter, size)
    after_compilation = time.perf_counter()
    fields = np.stack(list(tqdm(_flow(video, flow, size), desc="flow", unit="frame")))
    after_flow = time.perf_counter()
    masks = segmenter(fields)
    theta = segmenter.motions(fields, masks)
    after_masks = time.perf_counter()

    with atomic_path(out / "theta.npz") as temporary:
        np.savez(temporary, theta=theta)
    count = 0
    with VideoWriter(out / "overlay.mp4", fps=video.fps) as writer:
        frames = tqdm(zip(video.frame_names(), video, strict=False), desc="overlay", unit="frame")
        for count, (name, frame) in enumerate(frames, start=1):
            full = resize_masks(masks[min(count, len(masks)) - 1], frame.shape[:2])
            labels = full.argmax(axis=-1).astype(np.uint8)
            write_labels(out / "masks" / f"{name}.png", labels)
            writer.write(overlay(frame, labels))
    end = time.perf_counter()
    each = 1000 / max(count, 1)
    return Timing(
        flow=(after_flow - after_compilation) * each,
        masks=(after_masks - after_flow) * each,
        writing=(end - after_masks) * each,
        compilation=after_compilation - start,
    )


def _flow(video: Video, flow: Estimator | Path, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Flow fields at the working size, so that a long video's fit in memory."""
    if not isinstance(flow, Path):
        for field in estimate_sequence(video, flow):
            yield resize_flow(field, size)
        return
    fields = read_flow_sequence(flow)
    expected = video.num_frames
    if expected is not None and len(fields) not in (expected - 1, expected):
        raise InputError(
            f"{flow}: {len(fields)} flow fields for the {expected} frames of {video.path}; "
            f"expected {expected - 1}"
        )
    for field in fields:
        yield resize_flow(field, size)


def _warm_up(segmenter: Segmenter, size: tuple[int, int]) -> None:
    """Compiles, so that the time per frame is that of a long video."""
    still = np.zeros((1, *size, 2), np.float32)
    segmenter.motions(still, segmenter(still))


def _check_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror})") from error
