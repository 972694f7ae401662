"""The stages of a video: flow, masks and pictures, beside each other and a few frames apart."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from jaxmotion.answer.background import Timed, beside, in_background
from jaxmotion.answer.page import Gatherer
from jaxmotion.answer.pictures import Pictures
from jaxmotion.answer.timing import Stopwatch
from jaxmotion.data.transforms import resize_flow_and_valid
from jaxmotion.data.video import Video
from jaxmotion.inference.given_flow import GivenFlow
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.inference.stream import Attended
from jaxmotion.optical_flow.arrays import known_flow
from jaxmotion.optical_flow.estimators import Estimator, estimate_sequence
from jaxmotion.optical_flow.refinement import Refined, concurrent_calls
from jaxmotion.saliency import ResidualMeter

# Frames that one stage may be ahead of the next.
_AHEAD = 4

Field = tuple[np.ndarray, np.ndarray]
"""Flow `[h, w, 2]`, and where it is known, `[h, w]`."""
Segmented = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Flow `[h, w, 2]`, masks `[h, w, K]`, and where the flow is known, `[h, w]`."""
Sink = Callable[[np.ndarray, np.ndarray, np.ndarray], None]
"""Takes flow, masks and valid of a frame."""


class Seen(NamedTuple):
    """What is known of a video once it has gone through all stages.

    Attributes:
        names: names of the frames.
        residuals: how far each segment is from the motion of the rest (`ResidualMeter`).
        motions: arrays of ``theta.npz`` by name, but for ``moving``.
        flow_seconds: seconds of estimating or reading flow.
        masks_seconds: seconds of the network and of linking its windows.
    """

    names: Sequence[str]
    residuals: Any
    motions: dict[str, Any]
    flow_seconds: float
    masks_seconds: float


def run_stages(
    video: Video,
    segmenter: Segmenter,
    fields: Iterable[Field],
    pictures: Pictures,
    gatherer: Gatherer,
    sinks: Sequence[Sink],
    writing: Stopwatch,
) -> Seen:
    """Lets a video go through flow, masks and pictures, in memory that does not grow with it.

    Args:
        video: the video.
        segmenter: trained network that segments the flow.
        fields: flow from each frame to the next, at the working size (`open_fields`).
        pictures: writer of the pictures of each frame.
        gatherer: collector of what the page shows.
        sinks: functions that take each frame too, once its pictures are written.
        writing: stopwatch of the writing.

    Returns:
        What is known at the end of the video.
    """
    total = None if video.num_frames is None else video.num_frames - 1
    meter = ResidualMeter(segmenter.task.network.num_masks)
    estimated, passed = Timed(fields), deque()
    with (
        # Bars end here, so that nothing is drawn after an error's line.
        tqdm(desc="flow", unit="frame", total=total) as flow_bar,
        tqdm(desc="masks", unit="frame", total=total) as masks_bar,
        beside(lambda: segmenter.prepare(total, video.height, video.width) if total else None),
        in_background(_counted(estimated, flow_bar), _AHEAD) as source,
        pictures,
    ):
        waited = Timed(source)
        segmented = Timed(segmenter.stream_attended(_remembered(waited, passed)))
        with in_background(_counted(segmented, masks_bar), _AHEAD) as masks:
            frames = zip(video.frame_names(), video, strict=False)
            written = _written(masks, passed, frames, pictures, gatherer, writing)
            written = _passed_on(written, sinks)
            with in_background(written, _AHEAD) as looked_at:
                motions = segmenter.stream_motions(_passed_on(looked_at, [_measure(meter)]))
                start, length, theta = zip(*motions, strict=True)
        residuals = meter.residuals()
    motions = {"theta": theta, "start": start, "length": length}
    masks_seconds = segmented.seconds - waited.seconds
    return Seen(pictures.names, residuals, motions, estimated.seconds, masks_seconds)


def open_fields(
    video: Video, flow: Estimator | Path, size: tuple[int, int]
) -> tuple[Iterator[Field], Iterable[Path]]:
    """Opens the flow of a video, at the working size.

    Args:
        video: the video.
        flow: estimator of the flow, or flow that is there already.
        size: `(height, width)` of the fields.

    Returns:
        The fields, which come as they are estimated or read, and the files that they are read from.
    """
    if isinstance(flow, Path):
        given = GivenFlow(flow, video)
        return _at_size(size, given), given.files
    estimator = flow.at(size) if isinstance(flow, Refined) else flow
    return _at_size(size, _estimated(video, estimator)), ()


def _estimated(video: Video, estimator: Estimator) -> Iterator[Field]:
    fields = estimate_sequence(video, estimator, concurrent_calls(estimator))
    for index, flow in enumerate(fields):
        yield known_flow(f"flow field {index}", flow)


def _at_size(size: tuple[int, int], fields: Iterable[Field]) -> Iterator[Field]:
    return (resize_flow_and_valid(flow, valid, size) for flow, valid in fields)


def _counted(items: Iterable[Any], bar: tqdm) -> Iterator[Any]:
    for item in items:
        bar.update()
        yield item


def _remembered(fields: Iterable[Field], passed: deque[Field]) -> Iterator[Field]:
    """Passes on what comes, and leaves it for another one too."""
    for field in fields:
        passed.append(field)
        yield field


def _written(
    masks: Iterable[Attended],
    fields: deque[Field],
    frames: Iterator[tuple[str, np.ndarray]],
    pictures: Pictures,
    gatherer: Gatherer,
    writing: Stopwatch,
) -> Iterator[Segmented]:
    """Passes on flow, masks and valid of each frame once its pictures are written."""
    segments = None
    for (segments, attention), (name, frame) in zip(masks, frames, strict=False):
        flow, valid = fields.popleft()
        with writing:
            labels = pictures.write(name, frame, segments)
            gatherer.add(frame, labels, flow, segments, valid, attention)
        yield flow, segments, valid
    if segments is not None:
        for name, frame in frames:
            with writing:
                gatherer.add_last(frame, pictures.write(name, frame, segments))


def _passed_on(frames: Iterable[Segmented], sinks: Sequence[Sink]) -> Iterator[Segmented]:
    """Passes on flow, masks and valid of each frame once every sink has them."""
    for frame in frames:
        for sink in sinks:
            sink(*frame)
        yield frame


def _measure(meter: ResidualMeter) -> Sink:
    return lambda flow, masks, valid: meter.add(masks.argmax(axis=-1), flow, valid)
