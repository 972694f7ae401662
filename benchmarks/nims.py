"""NIMS as numbers: how hard its scenes are, and what a trained classifier is worth.

    python benchmarks/nims.py difficulty
    python benchmarks/nims.py scenes --checkpoint runs/nims
    python benchmarks/nims.py frames --checkpoint runs/nims --data ../shared/data/davis --split dev
    python benchmarks/nims.py masks --checkpoint runs/nims --data ../shared/data/davis --split dev
    python benchmarks/nims.py crowd --checkpoint runs/nims_crowd

`difficulty` prints what the best threshold on the residual of a global motion makes of the scenes:
the share of frames that it calls rightly, and its J on those in which something moves.

`scenes` prints what the classifier makes of the same frames.

`frames` prints how many frames of real video the classifier calls salient: as they are, with what
moves filled by the motion of the rest (the ablation test of thesis fig. 5.2), and with as much
filled elsewhere. What moves is what a segmenter and `salient` say; no annotation is looked at.

`masks` prints the mean J of what is chosen by relevance, of the classifier and of the same network
with random parameters (the randomization test of fig. 5.6), for layers of motion and for segments.

`crowd` follows section 5.3.3: J on frames that are rightly called salient, and over all frames,
where an empty answer to an empty frame counts 1.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxmotion.evaluation.discovery import find_sequences
from jaxmotion.evaluation.methods import predict_labels
from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.experiments.frames import (
    best_threshold_mask,
    salient_frames,
    scene_frames,
    score_on_frames,
    threshold_accuracy,
)
from jaxmotion.experiments.scenes import TEST_SEED, TUNING_SEED
from jaxmotion.inference.detector import FrameDetector
from jaxmotion.inference.nims import Nims, Parts, Selection, salient_regions
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.metrics.davis import jaccard
from jaxmotion.models.loading import load_trained
from jaxmotion.motion import MotionModel, inpaint
from jaxmotion.saliency import salient_segments
from jaxmotion.tasks.classification_config import ClassificationConfig

LEVELS = {"parallax": (0.005, (32, 56)), "crowd": (0.001, (64, 112))}
FACTORS = tuple(0.5 + 0.25 * step for step in range(30))
MARGIN = 5  # pixels around what moves that are filled with it
PUBLISHED = Selection("above_largest", over_time=False)
SELECTIONS = {
    "above the largest, each frame": PUBLISHED,
    "share 0.2, tracks": Selection("share", 0.2),
    "share 0.35, tracks": Selection("share", 0.35),
}


@dataclass(frozen=True)
class BenchmarkConfig:
    """Measures NIMS.

    Attributes:
        what: table to print.
        checkpoint: the frame classifier.
        data: folder laid out like DAVIS.
        split: list of sequences in ImageSets.
        flow: folder of Flows.
        segmenter: network whose segments are judged.
        frames: number of frames of scenes.
        every: frames of real video that are looked at: all, every second, ...
    """

    what: tyro.conf.Positional[Literal["difficulty", "scenes", "frames", "masks", "crowd"]]
    checkpoint: str = ""
    data: Path = Path("DAVIS")
    split: str | None = None
    flow: str = "raft"
    segmenter: str = "lt-ms-k4"
    frames: int = 500
    every: int = 1


def difficulty(config: BenchmarkConfig) -> None:
    """Prints what a threshold makes of the scenes."""
    for level, (least, size) in LEVELS.items():
        test = scene_frames(level, config.frames, size, TEST_SEED)
        tuning = scene_frames(level, config.frames, size, TUNING_SEED)
        truth = salient_frames(test.moving, least)
        right = threshold_accuracy(tuning, test, least)
        overlap = best_threshold_mask(test.flow[truth], FACTORS, test.moving[truth])
        print(
            f"{level}: {truth.mean():.3f} of {len(truth)} frames salient; best threshold right in"
        )
        print(f"  {right:.3f} of them, its best mask J {overlap:.3f} on those that are salient")


def scenes(config: BenchmarkConfig) -> None:
    """Prints what the classifier makes of the scenes it was made for."""
    trained = load_trained(config.checkpoint)
    level = "crowd" if "crowd" in trained.config.data.source else "parallax"
    evals = replace(trained.config.evals, scenes=level, frames=config.frames)
    scores = score_on_frames(replace(trained.config, evals=evals), trained.variables, False)
    for name, score in scores.items():
        print(f"{level}: {name} {score:.3f} of {config.frames} frames")


def filled(flow: np.ndarray, mask: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Flow `[T, H, W, 2]` with a mask filled by the quadratic motion of what is still."""
    fill = jax.jit(lambda f, m, s: inpaint(f, m, MotionModel("quadratic"), support=s))
    frames = zip(flow, mask, still, strict=True)
    parts = [[jnp.asarray(a, jnp.float32)[None, None] for a in frame] for frame in frames]
    return np.stack([np.asarray(fill(*part))[0, 0] for part in parts])


