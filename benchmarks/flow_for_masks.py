"""Which flow makes good masks: J and F by estimator and by size of the frames, and CPU time.

    python benchmarks/flow_for_masks.py --data path/to/DAVIS --out flows --weights path/to/raft
    python benchmarks/flow_for_masks.py --data path/to/DAVIS --out flows --estimators refined

Frames are reduced by area; all flow becomes pixels of the whole frames at 128x224, from which the
networks make masks. What is estimated is kept in the folder, so that other networks can be scored
without estimating it again. Seconds are those of all threads, without compilation, and count
whatever an estimator does: flow back, refinement and reduction to 128x224.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import tyro

from jaxmotion.data.pictures import read_image
from jaxmotion.data.transforms import resize_flow
from jaxmotion.errors import InputError
from jaxmotion.evaluation.discovery import find_sequences
from jaxmotion.evaluation.prediction import predict_labels
from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.evaluation.score import score_labels
from jaxmotion.files import atomic_path
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.optical_flow import DIS, Estimator, Refined, make_estimator

SIZE = (128, 224)
WITH_FRAMES = ("blackswan", "bmx-trees", "car-shadow", "dog", "libby", "scooter-black")
ITERATIONS = 12  # of RAFT


@dataclass(frozen=True)
class BenchmarkConfig:
    """Scores masks made of several flows.

    Attributes:
        data: folder laid out like DAVIS, with frames.
        out: where the flow is kept.
        estimators: names of ESTIMATORS below.
        reductions: the frames at 1/1, 1/2, 1/3 of their size.
        sequences: names.
        frames: folder of JPEGImages.
        weights: folder of raft-small.pth and raft-sintel.pth.
        checkpoints: networks.
        select: rule for the foreground.
        cut: frames segmented and selected together.
        sharpen: let outlines follow the frames.
    """

    data: Path
    out: Path
    estimators: tuple[str, ...] = ("dis_fine", "dis_medium", "refined", "raft_small", "raft")
    reductions: tuple[int, ...] = (1, 2, 3)
    sequences: tuple[str, ...] = WITH_FRAMES
    frames: str = "480p"
    weights: Path = Path()
    checkpoints: tuple[str, ...] = ("lt-ms-k4",)
    select: str = "best_subset"
    cut: int = 10
    sharpen: bool = False


ESTIMATORS: dict[str, Callable[[Path], Estimator]] = {
    "dis_fine": lambda _: DIS(),
    "dis_medium": lambda _: DIS("medium"),
    "refined": lambda _: Refined(DIS("medium"), size=SIZE),
    "refined_fine": lambda _: Refined(DIS("fine"), size=SIZE),
    "raft_small": lambda weights: _raft("raft_small", weights / "raft-small.pth"),
    "raft": lambda weights: _raft("raft", weights / "raft-sintel.pth"),
}


def _raft(name: str, weights: Path) -> Estimator:
    return make_estimator(name, weights=weights, iterations=ITERATIONS)


def estimate(estimator: Estimator, frames: list[np.ndarray], width: int) -> dict[str, np.ndarray]:
    """Flow at `SIZE`, in pixels of frames of a width, and CPU seconds a frame."""
    resize_flow(estimator(*frames[:2]), SIZE)  # compiles
    start = time.process_time()
    flow = np.stack([resize_flow(estimator(*pair), SIZE) for pair in pairwise(frames)])
    seconds = (time.process_time() - start) / len(flow)
    return {"flow": flow * (width / frames[0].shape[1]), "seconds": np.array(seconds)}


def flow_of(config: BenchmarkConfig, name: str, reduction: int, sequence: str, width: int):
    """The flow of a sequence and its CPU seconds a frame, kept or estimated."""
    path = config.out / config.frames / f"{name}_{reduction}" / f"{sequence}.npz"
    if not path.exists():
        folder = config.data / "JPEGImages" / config.frames / sequence
        frames = [read_image(file) for file in sorted(folder.glob("*.jpg"))]
        if len(frames) < 2:
            raise InputError(f"{folder}: expected the frames of a video")
        size = [-(-side // reduction) for side in frames[0].shape[1::-1]]
        frames = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
        found = estimate(ESTIMATORS[name](config.weights), frames, width)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            np.savez(temporary, allow_pickle=False, **found)
    with np.load(path) as archive:
        return archive["flow"], float(archive["seconds"])


def main(config: BenchmarkConfig) -> None:
    """Prints a line for every estimator and size as soon as it is known."""
    protocol = Protocol(config.select, config.cut)
    segmenters = {name: Segmenter.load(name) for name in config.checkpoints}
    sequences = find_sequences(config.data, None, config.sequences)
    columns = [f"{network} J, F" for network in segmenters]
    print(f"{config.select}, cuts of {config.cut}; {', '.join(config.sequences)}\n")
    print("| estimator | frames | CPU s a frame |", " | ".join(columns), "| J of each |")
    print("|---|---:|---:|" + "---:|" * len(columns) + "---|")
    for name in config.estimators:
        for reduction in config.reductions:
            seconds, scores = [], {network: [] for network in segmenters}
            for sequence in sequences:
                assert sequence.record.units is not None
                width = sequence.record.units[1]
                flow, cpu = flow_of(config, name, reduction, sequence.name, width)
                seconds.append(cpu)
                annotation, _ = sequence.read_annotation(protocol, len(flow))
                for network, segmenter in segmenters.items():
                    labels, count = predict_labels(
                        segmenter,
                        flow,
                        annotation.size,
                        protocol,
                        frame=sequence.frame if config.sharpen else None,
                    )
                    scored, _ = score_labels(
                        sequence.name, labels, annotation, protocol, count, flow=flow
                    )
                    statistics = scored.statistics()
                    scores[network].append((statistics["J_mean"], statistics["F_mean"]))
            means = [np.mean(values, axis=0) for values in scores.values()]
            cells = [f"1/{reduction}", f"{np.mean(seconds):.3f}"]
            cells += ["{:.3f}, {:.3f}".format(*mean) for mean in means]
            cells.append(" ".join(f"{j:.3f}" for j, _ in scores[config.checkpoints[-1]]))
            print(f"| {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main(tyro.cli(BenchmarkConfig))
