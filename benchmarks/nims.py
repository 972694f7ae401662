"""NIMS as numbers: how hard its scenes are, and what a trained classifier is worth.

    python benchmarks/nims.py difficulty
    python benchmarks/nims.py scenes --checkpoint runs/nims
    python benchmarks/nims.py frames --checkpoint runs/nims --data ../shared/data/davis --split dev
    python benchmarks/nims.py still --checkpoint runs/nims --data ../shared/data/davis --split dev
    python benchmarks/nims.py masks --checkpoint runs/nims --data ../shared/data/davis --split dev
    python benchmarks/nims.py crowd --checkpoint runs/nims_crowd --adversarial runs/adversarial \
        --twin runs/crowd_twin

`difficulty` prints what the best threshold on the residual of a global motion makes of the scenes:
the share of frames that it calls rightly, and its J on those in which something moves.

`scenes` prints what the classifier makes of the same frames.

`frames` prints how many frames of real video the classifier calls salient: as they are, with what
moves filled by the motion of the rest (the ablation test of thesis fig. 5.2), and with as much
filled elsewhere. What moves is what a segmenter and `salient` say; no annotation is looked at.

`still` prints in how many videos something moves, by the floor of the rule `salient`, by the
classifier, and by both: real ones, the same with what moves filled, and videos of one frame that a
virtual camera looks at (as `benchmarks/saliency.py --still`).

`masks` prints the mean J of what is chosen by relevance, of the classifier and of the same network
with random parameters (the randomization test of fig. 5.6), for layers of motion and for segments;
of what the rule `salient` chooses; and of what both choose.

`crowd` follows section 5.3.3: J on frames that are rightly called salient, and over all frames,
where an empty answer to an empty frame counts 1. Beside NIMS it scores a run of adversarial
saliency, and a supervised network on the same scenes (`benchmarks/supervised_twin.py`). Printed too
is how many of these frames the classifier calls still once what was found is filled.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import tyro
from saliency import CAMERAS, still_video
from supervised_twin import SupervisedConfig

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
from jaxmotion.experiments.salient_masks import LEAST_AREA, mask_scores
from jaxmotion.experiments.scenes import TEST_SEED, TUNING_SEED
from jaxmotion.inference.adversarial import SalientMasks
from jaxmotion.inference.detector import FrameDetector
from jaxmotion.inference.nims import Parts, Selection, chosen_regions, salient_regions, softened
from jaxmotion.inference.presence import LEAST_FRAMES
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.metrics.davis import jaccard
from jaxmotion.models.loading import load_trained
from jaxmotion.motion import MotionModel, inpaint
from jaxmotion.optical_flow import estimate_sequence
from jaxmotion.optical_flow.refinement import Refined
from jaxmotion.saliency import salient_segments
from jaxmotion.saliency.layers import motion_layers
from jaxmotion.tasks.segmentation_config import SegmentationConfig

SIZES = {"parallax": (32, 56), "crowd": (64, 112)}
LEVELS = {level: (LEAST_AREA[level], size) for level, size in SIZES.items()}
FACTORS = tuple(0.5 + 0.25 * step for step in range(30))
MARGIN = 5  # pixels around what moves that are filled with it
WAYS: tuple[tuple[Parts, int], ...] = (
    ("spots", 4),
    ("spots", 1),
    ("alike", 1),
    ("alike_published", 1),
    ("layers", 1),
)
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
        adversarial: run of adversarial saliency, for `crowd`.
        twin: run of the supervised twin, for `crowd`.
        still_frames: number of frames of each video of `still`.
    """

    what: tyro.conf.Positional[Literal["difficulty", "scenes", "frames", "still", "masks", "crowd"]]
    checkpoint: str = ""
    data: Path = Path("DAVIS")
    split: str | None = None
    flow: str = "raft"
    segmenter: str = "lt-ms-k4"
    frames: int = 500
    every: int = 1
    adversarial: str = ""
    twin: str = ""
    still_frames: int = 10


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
        wide = widened(moving)
        elsewhere = np.roll(wide, (flow.shape[1] // 2, flow.shape[2] // 2), (1, 2)) & ~wide
        views = (flow, filled(flow, wide, ~wide), filled(flow, elsewhere, ~wide & ~elsewhere))
        rows.append([float((detector.logits(view) > 0).mean()) for view in views])
        print(
            f"  {sequence.name:20s} " + " ".join(f"{share:6.3f}" for share in rows[-1]), flush=True
        )
    print(
        f"{'mean: shown, hidden, other filled':22s} "
        + " ".join(f"{m:6.3f}" for m in np.mean(rows, 0))
    )


def still(config: BenchmarkConfig) -> None:
    """Prints of videos whether anything moves: by the floor, by the classifier, by both."""
    detector, segmenter = FrameDetector.load(config.checkpoint), Segmenter.load(config.segmenter)
    found: dict[str, list[tuple[bool, float]]] = {}
    for kind, name, flow in _videos(config, segmenter):
        masks = segmenter(flow)
        area = float(salient_segments(masks, flow)[masks.argmax(axis=-1)].mean())
        floor, share = area > 0, float((detector.logits(flow) > 0).mean())
        if area < detector.least_area:  # smaller than what it can see: it has no say
            share = 1.0
        found.setdefault(kind, []).append((floor, share))
        print(f"  {kind:22s} {name:28s} {area:.4f} {share:.3f}", flush=True)
    for kind, answers in found.items():
        floor = sum(floor for floor, _ in answers)
        classifier = sum(share > LEAST_FRAMES for _, share in answers)
        both = sum(floor and share > LEAST_FRAMES for floor, share in answers)
        print(
            f"{kind}: of {len(answers)} videos something moves in {floor} by the floor, in "
            f"{classifier} by the classifier, in {both} by both"
        )


def _videos(config: BenchmarkConfig, segmenter: Segmenter) -> Iterator[tuple[str, str, np.ndarray]]:
    """Kind, name and flow of videos in which something moves, and of some in which nothing does."""
    sequences = find_sequences(config.data, config.flow, split=config.split)
    for number, sequence in enumerate(sequences):
        flow = sequence.read()[0]
        yield "as it is", sequence.name, flow
        masks = segmenter(flow)
        wide = widened(salient_segments(masks, flow)[masks.argmax(axis=-1)])
        yield "what moves is filled", sequence.name, filled(flow, wide, ~wide)
        if not sequence.has_frames:
            continue
        frame = sequence.read_frame(0)
        for camera in CAMERAS:
            video = islice(still_video(frame, camera, number), config.still_frames)
            size = segmenter.working_size(*frame.shape[:2])
            flow = np.stack(list(estimate_sequence(video, Refined(size=size))))
            yield "one frame, a camera", f"{sequence.name} {camera}", flow


def widened(moving: np.ndarray) -> np.ndarray:
    """What moves `[T, H, W]`, and the margin around it."""
    kernel = np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)
    return np.stack([cv2.dilate(frame.astype(np.uint8), kernel) > 0 for frame in moving])


class Chosen:
    """What was chosen in a video already, as a predictor of an evaluation."""

    select = "nonzero"

    def __init__(self, moving: np.ndarray) -> None:
        self.moving = np.asarray(moving, np.float32)

    def __call__(self, flow: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Gives the rest and what was chosen, whatever the flow."""
        return np.stack([1 - self.moving, self.moving], axis=-1)


def masks(config: BenchmarkConfig) -> None:
    """Prints the mean J of what is chosen by relevance, and of what the rule chooses."""
    detector = FrameDetector.load(config.checkpoint)
    segmenter = Segmenter.load(config.segmenter)
    judges = {"trained": detector, "random": detector.randomized()}
    scores: dict[str, list[float]] = {}
    for sequence in find_sequences(config.data, config.flow, split=config.split):
        flow, _, gt = sequence.read()
        soft = segmenter(flow)
        parts = {"layers": motion_layers(flow), "segments": soft.argmax(axis=-1)}
        rule = salient_segments(soft, flow)[parts["segments"]]
        found = {"rule, segments": rule}
        for name, judge in judges.items():
            evidence = judge(flow)
            for label, selection in SELECTIONS.items():
                for kind, labels in parts.items():
                    moving = chosen_regions(evidence, flow, labels, selection, gt.shape[1:])
                    if kind == "segments":
                        moving = softened(moving, soft)
                        if selection.over_time:
                            both = softened((moving > 0.5) & rule, soft)
                            found[f"rule and {name} {kind} {label}"] = both
                    found[f"{name} {kind} {label}"] = moving
        for key, moving in found.items():
            labels, _ = predict_labels(Chosen(moving), flow, gt.shape[1:], Protocol())
            scores.setdefault(key, []).append(float(jaccard(gt, labels > 0).mean()))
        last = [values[-1] for key, values in scores.items() if "random" not in key]
        print(f"  {sequence.name:20s} " + " ".join(f"{v:.3f}" for v in last), flush=True)
    for key, values in scores.items():
        print(f"J {np.mean(values):.4f}  {key}")


def crowd(config: BenchmarkConfig) -> None:
    """Prints the protocol of section 5.3.3 on scenes of a crowd."""
    detector = FrameDetector.load(config.checkpoint)
    least, size = LEVELS["crowd"]
    test = scene_frames("crowd", config.frames, size, TEST_SEED)
    truth = salient_frames(test.moving, least)
    found: dict[str, np.ndarray] = {}
    called = np.zeros(len(truth), bool)
    for parts, rounds in WAYS:
        nims = salient_regions(detector, test.flow, parts=parts, selection=PUBLISHED, rounds=rounds)
        called, found[f"NIMS, {parts}, {rounds} rounds"] = nims.evidence.logits > 0, nims.moving
    print(
        f"accuracy {(called == truth).mean():.3f}, salient frames found {called[truth].mean():.3f}"
    )
    for name, checkpoint in (("adversarial", config.adversarial), ("supervised", config.twin)):
        if checkpoint:
            found[name] = predictor_of(checkpoint)(test.flow).argmax(axis=-1) > 0
    for name, moving in found.items():
        scores = mask_scores(moving, test.moving, truth)
        both = jaccard(test.moving, moving)[called & truth].mean()
        left = filled(test.flow, moving, ~moving)
        flipped = detector.logits(left)[called & truth] < 0
        scores |= {"flipped": float(flipped.mean())}
        words = ", ".join(f"{key} {value:.3f}" for key, value in scores.items())
        print(f"{name:31s} J {both:.3f} on salient frames called so; {words}")


def predictor_of(checkpoint: str) -> Callable[[np.ndarray], np.ndarray]:
    """Masks of a run of adversarial saliency, or of the supervised twin."""
    trained = load_trained(checkpoint)
    if trained.config.task.kind == "adversarial":
        return SalientMasks.of(trained)
    assert isinstance(trained.config.task, SupervisedConfig)
    task = SegmentationConfig(network=trained.config.task.network)
    return Segmenter(replace(trained.config, task=task), trained.params)


def main(config: BenchmarkConfig) -> None:
    """Prints the table that was asked for."""
    tables = (difficulty, scenes, frames, still, masks, crowd)
    {table.__name__: table for table in tables}[config.what](config)


if __name__ == "__main__":
    main(tyro.cli(BenchmarkConfig))
