"""Instances as numbers: scenes with several objects, and two animals in a real video.

    python benchmarks/instances.py scenes --checkpoint runs/instances
    python benchmarks/instances.py flies --checkpoint runs/instances --data path/to/flies

`scenes` prints scores on 60 scenes of level hard in which at least two objects are seen (8 frames,
64×112; no run trains on them): of the network, of the same network told the true foreground
("grouping": only how it is parted counts), of segmenters (labels as they are, and the connected
parts of all but the largest segment), and of the connected parts of the true foreground.

`flies` follows two flies through a video whose body points are known: clip.mp4, tracks.npz,
events.npz. Of each fly in each frame in which it walks: whether 80 % of its points lie in one
track; whether both flies lie in different ones where both walk; how often a fly's track changes.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import tyro

from jaxmotion.data.video import open_video
from jaxmotion.experiments.instances import connected_parts, instance_scores, mean_scores
from jaxmotion.inference.instance_segmenter import InstanceSegmenter
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.optical_flow.estimators import DIS, estimate_sequence
from jaxmotion.scenes import LEVELS, generate
from jaxmotion.tasks.instances import InstancesTask

FIRST_SEED = 2**20
SIZE = (8, 64, 112)
ROWS, COLUMNS = slice(340, 540), slice(250, 858)  # where the flies are
LEAST_SHARE = 0.8


@dataclass(frozen=True)
class Options:
    """Measures a network of instances.

    Attributes:
        what: what to measure.
        checkpoint: network of instances.
        segmenters: networks that segments come from, beside it.
        scenes: number of scenes.
        level: level of the scenes.
        data: folder of the flies' video.
    """

    what: tyro.conf.Positional[Literal["scenes", "flies"]]
    checkpoint: str
    segmenters: tuple[str, ...] = ("lt-ms-k4",)
    scenes: int = 60
    level: str = "hard"
    data: Path = Path("../shared/data/flies")


def scenes_of_several(level: str, count: int):
    """Scenes that show at least two objects, each with half a percent of the clip's pixels."""
    found = 0
    for number in itertools.count():
        scene = generate(LEVELS[level], *SIZE, seed=FIRST_SEED + number)
        shares = np.bincount(scene.labels.ravel())[1:] / scene.labels.size
        if (shares > 0.005).sum() >= 2:
            yield scene
            found += 1
        if found == count:
            return


def grouping(segmenter: InstanceSegmenter) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The objects of a network that is told the true foreground."""
    clustering = replace(segmenter.task.clustering, least_seed=0.0, min_seed=0.3, secondary=0.0)
    task = InstancesTask(replace(segmenter.task, clustering=clustering))

    @jax.jit
    def find(params, flow, valid, foreground):
        embedding, said = task.embed(params, flow, valid)
        return task.find(embedding, said, foreground).labels

    def labels(flow, foreground):
        given = (np.ones(foreground.shape, np.float32), foreground.astype(np.float32))
        return np.asarray(find(segmenter.params, flow[None], *(x[None] for x in given)))[0]

    return labels


def measure_scenes(options: Options) -> None:
    network = InstanceSegmenter.load(options.checkpoint)
    group = grouping(network)
    methods: dict[str, Callable] = {
        options.checkpoint: lambda s: network(s.flow).labels,
        "the same, on the true foreground": lambda s: group(s.flow, s.labels > 0),
        "parts of the true foreground": lambda s: connected_parts(s.labels > 0),
    }
    for name in options.segmenters:
        segments = Segmenter.load(name)

        def labels(scene, segments=segments):
            found = segments(scene.flow).argmax(axis=-1)
            return np.argsort(-np.bincount(found.ravel(), minlength=found.max() + 1)).argsort()[
                found
            ]

        methods[f"{name}, segments"] = labels
        methods[f"{name}, parts"] = lambda s, labels=labels: connected_parts(labels(s) > 0, 50)
    scenes = list(scenes_of_several(options.level, options.scenes))
    print(f"{len(scenes)} scenes, {sum(int(s.labels.max()) for s in scenes)} objects")
    for name, find in methods.items():
        scores = mean_scores(instance_scores(s.labels, find(s).astype(np.int32)) for s in scenes)
        print(f"{name:40s}", "  ".join(f"{key} {value:.3f}" for key, value in scores.items()))


def fly_flow(video: Path) -> np.ndarray:
    """Flow of the part of the video in which the flies are, `[T, h, w, 2]`."""
    frames = (frame[ROWS, COLUMNS] for frame in open_video(video))
    return np.stack(list(estimate_sequence(frames, DIS())))


def measure_flies(options: Options) -> None:
    flow = fly_flow(options.data / "clip.mp4")
    found = InstanceSegmenter.load(options.checkpoint).stream(iter(flow))
    labels = np.stack([frame.labels.astype(np.int16) for frame in found])
    points = np.load(options.data / "tracks.npz")["tracks"] - (COLUMNS.start, ROWS.start)
    walks = np.zeros(points.shape[:2], bool)
    for fly, start, stop in np.load(options.data / "events.npz")["events"]:
        walks[start:stop, fly] = True
    walks = walks[: len(labels)]
    track, share = np.zeros(walks.shape, int), np.zeros(walks.shape)
    for t, fly in zip(*np.nonzero(walks), strict=True):
        known = points[t, fly][~np.isnan(points[t, fly]).any(axis=-1)]
        rows, columns = (np.rint(known[:, axis]).astype(int) for axis in (1, 0))
        height, width = labels.shape[1:]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        at = np.bincount(labels[t, rows[inside], columns[inside]], minlength=1)
        at[0] = 0
        track[t, fly], share[t, fly] = at.argmax(), at.max() / max(len(known), 1)
    there = walks & (share >= LEAST_SHARE)
    both = walks.all(axis=1) & (track > 0).all(axis=1)
    changes = sum(int((np.diff(track[there[:, fly], fly]) != 0).sum()) for fly in range(2))
    print(
        f"{walks.sum()} pairs of a walking fly and a frame: {there.sum() / walks.sum():.1%} have "
        f"80 % of the points in one track, {(walks & (share > 0)).sum() / walks.sum():.1%} any"
    )
    print(
        f"both in a track in {both.sum()} of {walks.all(axis=1).sum()} frames in which both walk, "
        f"in different ones in {(track[both, 0] != track[both, 1]).sum()}"
    )
    print(f"{changes} changes of a fly's track; {labels.max()} tracks in {len(labels)} frames")


def main() -> None:
    options = tyro.cli(Options)
    {"scenes": measure_scenes, "flies": measure_flies}[options.what](options)


if __name__ == "__main__":
    main()
