"""A user's own video, end to end: frames → flow → masks → what moves, a page, and exports."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from jaxmotion.answer.background import Timed, beside, in_background
from jaxmotion.answer.earlier import of_an_earlier_version
from jaxmotion.answer.exports import EXPORTED, EXPORTS, Subject
from jaxmotion.answer.page import Gatherer, write_page
from jaxmotion.answer.pictures import Kept, Pictures, salience, write_answer
from jaxmotion.answer.timing import Stopwatch, Timing
from jaxmotion.data.transforms import resize_flow_and_valid
from jaxmotion.data.video import Video, open_video
from jaxmotion.errors import InputError
from jaxmotion.inference.given_flow import GivenFlow
from jaxmotion.inference.latents import write_latents
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.optical_flow.arrays import known_flow
from jaxmotion.optical_flow.estimators import Estimator, estimate_sequence
from jaxmotion.optical_flow.refinement import Refined, concurrent_calls
from jaxmotion.output_folder import Results
from jaxmotion.saliency import ResidualMeter, salient

RESULTS = (
    *("index.html", "masks", "moving", "probabilities", "saliency", "overlay.mp4", "theta.npz"),
    *("latents.npz", "latents.png", *EXPORTED),
)

# Frames that one stage may be ahead of the next.
_AHEAD = 4


@dataclass(frozen=True)
class Answer:
    """The optional outputs, beside masks, what moves, overlay, motion models and the page.

    Attributes:
        probabilities: ``probabilities/NAME.png``, the probability of each pixel to move, 0 to 255.
        saliency: ``saliency/NAME.png``, how far what moves is from the motion of the rest
            (`jaxmotion.saliency.saliency_map`), 0 to 255.
        latents: the latent motion of the segments, ``latents.npz`` and ``latents.png``
            (`write_latents`); for that the video is seen in one go, in memory that grows with it.
        exports: names of the exports to write, keys of `EXPORTS`.
        dilate: pixels by which the masks of ``colmap`` and ``nerfstudio`` are widened.
    """

    probabilities: bool = False
    saliency: bool = False
    latents: bool = False
    exports: tuple[str, ...] = ()
    dilate: int = 0

    def __post_init__(self) -> None:
        for name in self.exports:
            if name not in EXPORTS:
                raise InputError(f"export {name!r}: unknown, expected one of {', '.join(EXPORTS)}")
        if self.dilate < 0:
            raise InputError(f"dilate {self.dilate}: expected 0 or more pixels")
        if self.dilate and not {"colmap", "nerfstudio"} & {*self.exports}:
            raise InputError(
                f"dilate {self.dilate}: widens the masks of the exports colmap and nerfstudio, "
                "and none of them is asked for"
            )


class Report(NamedTuple):
    """The result of `segment_video`, for the one who called it.

    Attributes:
        moving: bool `[K]`, which segments move on their own.
        written: names in the folder, those to look at first.
        timing: seconds that each stage took.
    """

    moving: np.ndarray
    written: tuple[str, ...]
    timing: Timing

    def __str__(self) -> str:
        segments = np.flatnonzero(self.moving)
        names = ", ".join(map(str, segments))
        found = "nothing moves on its own"
        if len(segments):
            found = f"segment{'s' * (len(segments) > 1)} {names} moving"
        return f"{found} ({self.timing})"


def segment_video(
    path: Path,
    segmenter: Segmenter,
    out: Path,
    flow: Estimator | Path,
    answer: Answer = Answer(),
    settings: dict[str, str] | None = None,
) -> Report:
    """Tells what moves in a video file or a folder of frames.

    Flow is estimated, segmented and written as it goes, in stages that run beside each other and in
    memory that does not grow with the video (`Segmenter.stream`). Into ``out`` go, all at once when
    all is done and in the place of what an earlier run left there:

    - ``index.html``: a page to look at it all, which needs nothing but itself (`write_page`).
    - ``moving/NAME.png``, 255 where something moves on its own and 0 elsewhere: the union of the
      segments that are salient over the whole video (`jaxmotion.saliency`).
    - ``masks/NAME.png``, indexed pictures: the label of each pixel, a label being the same segment
      in all frames.
    - ``overlay.mp4``: the segments in color over the frames.
    - ``theta.npz``: the motion models of the segments in each of the N windows that the network
      saw. ``theta`` `[N, K, P]`, with coordinates from -1 to 1 over the window (`MotionModel`;
      P is its ``num_parameters(length)``); ``start`` `[N]`, the number of the window's first
      frame; ``length`` `[N]`, its frames, as many in all windows; ``moving`` `[K]`, the
      segments that ``moving`` is made of.
    - what `Answer` asks for.

    The last frame has no flow to a next one. Its masks are those of the frame before.

    Args:
        path: video file, or folder of frames.
        segmenter: trained network that segments the flow.
        out: folder to write to.
        flow: estimator of the flow, or flow that is there already (`GivenFlow`), from each frame to
            the next. What is unknown in it counts nowhere.
        answer: optional outputs, beside those above.
        settings: settings of the run that the page lists, by name.

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
    results = Results(out, "segment", RESULTS, video.path.name, of_an_earlier_version(out))
    inputs = [video.path, *video.files, *(given.files if given else ())]
    total = None if video.num_frames is None else video.num_frames - 1
    whole, writing = Stopwatch(), Stopwatch()
    compiled = segmenter.compilation_seconds
    num_masks = segmenter.task.network.num_masks
    meter, gatherer = ResidualMeter(num_masks), Gatherer(num_masks)

    with (
        results.claimed(inputs),
        results.replaced() as new,
        Kept(new) as kept,
        # Bars end here, so that nothing is drawn after an error's line.
        tqdm(desc="flow", unit="frame", total=total) as flow_bar,
        tqdm(desc="masks", unit="frame", total=total) as masks_bar,
        whole,
        beside(lambda: segmenter.prepare(total, *size) if total else None),
    ):
        estimated = Timed(_at_size(size, fields))
        with (
            in_background(_counted(estimated, flow_bar), _AHEAD) as source,
            Pictures(new, video) as pictures,
        ):
            waited, passed = Timed(source), deque()
            segmented = Timed(segmenter.stream(_remembered(waited, passed)))
            with in_background(_counted(segmented, masks_bar), _AHEAD) as masks:
                frames = zip(video.frame_names(), video, strict=False)
                written = _written(masks, passed, frames, pictures, gatherer, writing)
                if answer.probabilities or answer.saliency:
                    written = _kept(written, kept.add)
                held: list[Segmented] = []
                if answer.latents:
                    written = _kept(written, lambda *frame: held.append(frame))
                with in_background(written, _AHEAD) as looked_at:
                    motions = segmenter.stream_motions(_measured(looked_at, meter))
                    start_frames, lengths, theta = zip(*motions, strict=True)
            residuals = meter.residuals()
            moving = salient(residuals)
        np.savez(new / "theta.npz", theta=theta, start=start_frames, length=lengths, moving=moving)
        if answer.latents:
            flows, segments, valid = (np.stack(arrays) for arrays in zip(*held, strict=True))
            embedding = np.asarray(segmenter.describe(flows, valid).embedding)
            write_latents(new, flows, segments, embedding, valid)
        with writing, ExitStack() as stack:
            subject = Subject(video, tuple(map(int, np.flatnonzero(moving))), answer.dilate)
            write_answer(
                new,
                pictures.names,
                video,
                moving,
                [stack.enter_context(EXPORTS[name](new, subject)) for name in answer.exports],
                (masks[..., moving].sum(axis=-1) for _, masks, _ in kept)
                if answer.probabilities
                else (),
                salience(kept, moving) if answer.saliency else (),
            )
        with writing:
            write_page(new, video, gatherer, residuals, moving, settings or {})
        written_names = tuple(name for name in RESULTS if (new / name).exists())

    timing = Timing(
        frames=len(pictures.names),
        total=whole.seconds,
        flow=estimated.seconds,
        masks=segmented.seconds - waited.seconds,
        writing=writing.seconds,
        compilation=segmenter.compilation_seconds - compiled,
    )
    return Report(moving, written_names, timing)


