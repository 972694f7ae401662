"""Instances as numbers: scenes with several objects, and two animals in a real video.

    python benchmarks/instances.py scenes --checkpoint runs/instances
    python benchmarks/instances.py flies --checkpoint runs/instances --data path/to/flies
    python benchmarks/instances.py ablate --checkpoint runs/instances
    python benchmarks/instances.py losses
    python benchmarks/instances.py stream --frames 256 1000 10000

`scenes` prints scores on 60 scenes of level hard in which at least two objects are seen (8 frames,
64×112; no run trains on them): of each network, of the same network told the true foreground
("grouping": only how it is parted counts), of segmenters (labels as they are, and the connected
parts of all but the largest segment), and of the connected parts of the true foreground.

`ablate` prints scores on the same scenes with other settings of the clustering: its rule, the seeds
that an object is grown from and that its pixels must have, and what becomes of pixels left over.

`losses` compares the Lovász hinge by histogram and by sorting, with six objects in a clip: value,
gradient, and processor time of both together.

`stream` prints the peak memory of a process of its own that streams flow of 64×112 of some length.

`flies` follows two flies through a video whose body points are known: clip.mp4, tracks.npz,
events.npz. Of each fly in each frame in which it walks: whether 80 % of its points lie in one
track; whether both flies lie in different ones where both walk; how often a fly's track changes.
Six of the points are tips of legs: `--grow 6` widens all tracks by six pixels, and
`--clustering.secondary 0.02` takes more of the pixels that belong to no object for sure. `--picture
FILE` draws tracks, points and flow of three frames in which a fly walks.
"""

import itertools
import multiprocessing
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import jax
import numpy as np
import tyro
from memory import peak

from jaxmotion.data.pictures import write_image
from jaxmotion.data.video import open_video
from jaxmotion.experiments.instances import connected_parts, instance_scores, mean_scores
from jaxmotion.inference.instance_segmenter import InstanceSegmenter
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.losses.embeddings import lovasz_hinge
from jaxmotion.optical_flow import flow_to_color
from jaxmotion.optical_flow.estimators import DIS, estimate_sequence
from jaxmotion.scenes import LEVELS, generate
from jaxmotion.tasks.instances import InstancesTask
from jaxmotion.tasks.instances_config import ClusteringConfig

FIRST_SEED = 2**20
SIZE = (8, 64, 112)
ROWS, COLUMNS = slice(340, 540), slice(250, 858)  # where the flies are
LEAST_SHARE = 0.8


@dataclass(frozen=True)
class Options:
    """Measures a network of instances.

    Attributes:
        what: what to measure.
        checkpoint: networks of instances; `scenes` takes several.
        frames: lengths of the videos that `stream` streams.
        segmenters: networks that segments come from, beside it.
        scenes: number of scenes.
        level: level of the scenes.
        data: folder of the flies' video.
        grow: pixels by which the tracks of the flies are widened, where there is none.
        clustering: thresholds that make objects of embeddings, of the flies.
        picture: file to draw the flies to; None for none.
    """

    what: tyro.conf.Positional[Literal["scenes", "flies", "ablate", "losses", "stream"]]
    checkpoint: tuple[str, ...] = ("instances",)
    frames: tuple[int, ...] = (256, 1000, 10000)
    segmenters: tuple[str, ...] = ("lt-ms-k4",)
    scenes: int = 60
    level: str = "hard"
    data: Path = Path("../shared/data/flies")
    grow: int = 0
    clustering: ClusteringConfig = field(default_factory=ClusteringConfig)
    picture: Path | None = None


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
    methods: dict[str, Callable] = {}
    for name in options.checkpoint:
        network = InstanceSegmenter.load(name)
        group = grouping(network)
        methods[name] = lambda s, network=network: network(s.flow).labels
        methods[f"{name}, on the true foreground"] = lambda s, group=group: group(
            s.flow, s.labels > 0
        )
    methods["parts of the true foreground"] = lambda s: connected_parts(s.labels > 0)
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
        print_scores(name, (instance_scores(s.labels, find(s).astype(np.int32)) for s in scenes))


def print_scores(name: str, scores: Iterable[Mapping[str, float]]) -> None:
    row = (f"{key} {value:.3f}" for key, value in mean_scores(scores).items())
    print(f"{name:40s}", "  ".join(row), flush=True)


