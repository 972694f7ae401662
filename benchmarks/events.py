"""Events as numbers: scenes in which three objects at most do one thing after the other.

    python benchmarks/events.py
    python benchmarks/events.py --checkpoints lt-ms-k4

Scores of the rules on 50 scenes of level `behavior` (256 frames, 64×112). No constant of a rule was
chosen on their seeds. From true masks, and from those of networks, of which what moves is followed
as `jaxmotion events` does; an event of such a track counts for the object that most of the track's
pixels belong to in these frames, if that is at least half of them.

`tube` is the average precision of boxes in space and time, at a 3-D IoU of 0.5.
"""

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import tyro

from jaxmotion.events import KINDS, Event, Tracks, describe_tracks, find_events, follow
from jaxmotion.events.scores import (
    THRESHOLDS,
    Span,
    Tube,
    f1,
    frame_f1,
    mean_average_precision,
    tube_average_precision,
)
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.saliency import salient_segments
from jaxmotion.scenes import LEVELS, Scene, generate

FIRST_SEED = 2**21
TUNING_SEED = 1000  # of the 40 scenes that the constants of the rules were chosen on


@dataclass(frozen=True)
class Options:
    """Measures the rules.

    Attributes:
        checkpoints: networks that masks come from, beside the true ones.
        clips: number of scenes.
        frames: number of frames of a scene.
        height: number of rows.
        width: number of columns.
        tuning: whether to take the scenes that constants are chosen on.
    """

    checkpoints: tuple[str, ...] = ()
    clips: int = 50
    frames: int = 256
    height: int = 64
    width: int = 112
    tuning: bool = False


class Scores:
    """Collects the truth and what was found, clip by clip."""

    def __init__(self) -> None:
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
            truth, found = self.truth[kind], self.found[kind]
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


def main() -> None:
    options = tyro.cli(Options)
    first = TUNING_SEED if options.tuning else FIRST_SEED
    networks = {name: Segmenter.load(name) for name in options.checkpoints}
    scores = {name: Scores() for name in ("true masks", *networks)}
    seconds: dict[str, float] = defaultdict(float)
    for clip in range(options.clips):
        size = (options.frames, options.height, options.width)
        scene = generate(LEVELS["behavior"], *size, first + clip)
        true = describe_tracks(scene.labels, scene.flow)
        scores["true masks"].add(clip, scene, true, true, find_events(true), scene.labels)
        for name, network in networks.items():
            began = time.perf_counter()
            soft = network(scene.flow)
            moving = salient_segments(soft, scene.flow)
            masks = follow(moving[soft.argmax(axis=-1)].astype(int), scene.flow)
            tracks = describe_tracks(masks, scene.flow)
            events = find_events(tracks)
            seconds[name] += time.perf_counter() - began
            scores[name].add(clip, scene, true, tracks, events, masks)
    for name, found in scores.items():
        print(
            f"\n{name}, {options.clips} scenes"
            + (f", {seconds[name]:.0f} s" if name in seconds else "")
        )
        found.report()


if __name__ == "__main__":
    main()