Field = tuple[np.ndarray, np.ndarray]
"""Flow `[h, w, 2]`, and where it is known, `[h, w]`."""
Segmented = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Flow `[h, w, 2]`, masks `[h, w, K]`, and where the flow is known, `[h, w]`."""


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
    masks: Iterable[np.ndarray],
    fields: deque[Field],
    frames: Iterator[tuple[str, np.ndarray]],
    pictures: Pictures,
    gatherer: Gatherer,
    writing: Stopwatch,
) -> Iterator[Segmented]:
    """Passes on flow, masks and valid of each frame once its pictures are written."""
    segments = None
    for segments, (name, frame) in zip(masks, frames, strict=False):
        flow, valid = fields.popleft()
        with writing:
            labels = pictures.write(name, frame, segments)
            gatherer.add(frame, labels, flow, segments, valid)
        yield flow, segments, valid
    if segments is not None:
        for name, frame in frames:
            with writing:
                gatherer.add_last(frame, pictures.write(name, frame, segments))


def _measured(frames: Iterable[Segmented], meter: ResidualMeter) -> Iterator[Segmented]:
    """Passes on flow, masks and valid of each frame once its segments are measured."""
    for flow, masks, valid in frames:
        meter.add(masks.argmax(axis=-1), flow, valid)
        yield flow, masks, valid


def _kept(frames: Iterable[Segmented], keep: Callable[..., None]) -> Iterator[Segmented]:
    """Passes on flow, masks and valid of each frame, and keeps them."""
    for frame in frames:
        keep(*frame)
        yield frame