def measure_clustering(options: Options) -> None:
    """The network sees each clip once; all settings cluster the same embedding."""
    (name,) = options.checkpoint
    network = InstanceSegmenter.load(name)
    embed = jax.jit(InstancesTask(network.task).embed)
    scenes = list(scenes_of_several(options.level, options.scenes))
    known = np.ones(SIZE, np.float32)[None]
    said = [embed(network.params, scene.flow[None], known) for scene in scenes]
    usual = network.task.clustering
    settings = [
        *({"rule": rule} for rule in ("paper", "released")),
        *({"min_seed": seed} for seed in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
        *({"least_seed": seed} for seed in (0.05, 0.15, 0.25, 0.35, 0.5)),
        *({"secondary": least} for least in (0.02, 0.1, 0.2, 0.3)),
        *({"covered": share} for share in (0.3, 0.5, 0.7, 0.9, 1.0)),
    ]
    print(f"{len(scenes)} scenes; otherwise {usual}")
    for changes in settings:
        task = InstancesTask(replace(network.task, clustering=replace(usual, **changes)))
        find = jax.jit(task.find)
        found = (np.asarray(find(*each, known).labels)[0] for each in said)
        rows = (instance_scores(s.labels, labels) for s, labels in zip(scenes, found, strict=True))
        print_scores(" ".join(f"{key} {value}" for key, value in changes.items()), rows)


def measure_losses(options: Options) -> None:
    """Errors as those of a network in training: of some objects right, of others wrong."""
    del options
    rng = np.random.default_rng(0)
    objects = 6
    labels = next(scenes_of_several("crowd_of_objects", 1)).labels.ravel()
    members = (labels == np.arange(1, objects + 1)[:, None]).astype(np.float32)
    right = rng.uniform(-0.5, 1.0, (objects, 1))
    # Not clipped: pixels of the same error have gradients that only their sum tells.
    logits = np.tanh(right * (2 * members - 1) + rng.normal(0, 0.4, members.shape))
    logits = logits.astype(np.float32)
    found = {}
    for name, bins in (("sort", None), ("histogram", 1024)):
        value = partial(lovasz_hinge, bins=bins)
        both = jax.jit(jax.value_and_grad(lambda x, m, value=value: value(x, m).sum()))
        found[name] = [np.asarray(array) for array in both(logits, members)]
        times = []
        for _ in range(20):
            start = time.process_time()
            jax.block_until_ready(both(logits, members))
            times.append(time.process_time() - start)
        middle = 1000 * float(np.median(times))
        print(f"{name:10s} value {found[name][0]:.6f}, {middle:.1f} ms of processor time")
    (exact, gradient), (near, other) = found["sort"], found["histogram"]
    away = np.abs(other - gradient).sum() / np.abs(gradient).sum()
    print(f"difference of the value {abs(near - exact):.1e}, of the gradient (L1) {away:.1e}")


def measure_stream(options: Options) -> None:
    (name,) = options.checkpoint
    context = multiprocessing.get_context("spawn")
    for count in options.frames:
        with ProcessPoolExecutor(1, context) as pool:  # the peak is that of the whole process
            seen, tracks, megabytes = pool.submit(stream_peak, name, count).result()
        print(f"{seen} frames, {tracks} tracks: peak {megabytes:.0f} MB", flush=True)


def stream_peak(checkpoint: str, count: int) -> tuple[int, int, float]:
    """Frames, tracks and MB that the process peaks at where so many frames are streamed."""
    flow = generate(LEVELS["long"], 240, *SIZE[1:], seed=FIRST_SEED).flow
    frames = (flow[t % len(flow)] for t in range(count))
    seen = tracks = 0
    for frame in InstanceSegmenter.load(checkpoint).stream(frames):
        seen, tracks = seen + 1, max(tracks, *frame.tracks.tolist(), 0)
    return seen, tracks, peak()


def fly_flow(video: Path) -> np.ndarray:
    """Flow of the part of the video in which the flies are, `[T, h, w, 2]`."""
    frames = (frame[ROWS, COLUMNS] for frame in open_video(video))
    return np.stack(list(estimate_sequence(frames, DIS())))


def measure_flies(options: Options) -> None:
    flow = fly_flow(options.data / "clip.mp4")
    (name,) = options.checkpoint
    found = InstanceSegmenter.load(name, clustering=options.clustering).stream(iter(flow))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * options.grow + 1,) * 2)
    small = (frame.labels.astype(np.uint16) for frame in found)
    labels = np.stack([np.where(each > 0, each, cv2.dilate(each, disc)) for each in small])
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
    if options.picture is not None:
        times = np.flatnonzero(walks.any(axis=1))[[0, walks.any(axis=1).sum() // 2, -1]]
        frames = dict(enumerate(open_video(options.data / "clip.mp4")))
        rows = [draw_flies(frames[t][ROWS, COLUMNS], labels[t], points[t], flow[t]) for t in times]
        write_image(options.picture, np.concatenate(rows))
        print(f"{options.picture}: frames {', '.join(map(str, times))}")


def draw_flies(
    frame: np.ndarray, labels: np.ndarray, points: np.ndarray, flow: np.ndarray
) -> np.ndarray:
    """A frame with its tracks and the points of both flies, beside its flow; uint8."""
    colors = np.random.default_rng(0).integers(80, 255, (labels.max() + 1, 3))
    tracks = np.where(labels[..., None] > 0, (frame + colors[labels]) // 2, frame)
    picture = np.ascontiguousarray(tracks, np.uint8)
    for fly, color in zip(points, ((0, 255, 0), (255, 0, 0)), strict=True):
        for x, y in fly[~np.isnan(fly).any(axis=-1)]:
            cv2.circle(picture, (round(x), round(y)), 1, color, -1)
    return np.concatenate([picture, flow_to_color(flow)], axis=1)


def main() -> None:
    options = tyro.cli(Options)
    measure = {
        "scenes": measure_scenes,
        "flies": measure_flies,
        "ablate": measure_clustering,
        "losses": measure_losses,
        "stream": measure_stream,
    }
    measure[options.what](options)


if __name__ == "__main__":
    main()
