"""The objects of a user's own video: masks of each, in one color all along, and a page."""

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from jaxmotion.answer.attention import check_gate
from jaxmotion.answer.events import EVENT_FILES, EventAnswer, follow_moving, write_events
from jaxmotion.answer.exports import EXPORTED, EXPORTS, Subject
from jaxmotion.answer.kept import KeptTracks
from jaxmotion.answer.page import Gatherer, render
from jaxmotion.answer.pictures import Pictures, write_answer
from jaxmotion.answer.stages import Field, open_fields
from jaxmotion.data.video import Video, open_video
from jaxmotion.errors import InputError
from jaxmotion.events import OBJECTS, Event
from jaxmotion.files import atomic_path
from jaxmotion.inference.instance_segmenter import InstanceSegmenter, TrackRecords
from jaxmotion.inference.motions import MotionFitter
from jaxmotion.motion import MotionModel
from jaxmotion.optical_flow.estimators import Estimator
from jaxmotion.output_folder import Results
from jaxmotion.saliency import ResidualMeter, SegmentResiduals, salient

RESULTS = (
    *("index.html", "masks", "moving", "overlay.mp4", "theta.npz", "tracks.csv"),
    *(*EXPORTED, *EVENT_FILES),
)

_MODEL = MotionModel("quadratic", "polynomial")
_MOST = 255  # labels of a picture


class Counted(NamedTuple):
    """The result of `segment_instances`, for the one who called it.

    Attributes:
        tracks: number of objects.
        longest: number of frames in which the longest-lived one is seen.
        frames: number of frames of the video.
        events: number of events; 0 where they were not asked for.
    """

    tracks: int
    longest: int
    frames: int
    events: int = 0

    def __str__(self) -> str:
        if not self.tracks:
            return "no object moves on its own"
        objects = "object" if self.tracks == 1 else "objects"
        found = f"{self.tracks} {objects}, seen in up to {self.longest} of {self.frames} frames"
        plural = "" if self.events == 1 else "s"
        return f"{found}, {self.events} event{plural}" if self.events else found


def segment_instances(
    path: Path,
    segmenter: InstanceSegmenter,
    out: Path,
    flow: Estimator | Path,
    settings: dict[str, str] | None = None,
    exports: Sequence[str] = (),
    dilate: int = 0,
    attention: bool = False,
    events: EventAnswer | None = None,
    every_track: bool = False,
    sharpened: bool = True,
) -> Counted:
    """Finds the objects of a video file or a folder of frames.

    Into ``out`` go, all at once and in the place of what an earlier run left there:

    - ``index.html``: a page to look at it all.
    - ``masks/NAME.png``, indexed pictures: 0, or the number of the object, the same in all frames.
    - ``moving/NAME.png``: 255 where any object is, else 0.
    - ``overlay.mp4``: the objects in color over the frames.
    - ``tracks.csv``: of each object its number, first and last frame, frames in which it is seen,
      score (mean seediness) and mean area.
    - ``theta.npz``: the motion of the objects in each of the N windows that the network saw:
      ``theta`` `[N, 1 + K, P]`, quadratic in space and linear in time, the background first;
      ``start`` and ``length`` `[N]` of the windows.
    - what ``exports`` names, and of events what `write_events` says.

    Only the objects that live longest are written, so all wait for the end of the video. Until then
    flow and objects are on the disk of ``out``, at the size that the network works at (0.1 MB a
    frame at 64×112); memory does not grow with the video but for some numbers of each frame and
    track. The last frame has no flow. Its objects are those of the frame before.

    Args:
        path: video file, or folder of frames.
        segmenter: trained network of instances.
        out: folder to write to.
        flow: estimator of the flow, or flow that is there already (`GivenFlow`).
        settings: settings of the run that the page lists, by name.
        exports: names of further files to write, keys of `EXPORTS`.
        dilate: pixels by which the masks of ``colmap`` and ``nerfstudio`` are widened.
        attention: whether the page shows the weights that the network's gate gives to frames and
            regions.
        events: how to tell events; None for not at all.
        every_track: whether to keep tracks that hardly move against the one that moves most
            (`saliency.salient`), most of which are patches of the background.
        sharpened: whether the outlines of objects follow the frames (`sharpen`).

    Returns:
        How many objects there are.

    Raises:
        InputError: on an unreadable video, flow that does not belong to it, an unknown export,
            weights of a network that has no gate, or a folder whose files are somebody else's.
            Nothing has changed there then.
    """
    network = segmenter.task.network
    if attention:
        check_gate(network)
    if unknown := set(exports) - EXPORTS.keys():
        raise InputError(f"export {', '.join(unknown)}: expected some of {', '.join(EXPORTS)}")
    video = open_video(path)
    fields, flow_files = open_fields(video, flow, segmenter.working_size(video.height, video.width))
    results = Results(out, "instances", RESULTS, video.path.name)
    with (
        results.claimed([video.path, *video.files, *flow_files]),
        results.replaced() as new,
        KeptTracks(new) as kept,
    ):
        total = None if video.num_frames is None else video.num_frames - 1
        records = _find(segmenter, fields, kept, total)
        longest = records.longest(min(segmenter.task.most_tracks, _MOST))
        tracks, residuals = _chosen(kept, longest, every_track)
        gatherer = Gatherer(1 + len(tracks), network.reduction if attention else 0)
        pictures = Pictures(new, video, sharpened)
        names = _write_pictures(pictures, video, kept, tracks, gatherer)
        _write_moving(new, video, names, len(tracks), exports, dilate)
        _write_motions(new / "theta.npz", segmenter, kept, tracks)
        _write_table(new / "tracks.csv", names, kept, tracks, records, gatherer)
        told, followed = list[Event](), None
        if events is not None:
            # What stops is no object of the network any more, but it still is there.
            followed, ways = follow_moving(
                new,
                video,
                kept,
                lambda frame: frame.found.masks(tracks).argmax(axis=-1),
                OBJECTS,
            )
            told = write_events(new, video, len(names), ways, events)
        moving = np.arange(1 + len(tracks)) > 0
        page = render(
            video, gatherer, residuals, moving, settings or {}, events=told, tracks=followed
        )
        (new / "index.html").write_text(page, encoding="utf-8")
        most_frames = max((records.lifetimes[track] for track in tracks), default=0)
        return Counted(len(tracks), most_frames, len(kept), len(told))


