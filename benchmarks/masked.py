"""Fills of hidden flow: a network beside motion models, the nearest pixel, and time.

    python benchmarks/masked.py
    python benchmarks/masked.py --checkpoint runs/masked --data path/to/DAVIS

Clips of eight flow fields, of procedural scenes that no run trains on and of a DAVIS-layout root,
at the size of training. Two kinds of parts are hidden, the same for all rows: `tubes`, as in
training, and `blobs`, one region of 1 to 25 % of the frame, as a segment would be. A row is the
mean absolute error of the hidden flow, in pixels per frame, mean over the clips.

The rows `inpaint` are `jaxmotion.inpaint` with two motion models, each frame by itself; `place` is
the nearest visible pixel of the frame, `time` is linear between the frames that see a pixel.
"""

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
import tyro

import jaxmotion as jm
from jaxmotion.baselines.fills import Fill, fill_by_motion, fill_by_place, fill_by_time
from jaxmotion.data.clips import ClipSource
from jaxmotion.data.scene_source import SceneSource
from jaxmotion.data.sources import open_source
from jaxmotion.experiments.masked import fill_errors, tubes_of
from jaxmotion.experiments.scenes import TEST_SEED
from jaxmotion.inference.inpainter import FlowInpainter
from jaxmotion.tasks.classification import random_blobs
from jaxmotion.tasks.masked_config import TubesConfig


@dataclass(frozen=True)
class Options:
    """Measures fills of hidden flow.

    Attributes:
        checkpoint: network to measure beside them, as `FlowInpainter.load` takes it.
        level: level of the scenes; empty for none.
        scenes: number of scenes.
        data: DAVIS-layout root; empty for none.
        flow: name of its flow.
        split: name of its list of sequences.
        clips: largest number of its clips, evenly spread.
        frames: number of frames of a clip.
        height: number of rows.
        width: number of columns.
    """

    checkpoint: str = ""
    level: str = "hard"
    scenes: int = 40
    data: str = "../shared/data/davis"
    flow: str = "raft"
    split: str = "dev"
    clips: int = 40
    frames: int = 8
    height: int = 64
    width: int = 112


def fill_affine(flow: np.ndarray, hidden: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """`jaxmotion.inpaint` as it is by default."""
    known = None if valid is None else valid[None]
    filled = jm.inpaint(flow[None], hidden[None].astype(np.float32), valid=known)[0]
    return np.asarray(filled)


def blobs_of(clips: list) -> list[np.ndarray]:
    """One region of each clip, the same in all frames."""
    draw = jax.jit(random_blobs, static_argnums=1)
    keys = map(jax.random.key, range(len(clips)))
    shapes = ((1, *clip["valid"].shape) for clip in clips)
    return [np.asarray(draw(key, shape))[0] for key, shape in zip(keys, shapes, strict=True)]


def spread(source: ClipSource, most: int) -> list:
    """At most so many clips of a source, evenly spread."""
    count = min(most, len(source))
    return [source[int(i)] for i in np.linspace(0, len(source) - 1, count).round()]


def main() -> None:
    options = tyro.cli(Options)
    size = (options.height, options.width)
    fills: dict[str, Fill] = {
        "inpaint, affine": fill_affine,
        "inpaint, quadratic": fill_by_motion,
        "place": fill_by_place,
        "time": fill_by_time,
    }
    if options.checkpoint:
        fills[options.checkpoint] = FlowInpainter.load(options.checkpoint)
    sources = {}
    if options.level:
        scenes = SceneSource(options.level, options.frames, size, TEST_SEED, options.scenes)
        sources[f"scenes:{options.level}"] = partial(spread, scenes, options.scenes)
    if options.data:
        flow = open_source(
            options.data,
            clip_length=options.frames,
            stride=options.frames,
            size=size,
            split=options.split or None,
            flow=options.flow,
        )
        sources[options.data] = partial(spread, flow, options.clips)
    for name, read in sources.items():
        clips = read()
        kinds = {"tubes": tubes_of(TubesConfig(), clips), "blobs": blobs_of(clips)}
        errors = {kind: fill_errors(fills, clips, hidden) for kind, hidden in kinds.items()}
        print(f"{name}, {len(clips)} clips")
        print(f"  {'':24s}" + "".join(f"{kind:>8s}" for kind in errors))
        for row in fills:
            print(f"  {row:24s}" + "".join(f"{e[row]:8.3f}" for e in errors.values()))


if __name__ == "__main__":
    main()
