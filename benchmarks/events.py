"""Events as numbers: scenes in which three objects at most do one thing after the other, and flies.

    python benchmarks/events.py
    python benchmarks/events.py --checkpoints lt-ms-k4 instances-video --heads runs/events
    python benchmarks/events.py flies --data path/to/flies

`scenes` prints scores of the rules, and of networks of events (`--heads`), on 50 scenes of level
`behavior` (256 frames, 64×112). No constant of a rule was chosen on their seeds, and no network was
trained on them. From true masks, and from those of networks, of which what moves is followed as
`jaxmotion events` does; an event of such a track counts for the object that most of the track's
pixels belong to in these frames, if that is at least half of them.

`tube` is the average precision of boxes in space and time, at a 3-D IoU of 0.5. Precision counts
all that a network says, F1 what is told to a user (`inference.event_finder.SURE`).

`flies` compares bouts of walking of two flies in a real video, whose body points are known
(clip.mp4, tracks.npz, events.npz), with the events `go`: what has flow of half a pixel (DIS) is
followed, and an event counts for the fly that is nearer to its track.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from instances import COLUMNS, ROWS, fly_flow

import jaxmotion as jm
from jaxmotion.events import KINDS, OBJECTS, Event, Tracks, describe_tracks, find_events, follow
from jaxmotion.events.scores import (
    THRESHOLDS,
    Span,
    Tube,
    f1,
    frame_f1,
    mean_average_precision,
    tube_average_precision,
)
from jaxmotion.experiments.events import LEAST
from jaxmotion.inference.event_finder import SURE, EventFinder
from jaxmotion.saliency import salient, salient_segments, segment_residuals
from jaxmotion.scenes import LEVELS, Scene, generate

FIRST_SEED = 2**21
TUNING_SEED = 1000  # of the 40 scenes that the constants of the rules were chosen on


Tell = Callable[[Tracks], list[Event]]
LEAST_FLOW = 0.5  # of what moves in the flies' video, pixels per frame


@dataclass(frozen=True)
class Options:
    """Measures rules and networks of events.

    Attributes:
        what: what to measure.
        checkpoints: networks that masks come from, beside the true ones.
        heads: networks of events, beside the rules.
        clips: number of scenes.
        frames: number of frames of a scene.
        height: number of rows.
        width: number of columns.
        tuning: whether to take the scenes that constants are chosen on.
        data: folder of the flies' video.
    """

    what: tyro.conf.Positional[Literal["scenes", "flies"]] = "scenes"
    checkpoints: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    clips: int = 50
    frames: int = 256
    height: int = 64
    width: int = 112
    tuning: bool = False
    data: Path = Path("../shared/data/flies")


class Scores:
    """Collects the truth and what was found, clip by clip."""

    def __init__(self, told: float) -> None:
        """Scores from `told` on count in F1."""
        self.told = told
        self.truth: dict[str, list[Span]] = defaultdict(list)
        self.found: dict[str, list[Span]] = defaultdict(list)
        self.true_tubes: dict[str, list[Tube]] = defaultdict(list)
        self.tubes: dict[str, list[Tube]] = defaultdict(list)

    def add(
        self, clip: int, scene: Scene, true: Tracks, tracks: Tracks, events: Iterable[Event], masks
    ) -> None:
        """Adds a clip; `masks` are the labels `[T, H, W]` of the tracks."""
        for event in scene.events:
            span = Span((clip, event.label), event.start, event.stop)
            self.truth[event.kind].append(span)
            boxes = boxes_of(true, event.label, event.start, event.stop)
            self.true_tubes[event.kind].append(Tube(clip, event.start, boxes))
        for event in events:
            key = (clip, owner(scene.labels, masks, event))
            self.found[event.kind].append(Span(key, event.start, event.stop, event.score))
            boxes = boxes_of(tracks, event.track, event.start, event.stop)
            self.tubes[event.kind].append(Tube(clip, event.start, boxes, event.score))

    def report(self) -> None:
        """Prints the scores by kind, and their means."""
        _, by_kind = mean_average_precision(self.truth, self.found)
        print("kind          truth  found  AP@0.5  F1@0.5  frame F1   tube")
        tubes = {}
        for kind in (kind for kind in KINDS if kind in by_kind):
            truth, found = self.truth[kind], [s for s in self.found[kind] if s.score >= self.told]
            tubes[kind] = tube_average_precision(self.true_tubes[kind], self.tubes[kind])
            print(
                f"{kind:12s} {len(truth):6d} {len(found):6d} {by_kind[kind]:7.3f} "
                f"{f1(truth, found):7.3f} {frame_f1(truth, found):9.3f} {tubes[kind]:6.3f}"
            )
        means = {
            least: mean_average_precision(self.truth, self.found, least)[0] for least in THRESHOLDS
        }
        print("mAP", "  ".join(f"@{least} {mean:.3f}" for least, mean in means.items()), end="  ")
        print(f"mean {np.mean(list(means.values())):.3f}  tube {np.mean(list(tubes.values())):.3f}")


def boxes_of(tracks: Tracks, label: int, start: int, stop: int) -> np.ndarray:
    """Boxes of a track; none where it is not seen."""
    place = int(np.flatnonzero(tracks.labels == label)[0])
    return np.nan_to_num(tracks.box[place, start:stop])


def owner(labels: np.ndarray, masks: np.ndarray, event: Event) -> int:
    """The object that at least half of a track's pixels belong to; -1 for none."""
    frames = slice(event.start, event.stop)
    counts = np.bincount(labels[frames][masks[frames] == event.track], minlength=1)
    best = int(counts[1:].argmax()) + 1 if len(counts) > 1 else -1
    return best if best > 0 and 2 * counts[best] >= counts.sum() > 0 else -1


