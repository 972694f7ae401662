"""Flow of small moving objects: errors on them, around them and on the ground, by estimator.

    python benchmarks/small_objects.py
    python benchmarks/small_objects.py --raft path/to/raft --soflow one.safetensors two.safetensors
    python benchmarks/small_objects.py --seed tuning --estimators no_flow soflow
    python benchmarks/small_objects.py --davis path/to/DAVIS

The pairs are aerial scenes of 192x192 with exact flow, over grounds of a family that no network has
seen. Settings are chosen on pairs of the seed "tuning" and reported on those of "test". Errors are
means over all pixels of a kind in all pairs, without 16 pixels along the edges; "ring" are the
pixels within 4 of a moving vehicle. "planar" rows are refined, with the camera's motion wherever it
explains the frames as well. Seconds are CPU seconds a pair, of all threads, without
compilation.

With a DAVIS root, frames are reduced four times by area, so that objects have 10 to 40 pixels, and
flow is compared with the flow of that root (RAFT, of the whole frames), reduced likewise; "moving"
is what is annotated.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tyro

from jaxmotion.data.pictures import write_image
from jaxmotion.data.transforms import resize_flow, resize_labels
from jaxmotion.evaluation.discovery import find_sequences
from jaxmotion.experiments.scenes import TEST_SEED, TUNING_SEED
from jaxmotion.experiments.small_flow import aerial_pairs
from jaxmotion.metrics.flow import FlowErrors, flow_errors
from jaxmotion.optical_flow import (
    DIS,
    SMALL_STRENGTH,
    Estimator,
    Planar,
    Refined,
    enlarged,
    flow_to_color,
    make_estimator,
)

SEEDS = {"test": TEST_SEED, "tuning": TUNING_SEED}
WITH_FRAMES = ("blackswan", "bmx-trees", "car-shadow", "dog", "libby", "scooter-black")
RAFT_ITERATIONS = 12
DRAWN = 5  # pairs of a picture
EVERY = 5  # frames of a sequence, of which one is taken


@dataclass(frozen=True)
class BenchmarkConfig:
    """Scores estimators of flow on small objects.

    Attributes:
        estimators: names of the rows; all that can be made by default.
        soflow: weights of SoFlow, one row each; the shipped ones by default.
        raft: folder of raft-small.pth and raft-sintel.pth; without it there are no rows of RAFT.
        pairs: number of pairs.
        seed: seed of the pairs.
        level: distribution of the pairs, default or stabilized.
        davis: folder laid out like DAVIS, with frames and flow, instead of the pairs.
        picture: file to draw some pairs to: a frame, the true flow, and that of each row.
    """

    estimators: tuple[str, ...] = ()
    soflow: tuple[Path, ...] = ()
    raft: Path | None = None
    pairs: int = 50
    seed: Literal["test", "tuning"] = "test"
    level: str = "default"
    davis: Path | None = None
    picture: Path | None = None


@dataclass(frozen=True)
class Pairs:
    """Pairs of frames of one size, with flow to compare with."""

    frames: Sequence[np.ndarray]
    truth: np.ndarray
    moving: np.ndarray


@dataclass(frozen=True)
class NoFlow:
    """Nothing moves."""

    name: str = "no_flow"

    @property
    def settings(self) -> dict[str, int]:
        """There are none."""
        return {}

    def __call__(self, image0: np.ndarray, image1: np.ndarray) -> np.ndarray:
        """Gives zeros `[H, W, 2]`."""
        return np.zeros((*image1.shape[:2], 2), np.float32)


@dataclass(frozen=True)
class Farneback:
    """Polynomial expansion, from OpenCV (Farnebäck 2003)."""

    window: int
    name: str = "farneback"

    @property
    def settings(self) -> dict[str, int]:
        """The window."""
        return {"window": self.window}

    def __call__(self, image0: np.ndarray, image1: np.ndarray) -> np.ndarray:
        """Estimates the flow from `image0` to `image1`, both uint8 `[H, W, 3]`."""
        first, second = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (image0, image1))
        start = np.zeros((*first.shape, 2), np.float32)
        options = (0.5, 3, self.window, 5, 5, 1.1, 0)
        return np.asarray(cv2.calcOpticalFlowFarneback(first, second, start, *options))


def rows(config: BenchmarkConfig) -> dict[str, Callable[[], Estimator]]:
    """The estimators by name, made when their row comes."""
    table: dict[str, Callable[[], Estimator]] = {
        "no_flow": NoFlow,
        "dis": DIS,
        "dis_x2": lambda: enlarged(DIS(), 2),
        "dis_x3": lambda: enlarged(DIS(), 3),
        "farneback_7": lambda: Farneback(7),
        "farneback_9": lambda: Farneback(9),
    }
    raft = config.raft
    if raft is not None:
        for name, file in (("raft_small", "raft-small.pth"), ("raft", "raft-sintel.pth")):
            for scale in (1, 3):
                label = name if scale == 1 else f"{name}_x{scale}"
                table[label] = lambda name=name, file=file, scale=scale: enlarged(
                    make_estimator(name, weights=raft / file, iterations=RAFT_ITERATIONS),
                    scale,
                )
    if config.soflow:
        for file in config.soflow:
            table[file.stem] = lambda file=file: make_estimator("soflow", weights=file)
    else:
        table["soflow"] = lambda: make_estimator("soflow")
        table["soflow_x2"] = lambda: enlarged(make_estimator("soflow"), 2)
    plain = [*table]
    for name in plain[1:]:  # without flow there is nothing to refine
        table[f"{name}_planar"] = lambda name=name: Planar(Refined(table[name](), SMALL_STRENGTH))
    chosen = config.estimators or tuple(table)
    return {name: table[name] for name in chosen}


def made_up(config: BenchmarkConfig) -> list[Pairs]:
    pairs = aerial_pairs(config.pairs, SEEDS[config.seed], config.level)
    truth, moving = np.stack([p.flow for p in pairs]), np.stack([p.moving for p in pairs])
    return [Pairs([p.frames for p in pairs], truth, moving)]


def reduced(root: Path) -> list[Pairs]:
    """Frames of each sequence, reduced four times; vectors on disk are pixels of whole frames."""
    found = []
    for scored in find_sequences(root, "raft", WITH_FRAMES):
        sequence = scored.record
        times = list(range(0, sequence.length - 1, EVERY))
        whole = sequence.read(("flow", "labels"), times)
        height, width = whole["labels"].shape[1:]
        size = (height // 4, width // 4)
        seen = [sequence.read(("frames",), [t, t + 1])["frames"] for t in times]
        small = [
            np.stack([cv2.resize(f, size[::-1], interpolation=cv2.INTER_AREA) for f in pair])
            for pair in seen
        ]
        truth = resize_flow(whole["flow"], size) / 4
        found.append(Pairs(small, truth, resize_labels(whole["labels"], size) > 0))
    return found


def measure(estimate: Estimator, groups: Sequence[Pairs]) -> tuple[FlowErrors, float]:
    """The mean errors over the groups, and CPU seconds a pair."""
    errors, seconds, count = [], 0.0, 0
    for group in groups:
        estimate(*group.frames[0])  # compiles
        start = time.process_time()
        flows = np.stack([estimate(*frames) for frames in group.frames])
        seconds += time.process_time() - start
        count += len(group.frames)
        errors.append(flow_errors(flows, group.truth, group.moving))
    return FlowErrors(*np.nanmean(errors, axis=0)), seconds / count


def draw(path: Path, group: Pairs, methods: dict[str, Estimator]) -> None:
    """A column for each of the first pairs: frame, truth, and a row for each method."""
    columns = []
    for frames, truth in list(zip(group.frames, group.truth, strict=True))[:DRAWN]:
        largest = float(np.linalg.norm(truth, axis=-1).max())
        flows = [truth, *(estimate(*frames) for estimate in methods.values())]
        rows = [frames[0], *(flow_to_color(flow, largest) for flow in flows)]
        rows = [np.pad(row, ((0, 4), (0, 4), (0, 0)), constant_values=255) for row in rows]
        columns.append(np.concatenate(rows))
    write_image(path, np.concatenate(columns, axis=1))
    print(f"{path}: frame, true flow, {', '.join(methods)}")


def main(config: BenchmarkConfig) -> None:
    groups = reduced(config.davis) if config.davis is not None else made_up(config)
    if config.picture is not None:
        draw(config.picture, groups[0], {name: make() for name, make in rows(config).items()})
        return
    print(f"{'':24s}  moving  < 1 px   ring  ground  CPU s")
    for name, make in rows(config).items():
        found, seconds = measure(make(), groups)
        print(
            f"{name:24s}  {found.moving:6.2f}  {found.within:6.2f}  {found.ring:5.2f}  "
            f"{found.background:6.3f}  {seconds:5.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main(tyro.cli(BenchmarkConfig, description=__doc__))
