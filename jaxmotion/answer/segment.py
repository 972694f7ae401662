"""A user's own video, end to end: frames → flow → masks → what moves, a page, and exports."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxmotion.answer.attention import check_gate
from jaxmotion.answer.background import Timed
from jaxmotion.answer.earlier import of_an_earlier_version
from jaxmotion.answer.events import EVENT_FILES, EventAnswer, follow_moving, write_events
from jaxmotion.answer.exports import EXPORTED, EXPORTS, Subject
from jaxmotion.answer.kept import Kept
from jaxmotion.answer.page import Gatherer, render
from jaxmotion.answer.pictures import Pictures, salience, write_answer
from jaxmotion.answer.stages import Field, Segmented, Sink, open_fields, run_stages
from jaxmotion.answer.timing import Stopwatch, Timing
from jaxmotion.data.video import Video, open_video
from jaxmotion.errors import InputError
from jaxmotion.events import Event, Following
from jaxmotion.inference.detector import FrameDetector
from jaxmotion.inference.latents import write_latents
from jaxmotion.inference.num_masks import ChoosingSegmenter
from jaxmotion.inference.presence import Presence
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.optical_flow.estimators import Estimator
from jaxmotion.output_folder import Results
from jaxmotion.saliency import salient

RESULTS = (
    *("index.html", "masks", "moving", "probabilities", "saliency", "overlay.mp4", "theta.npz"),
    *("latents.npz", "latents.png", *EXPORTED, *EVENT_FILES),
)


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
        attention: on the page, the weights that the network's gate gives to frames and regions.
        events: how to tell events, and write the files of `write_events`; None for not at all.
        sharpened: whether the outlines of ``masks`` and of all that is made of them follow the
            frames (`jaxmotion.inference.outlines.sharpen`).
    """

    probabilities: bool = False
    saliency: bool = False
    latents: bool = False
    exports: tuple[str, ...] = ()
    dilate: int = 0
    attention: bool = False
    events: EventAnswer | None = None
    sharpened: bool = True

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
        events: what happens; none where events were not asked for.
    """

    moving: np.ndarray
    written: tuple[str, ...]
    timing: Timing
    events: tuple[Event, ...] = ()

    def __str__(self) -> str:
        segments = np.flatnonzero(self.moving)
        names = ", ".join(map(str, segments))
        found = "nothing moves on its own"
        if len(segments):
            found = f"segment{'s' * (len(segments) > 1)} {names} moving"
        if self.events:
            found += f", {len(self.events)} event{'s' * (len(self.events) > 1)}"
        return f"{found} ({self.timing})"


def segment_video(
    path: Path,
    segmenter: Segmenter | ChoosingSegmenter,
    out: Path,
    flow: Estimator | Path,
    answer: Answer = Answer(),
    settings: dict[str, str] | None = None,
    detector: FrameDetector | None = None,
) -> Report:
    """Tells what moves in a video file or a folder of frames.

    Flow is estimated, segmented and written as it goes, in stages that run beside each other and in
    memory that does not grow with the video (`Segmenter.stream`). Into ``out`` go, all at once when
    all is done and in the place of what an earlier run left there:

    - ``index.html``: a page to look at it all, which needs nothing but itself (`render`).
    - ``moving/NAME.png``, 255 where something moves on its own and 0 elsewhere: the union of the
      segments that are salient over the whole video (`jaxmotion.saliency`), or the foreground of
      a network that was taught one.
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
        segmenter: trained network that segments the flow, into as many segments as it does or as
            it chooses for the video.
        out: folder to write to.
        flow: estimator of the flow, or flow that is there already (`GivenFlow`), from each frame to
            the next. What is unknown in it counts nowhere.
        answer: optional outputs, beside those above.
        settings: settings of the run that the page lists, by name.
        detector: frame classifier that tells whether anything moves at all (`Presence`); where it
            says no, no segment does, unless all that do are smaller than what it can see. The page
            shows how likely it is in each frame. None leaves that to the residuals alone.

    Returns:
        Which segments move on their own, and how long the stages took.

    Raises:
        InputError: on an unreadable video, flow that does not belong to it, weights of a network
            that has no gate, or a folder whose files are somebody else's (`Results.claimed`).
            Nothing has changed there then.
    """
    if answer.attention:
        check_gate(segmenter.task.network)
    video = open_video(path)
    size = segmenter.working_size(video.height, video.width)
    fields, flow_files = open_fields(video, flow, size)
    results = Results(out, "segment", RESULTS, video.path.name, of_an_earlier_version(out))
    whole, writing = Stopwatch(), Stopwatch()
    loaded, compiled = segmenter, segmenter.compilation_seconds
    with (
        results.claimed([video.path, *video.files, *flow_files]),
        results.replaced() as new,
        Kept(new) as kept,
        whole,
    ):
        segmenter, fields, seconds_ahead = _chosen(segmenter, fields)
        network = segmenter.task.network
        gatherer = Gatherer(network.num_masks, network.reduction if answer.attention else 0)
        keeps = answer.probabilities or answer.saliency or answer.events
        sinks: list[Sink] = [kept.add] if keeps else []
        presence = None if detector is None else Presence(detector)
        if presence is not None:
            sinks.append(lambda flow, _, valid: presence.add(flow, valid))
        held: list[Segmented] = []
        if answer.latents:
            sinks.append(lambda *frame: held.append(frame))
        pictures = Pictures(new, video, answer.sharpened)
        seen = run_stages(video, segmenter, fields, pictures, gatherer, sinks, writing)
        moving = salient(seen.residuals)
        if segmenter.select == "nonzero":  # the network itself was taught what moves
            moving = np.arange(network.num_masks) > 0
        likely = None if presence is None else presence.probabilities().tolist()
        pixels = seen.residuals.pixels
        area = float(pixels[moving].sum() / max(pixels.sum(), 1))
        if presence is not None and moving.any() and presence.denies(area):
            moving = np.zeros_like(moving)
        np.savez(new / "theta.npz", **seen.motions, moving=moving)
        if answer.latents:
            _write_latents(new, segmenter, held)
        with writing:
            _write_chosen(new, video, seen.names, moving, kept, answer)
            events, labels = list[Event](), None
            if answer.events is not None:
                moves = moving
                labels, tracks = follow_moving(
                    new, video, kept, lambda frame: moves[frame.masks.argmax(axis=-1)], Following()
                )
                events = write_events(new, video, len(seen.names), tracks, answer.events)
            found = (gatherer, seen.residuals, moving)
            page = render(video, *found, settings or {}, likely, events, labels)
            (new / "index.html").write_text(page, encoding="utf-8")
        written = tuple(name for name in RESULTS if (new / name).exists())

    flow_seconds = seconds_ahead + seen.flow_seconds
    seconds = (whole.seconds, flow_seconds, seen.masks_seconds, writing.seconds)
    compilation = loaded.compilation_seconds - compiled
    timing = Timing(len(seen.names), *seconds, compilation)
    return Report(moving, written, timing, tuple(events))


def _chosen(
    segmenter: Segmenter | ChoosingSegmenter, fields: Iterator[Field]
) -> tuple[Segmenter, Iterator[Field], float]:
    """The segmenter, all fields, and the seconds that those took that the choice of K needed."""
    if isinstance(segmenter, Segmenter):
        return segmenter, fields, 0.0
    timed = Timed(fields)
    chosen, fields = segmenter.choose_for_stream(timed)
    return chosen, fields, timed.seconds


def _write_latents(new: Path, segmenter: Segmenter, frames: Sequence[Segmented]) -> None:
    flow, masks, valid = (np.stack(arrays) for arrays in zip(*frames, strict=True))
    embedding = np.asarray(segmenter.describe(flow, valid).embedding)
    write_latents(new, flow, masks, embedding, valid)


def _write_chosen(
    new: Path, video: Video, names: Sequence[str], moving: np.ndarray, kept: Kept, answer: Answer
) -> None:
    """Writes what moves, once it is known which segments do, and what else is asked for."""
    subject = Subject(video, tuple(map(int, np.flatnonzero(moving))), answer.dilate)
    chances = (masks[..., moving].sum(axis=-1) for _, masks, _ in kept)
    with ExitStack() as stack:
        write_answer(
            new,
            names,
            video,
            moving,
            [stack.enter_context(EXPORTS[name](new, subject)) for name in answer.exports],
            chances if answer.probabilities else (),
            salience(kept, moving) if answer.saliency else (),
        )