def frames(config: BenchmarkConfig) -> None:
    """Prints the share of real frames called salient, before and after parts are filled."""
    detector = FrameDetector.load(config.checkpoint)
    segmenter = Segmenter.load(config.segmenter)
    rows = []
    for sequence in find_sequences(config.data, config.flow, split=config.split):
        flow = sequence.read()[0]
        masks = segmenter(flow)
        moving = salient_segments(masks, flow)[masks.argmax(axis=-1)]
        flow, moving = flow[:: config.every], moving[:: config.every]
        kernel = np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)
        wide = np.stack([cv2.dilate(frame.astype(np.uint8), kernel) > 0 for frame in moving])
        elsewhere = np.roll(wide, (flow.shape[1] // 2, flow.shape[2] // 2), (1, 2)) & ~wide
        views = (flow, filled(flow, wide, ~wide), filled(flow, elsewhere, ~wide & ~elsewhere))
        rows.append([float((detector(view).logits > 0).mean()) for view in views])
        print(
            f"  {sequence.name:20s} " + " ".join(f"{share:6.3f}" for share in rows[-1]), flush=True
        )
    print(
        f"{'mean: shown, hidden, other filled':22s} "
        + " ".join(f"{m:6.3f}" for m in np.mean(rows, 0))
    )


def randomized(detector: FrameDetector, seed: int = 0) -> FrameDetector:
    """The same network with fresh parameters, whose logits are positive."""
    assert isinstance(detector.config.task, ClassificationConfig)
    data = detector.config.data
    flow = jnp.zeros((1, 1, data.height, data.width, 2))
    task = detector.config.task.build(data)
    params = dict(task.init(jax.random.key(seed), {"flow": flow})["params"])
    dense = params["Dense_0"]
    params["Dense_0"] = {"kernel": jnp.abs(dense["kernel"]), "bias": dense["bias"] + 10}
    return FrameDetector(detector.config, params)


def masks(config: BenchmarkConfig) -> None:
    """Prints the mean J of what is chosen by relevance."""
    detector = FrameDetector.load(config.checkpoint)
    segmenter = Segmenter.load(config.segmenter)
    scores: dict[str, list[float]] = {}
    for sequence in find_sequences(config.data, config.flow, split=config.split):
        flow, _, gt = sequence.read()
        soft = segmenter(flow)
        for name, judge in (("trained", detector), ("random", randomized(detector))):
            for label, selection in SELECTIONS.items():
                for regions, network in (("layers", None), ("segments", lambda *_: soft)):  # noqa: B023
                    nims = Nims(judge, network, selection)  # pyright: ignore[reportArgumentType]
                    labels, _ = predict_labels(nims, flow, gt.shape[1:], Protocol())
                    key = f"{name:8s} {regions:9s} {label}"
                    scores.setdefault(key, []).append(float(jaccard(gt, labels > 0).mean()))
        last = {key: values[-1] for key, values in scores.items()}
        print(f"  {sequence.name:20s} " + " ".join(f"{v:.3f}" for v in last.values()), flush=True)
    for key, values in scores.items():
        print(f"J {np.mean(values):.4f}  {key}")


def crowd(config: BenchmarkConfig) -> None:
    """Prints the protocol of section 5.3.3 on scenes of a crowd."""
    detector = FrameDetector.load(config.checkpoint)
    least, size = LEVELS["crowd"]
    test = scene_frames("crowd", config.frames, size, TEST_SEED)
    truth = salient_frames(test.moving, least)
    ways: tuple[Parts, ...] = ("alike", "alike_published", "layers")
    for parts in ways:
        found = salient_regions(detector, test.flow, parts=parts, selection=PUBLISHED)
        called = found.evidence.logits > 0
        moving = np.where(truth[:, None, None], test.moving, False)
        scores = jaccard(moving, found.moving)
        print(
            f"{parts:16s} accuracy {(called == truth).mean():.3f}, "
            f"J {scores[called & truth].mean():.3f} on salient frames called so, "
            f"{scores.mean():.3f} on all"
        )


def main(config: BenchmarkConfig) -> None:
    """Prints the table that was asked for."""
    tables = (difficulty, scenes, frames, masks, crowd)
    {table.__name__: table for table in tables}[config.what](config)


if __name__ == "__main__":
    main(tyro.cli(BenchmarkConfig))
