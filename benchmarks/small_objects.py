"""Flow of small moving objects: errors on them, around them and on the ground, by estimator.

    python benchmarks/small_objects.py
    python benchmarks/small_objects.py --raft path/to/raft --soflow one.safetensors two.safetensors
    python benchmarks/small_objects.py --seed tuning --estimators no_flow soflow
    python benchmarks/small_objects.py --davis path/to/DAVIS
    python benchmarks/small_objects.py --large 2160 3840 --estimators soflow soflow_planar

The pairs are aerial scenes of 192x192 with exact flow, over grounds of a family that no network has
seen. Settings are chosen on pairs of the seed "tuning" and reported on those of "test". Errors are
means over all pixels of a kind in all pairs, without 16 pixels along the edges; "ring" are the
pixels within 4 of a moving vehicle. "planar" rows are refined, with the camera's motion wherever it
explains the frames as well. Seconds are CPU seconds a pair, of all threads, without
compilation.

With a DAVIS root, frames are reduced four times by area, and flow is compared with the flow of that
root (RAFT, of the whole frames), reduced likewise; "moving" is what is annotated. How large that is
comes first: by sequence, the median side of a square of as many pixels.

With rows and columns of a large frame, a pair of this size is laid out with small ones, and only
peak memory of the process and seconds are printed, both with compilation.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
import tyro
from memory import peak, peak_above

from jaxmotion.data.pictures import write_image
from jaxmotion.data.sequence import Sequence as Record
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
REDUCTION = 4  # of these frames


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
        large: rows and columns of a single pair, of which memory and time are printed.
        picture: file to draw some pairs to: a frame, the true flow, and that of each row.
    """

    estimators: tuple[str, ...] = ()
    soflow: tuple[Path, ...] = ()
    raft: Path | None = None
    pairs: int = 50
    seed: Literal["test", "tuning"] = "test"
    level: str = "default"
    davis: Path | None = None
    large: tuple[int, int] | None = None
    picture: Path | None = None


@dataclass(frozen=True)
class Pairs:
    """Pairs of frames of one size, with flow to compare with."""

    frames: Sequence[np.ndarray]
    truth: np.ndarray
    moving: np.ndarray


class Clip(NamedTuple):
    """Frames `[T + 1, H, W, 3]`, their flow `[T, H, W, 2]`, and what moves, bool `[T, H, W]`."""

    frames: np.ndarray
    flow: np.ndarray
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


def reduced_clip(sequence: Record, start: int, flows: int) -> Clip:
    """Frames of a sequence reduced four times, their flow, and what is annotated."""
    whole = sequence.read(("flow", "labels"), list(range(start, start + flows)))
    frames = sequence.read(("frames",), list(range(start, start + flows + 1)))["frames"]
    size = (frames.shape[1] // REDUCTION, frames.shape[2] // REDUCTION)
    small = [cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA) for frame in frames]
    # Vectors on disk are pixels of whole frames.
    flow = resize_flow(whole["flow"], size) / REDUCTION
    return Clip(np.stack(small), flow, resize_labels(whole["labels"], size) > 0)


def reduced(root: Path) -> list[Pairs]:
    """Some pairs of each sequence."""
    found = []
    for scored in find_sequences(root, "raft", WITH_FRAMES):
        times = range(0, scored.record.length - 1, EVERY)
        pairs = [reduced_clip(scored.record, start, 1) for start in times]
        truth, moving = (np.concatenate([getattr(p, k) for p in pairs]) for k in ("flow", "moving"))
        found.append(Pairs([pair.frames for pair in pairs], truth, moving))
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


def print_memory(config: BenchmarkConfig, height: int, width: int) -> None:
    """Peak memory and time of each row on one pair of a size."""
    small = aerial_pairs(1, SEEDS[config.seed], config.level)[0].frames
    times = (1, -(-height // small.shape[1]), -(-width // small.shape[2]), 1)
    frames = np.tile(small, times)[:, :height, :width]
    print(f"{'':24s}  peak MB  CPU s      s")
    for name, make in rows(config).items():
        estimate, cpu, clock = make(), time.process_time(), time.perf_counter()
        peak_above(lambda estimate=estimate: estimate(*frames))
        cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
        print(f"{name:24s}  {peak():7.0f}  {cpu:5.0f}  {clock:5.0f}", flush=True)


def main(config: BenchmarkConfig) -> None:
    if config.large is not None:
        print_memory(config, *config.large)
        return
    groups = reduced(config.davis) if config.davis is not None else made_up(config)
    if config.picture is not None:
        draw(config.picture, groups[0], {name: make() for name, make in rows(config).items()})
        return
    if config.davis is not None:
        sides = (np.median(np.sqrt(group.moving.sum(axis=(1, 2)))) for group in groups)
        print(f"sides of what moves, px: {' '.join(f'{side:.0f}' for side in sides)}")
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