def masks_of(network, flow: np.ndarray) -> np.ndarray:
    """The tracks of a network, int `[T, H, W]`, as `jaxmotion events` has them."""
    if isinstance(network, jm.Segmenter):
        soft = network(flow)
        moving = salient_segments(soft, flow)
        return follow(moving[soft.argmax(axis=-1)].astype(int), flow)
    labels = network(flow).labels
    lives = {n: (labels == n).any(axis=(1, 2)).sum() for n in np.unique(labels[labels > 0])}
    longest = sorted(lives, key=lambda n: -lives[n])[: network.task.most_tracks]
    names = np.zeros(labels.max() + 1, int)
    names[longest] = np.arange(1, len(longest) + 1)
    tracks = names[labels]
    moves = salient(segment_residuals(tracks, flow, 1 + len(longest)))
    moves[0] = False
    return follow(np.where(moves[tracks], tracks, 0), flow, settings=OBJECTS)


def measure_scenes(options: Options, tell: dict[str, Tell]) -> None:
    first = TUNING_SEED if options.tuning else FIRST_SEED
    networks = {name: jm.load(name) for name in options.checkpoints}
    scores = {
        (masks, name): Scores(0.0 if name == "rules" else SURE)
        for masks in ("true masks", *networks)
        for name in tell
    }
    seconds: dict[str, float] = defaultdict(float)
    for clip in range(options.clips):
        size = (options.frames, options.height, options.width)
        scene = generate(LEVELS["behavior"], *size, first + clip)
        true = describe_tracks(scene.labels, scene.flow)
        for name in tell:
            scores["true masks", name].add(clip, scene, true, true, tell[name](true), scene.labels)
        for source, network in networks.items():
            began = time.process_time()
            masks = masks_of(network, scene.flow)
            tracks = describe_tracks(masks, scene.flow)
            seconds[source] += time.process_time() - began
            for name in tell:
                scores[source, name].add(clip, scene, true, tracks, tell[name](tracks), masks)
    for (source, name), found in scores.items():
        print(
            f"\n{name}, {source}, {options.clips} scenes"
            + (f", masks and tracks {seconds[source]:.0f} CPU s" if source in seconds else "")
        )
        found.report()


def measure_flies(options: Options, tell: dict[str, Tell]) -> None:
    flow = fly_flow(options.data / "clip.mp4")
    ground = np.median(flow, axis=(1, 2), keepdims=True)
    moving = np.linalg.norm(flow - ground, axis=-1) > LEAST_FLOW
    tracks = describe_tracks(follow(moving.astype(int), flow), flow)
    thorax = np.load(options.data / "tracks.npz")["tracks"][:, :, 7] - (COLUMNS.start, ROWS.start)
    truth = [
        Span(int(fly), int(start), int(stop))
        for fly, start, stop in np.load(options.data / "events.npz")["events"]
    ]
    for name, method in tell.items():
        found = [
            Span(nearest_fly(tracks, event, thorax), event.start, event.stop, event.score)
            for event in method(tracks)
            if event.kind == "go" and (name == "rules" or event.score >= SURE)
        ]
        print(
            f"{name}: {len(truth)} bouts, {len(found)} found in {len(tracks.labels)} tracks, "
            + ", ".join(f"F1@{least} {f1(truth, found, least):.3f}" for least in (0.3, 0.5, 0.7))
            + f", frame F1 {frame_f1(truth, found):.3f}"
        )


def nearest_fly(tracks: Tracks, event: Event, thorax: np.ndarray) -> int:
    """The fly whose thorax is nearest to the middle of a track's box, over the frames of an event.

    Args:
        tracks: the tracks.
        event: the event.
        thorax: `[T, flies, 2]`, pixels of the part of the frame in which the flies are.
    """
    box = boxes_of(tracks, event.track, event.start, event.stop)
    size = (COLUMNS.stop - COLUMNS.start, ROWS.stop - ROWS.start)
    middle = (box[:, :2] + box[:, 2:]) / 2 * size
    away = np.linalg.norm(thorax[event.start : event.stop] - middle[:, None], axis=-1)
    return int(np.nanmean(away, axis=0).argmin())


def main() -> None:
    options = tyro.cli(Options)
    tell: dict[str, Tell] = {"rules": find_events}
    for head in options.heads:
        finder = EventFinder.load(head)
        tell[head] = lambda tracks, finder=finder: finder(tracks, LEAST)
    {"scenes": measure_scenes, "flies": measure_flies}[options.what](options, tell)


if __name__ == "__main__":
    main()