def _find(
    segmenter: InstanceSegmenter, fields: Iterable[Field], kept: KeptTracks, total: int | None
) -> TrackRecords:
    """Keeps flow and objects of all frames."""
    records, passed = TrackRecords(), deque[Field]()
    with tqdm(desc="flow and objects", unit="frame", total=total) as bar:

        def remembered() -> Iterator[Field]:
            for field in fields:
                passed.append(field)
                bar.update()
                yield field

        for frame in segmenter.track(remembered()):
            records.add(frame)
            kept.add(*passed.popleft(), frame)
    return records


def _write_pictures(
    pictures: Pictures, video: Video, kept: KeptTracks, tracks: list[int], gatherer: Gatherer
) -> list[str]:
    """Writes masks and overlay, and shows them to the gatherer; gives the names of the frames."""
    with pictures:
        for t, (name, frame) in enumerate(zip(video.frame_names(), video, strict=False)):
            flow, valid, found = kept[min(t, len(kept) - 1)]
            masks = found.masks(tracks)
            labels = pictures.write(name, frame, masks)
            if t < len(kept):
                gatherer.add(frame, labels, flow, masks, valid, found.attention)
            else:
                gatherer.add_last(frame, labels)
    return pictures.names


def _write_moving(
    new: Path, video: Video, names: list[str], count: int, exports: Sequence[str], dilate: int
) -> None:
    """Writes where any object is, and the exports."""
    subject = Subject(video, tuple(range(1, 1 + count)), dilate)
    with ExitStack() as stack:
        chosen = [stack.enter_context(EXPORTS[name](new, subject)) for name in exports]
        write_answer(new, names, video, np.arange(1 + count) > 0, chosen)


def _chosen(
    kept: KeptTracks, tracks: list[int], every_track: bool
) -> tuple[list[int], SegmentResiduals]:
    """The tracks that are shown, and how their motion fits that of the background."""
    residuals = _residuals(kept, tracks)
    moves = salient(residuals)[1:]
    if every_track or moves.all():
        return tracks, residuals
    tracks = [track for track, chosen in zip(tracks, moves, strict=True) if chosen]
    return tracks, _residuals(kept, tracks)


def _residuals(kept: KeptTracks, tracks: list[int]) -> SegmentResiduals:
    meter = ResidualMeter(1 + len(tracks))
    for flow, valid, found in kept:
        meter.add(found.masks(tracks).argmax(axis=-1), flow, valid)
    return meter.residuals()


def _write_motions(
    path: Path, segmenter: InstanceSegmenter, kept: KeptTracks, tracks: list[int]
) -> None:
    fitter = MotionFitter(_MODEL, "l1")
    frames = ((flow, found.masks(tracks), valid.astype(np.float32)) for flow, valid, found in kept)
    start, length, theta = zip(*fitter.stream(frames, segmenter.inference), strict=True)
    np.savez(path, theta=theta, start=start, length=length)


def _write_table(
    path: Path,
    names: list[str],
    kept: KeptTracks,
    tracks: list[int],
    records: TrackRecords,
    gatherer: Gatherer,
) -> None:
    areas = np.array(gatherer.areas)
    seen = np.stack([np.isin(tracks, frame.found.labels) for frame in kept])
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["track", "first", "last", "frames", "score", "area"])
        for place, track in enumerate(tracks):
            frames = np.flatnonzero(seen[:, place])
            area = areas[frames, place + 1].mean()
            row = [place + 1, names[frames[0]], names[frames[-1]], records.lifetimes[track]]
            table.writerow([*row, f"{records.score(track):.4f}", f"{area:.6g}"])
