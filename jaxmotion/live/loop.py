"""Frames to flow, to segments, to what moves: by what has been seen, and as fast as it goes."""

import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np

from jaxmotion.answer.timing import Stopwatch
from jaxmotion.data.transforms import likeliest_labels, resize_flow_and_valid
from jaxmotion.inference.causal import CausalSegmenter
from jaxmotion.live.outputs import Output
from jaxmotion.live.picture import draw
from jaxmotion.live.source import Shot, Source
from jaxmotion.optical_flow.arrays import known_flow
from jaxmotion.optical_flow.estimators import Estimator
from jaxmotion.optical_flow.refinement import Refined
from jaxmotion.saliency import ResidualMeter, salient

MEMORY = 50.0
"""Frames after which what was seen counts 1/e, where it is told what moves."""

FLOW_PIXELS = 240 * 427
"""Pixels that frames with more are reduced to about, before refined DIS matches them."""

_RECENT = 20  # frames that the drawn figures are of
_STAGES = ("waiting", "flow", "masks", "choice", "picture")
_T = TypeVar("_T")


class LiveReport(NamedTuple):
    """How it went.

    Attributes:
        frames: number of frames with masks.
        seconds: seconds from the first frame to the last picture.
        latencies: seconds from each frame to its picture.
        dropped: frames of a camera that came and were not taken.
        stages: seconds by stage.
    """

    frames: int
    seconds: float
    latencies: Sequence[float]
    dropped: int
    stages: dict[str, float]

    def __str__(self) -> str:
        if not self.frames:
            return "no frame with a next one: nothing was segmented"
        middle, high = 1000 * np.percentile(self.latencies, [50, 95])
        each = ", ".join(f"{n} {1000 * s / self.frames:.0f}" for n, s in self.stages.items())
        dropped = f", {self.dropped} more dropped" if self.dropped else ""
        return (
            f"{self.frames} frames in {self.seconds:.1f} s, {self.frames / self.seconds:.1f} "
            f"frames/s{dropped}; latency {middle:.0f} ms (median), {high:.0f} ms (95 % below); "
            f"ms/frame: {each}"
        )


class Live:
    """The way of a frame: flow, segments, what moves.

    Attributes:
        stages: stopwatches by stage.
    """

    def __init__(
        self,
        segmenter: CausalSegmenter,
        estimator: Estimator,
        size: tuple[int, int],
        flow_pixels: int = FLOW_PIXELS,
    ) -> None:
        """Puts both together.

        Args:
            segmenter: trained network over the frames so far.
            estimator: estimator of the flow.
            size: `(height, width)` of the frames.
            flow_pixels: number of pixels that frames with more are reduced to about, where the
                estimator is `Refined`.
        """
        self._segmenter, self._size = segmenter, size
        self._small = segmenter.segmenter.working_size(*size)
        if isinstance(estimator, Refined):
            estimator = replace(estimator, size=self._small, matched=flow_pixels)
        self._estimator = estimator
        self.stages = {name: Stopwatch() for name in _STAGES}

    def __call__(self, shots: Iterable[Shot]) -> Iterator[tuple[Shot, np.ndarray]]:
        """Tells what moves.

        Args:
            shots: frames in the order of time.

        Yields:
            Each frame but the last, once the next one is there, and where something moves on its
            own in it, bool `[H, W]`, by what has been seen so far.
        """
        passed: deque[tuple[Shot, np.ndarray, np.ndarray]] = deque()
        segmenter = self._segmenter.segmenter
        num_masks = segmenter.task.network.num_masks
        meter = ResidualMeter(num_masks, MEMORY)
        masks = _timed(self._segmenter(self._fields(shots, passed)), self.stages["masks"])
        for segments in masks:
            shot, flow, valid = passed.popleft()
            with self.stages["choice"]:
                meter.add(segments.argmax(axis=-1), flow, valid)
                moving = salient(meter.residuals())
                if segmenter.select == "nonzero":  # the network itself was taught what moves
                    moving = np.arange(num_masks) > 0
                there = moving[likeliest_labels(segments, shot.frame.shape[:2])]
            yield shot, there

    def prepare(self) -> None:
        """Compiles all that is needed."""
        blank = Shot(np.zeros((*self._size, 3), np.uint8), time.perf_counter())
        deque(self([blank, blank]), maxlen=0)
        for watch in self.stages.values():
            watch.seconds = 0.0

    def _fields(
        self, shots: Iterable[Shot], passed: deque[tuple[Shot, np.ndarray, np.ndarray]]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields flow and valid from each frame to the next, and leaves them for another one."""
        before: Shot | None = None
        for shot in _timed(iter(shots), self.stages["waiting"]):
            if before is not None:
                with self.stages["flow"]:
                    flow = self._estimator(before.frame, shot.frame)
                    flow, valid = known_flow("flow", flow)
                    flow, valid = resize_flow_and_valid(flow, valid, self._small)
                passed.append((before, flow, valid))
                yield flow, valid
            before = shot


def watch(
    source: Source,
    segmenter: CausalSegmenter,
    estimator: Estimator,
    outputs: Sequence[Output],
    num_frames: int | None = None,
    flow_pixels: int = FLOW_PIXELS,
) -> LiveReport:
    """Shows what moves in a source until it ends, or the user has had enough.

    Args:
        source: frames.
        segmenter: trained network over the frames so far.
        estimator: estimator of the flow.
        outputs: where the pictures go.
        num_frames: number of frames after which to stop; None for no end.
        flow_pixels: number of pixels that frames with more are reduced to about, where the
            estimator is `Refined`.

    Returns:
        How it went. An interrupt at the keyboard ends it as well as any other end.
    """
    live = Live(segmenter, estimator, source.size, flow_pixels)
    live.prepare()
    latencies: list[float] = []
    recent: deque[float] = deque(maxlen=_RECENT + 1)
    with ExitStack() as stack:
        stopped = stack.enter_context(_interrupt())
        for output in outputs:
            stack.enter_context(output)
        stack.enter_context(source)
        start = time.perf_counter()
        recent.append(start)
        for shot, moving in islice(live(source.shots(stopped)), num_frames):
            with live.stages["picture"]:
                picture = draw(shot.frame, moving, _words(recent, latencies))
                wanted = [output.show(picture) for output in outputs]
            now = time.perf_counter()
            recent.append(now)
            latencies.append(now - shot.arrived)
            if stopped.is_set() or not all(wanted):
                break
        seconds = time.perf_counter() - start
    stages = {name: watch.seconds for name, watch in live.stages.items()}
    stages["masks"] -= stages["waiting"] + stages["flow"]  # for which they wait
    return LiveReport(len(latencies), seconds, latencies, source.dropped, stages)


def _words(recent: deque[float], latencies: Sequence[float]) -> str:
    """The line below the picture, of the frames before it."""
    if not latencies:
        return "what moves: right"
    rate = (len(recent) - 1) / max(recent[-1] - recent[0], 1e-9)
    latency = 1000 * float(np.median(latencies[-_RECENT:]))
    return f"what moves: right    {rate:.1f} frames/s    latency {latency:.0f} ms"


def _timed(items: Iterator[_T], stopwatch: Stopwatch) -> Iterator[_T]:
    while True:
        with stopwatch:
            item = next(items, None)
        if item is None:
            return
        yield item


@contextmanager
def _interrupt() -> Iterator[threading.Event]:
    """Turns the first interrupt at the keyboard into an event; a second one acts as ever."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(number: int, frame: object) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, earlier)

    earlier = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, earlier)
