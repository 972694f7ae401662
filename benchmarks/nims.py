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
saliency, and its supervised twin, the gold standard of thesis §5.3.3 (where a supervised U-net
reaches J 0.671 on another crowd): the same network on the same scenes, with labels. Printed too is
how many of these frames the classifier calls still once what was found is filled. The twin:

    python train.py foreground --workdir runs/crowd_twin --data.source scenes:crowd \
        --data.clip-length 1 --network.input raw_and_residual --network.threshold-start 1 \
        --network.kernel 1 3 3 --network.norm-frames 1 --network.attention.layers 0 \
        --network.attention.no-gate --augment.corruption-probability 0 --inference.window 1 \
        --inference.overlap 0 --optimizer.kind adam --optimizer.learning-rate 3e-3 \
        --optimizer.warmup-steps 20 --optimizer.ema-decay 0.98 --steps 600 --batch-size 16 \
        --validate-every 100 --checkpoint-every 100 --evals.scenes crowd --evals.frames 500
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from nims_videos import PUBLISHED, filled, frames, masks, still

from jaxmotion.data.windows import InferenceConfig
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
from jaxmotion.inference.nims import Parts, salient_regions
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.metrics.davis import jaccard
from jaxmotion.models.loading import load_trained

SIZES = {"parallax": (32, 56), "crowd": (64, 112)}
LEVELS = {level: (LEAST_AREA[level], size) for level, size in SIZES.items()}
ALONE = InferenceConfig(window=1, linking="none")
FACTORS = tuple(0.5 + 0.25 * step for step in range(30))
WAYS: tuple[tuple[Parts, int], ...] = (
    ("spots", 4),
    ("spots", 1),
    ("alike", 1),
    ("alike_published", 1),
    ("layers", 1),
)


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
            found[name] = found_by(checkpoint, test.flow)
    for name, moving in found.items():
        scores = mask_scores(moving, test.moving, truth)
        both = jaccard(test.moving, moving)[called & truth].mean()
        left = filled(test.flow, moving, ~moving)
        flipped = detector.logits(left)[called & truth] < 0
        scores |= {"flipped": float(flipped.mean())}
        words = ", ".join(f"{key} {value:.3f}" for key, value in scores.items())
        print(f"{name:31s} J {both:.3f} on salient frames called so; {words}")


def found_by(checkpoint: str, flow: np.ndarray) -> np.ndarray:
    """What a run of adversarial saliency, or of the twin, finds: bool `[T, H, W]`.

    The frames have nothing to do with each other, so that no label is followed from one to another.
    """
    trained = load_trained(checkpoint)
    if trained.config.task.kind == "adversarial":
        predictor = SalientMasks.of(trained)
        predictor.segmenter.inference = ALONE
    else:
        predictor = Segmenter.of(trained, ALONE)
    return predictor(flow).argmax(axis=-1) > 0


def main(config: BenchmarkConfig) -> None:
    """Prints the table that was asked for."""
    tables = (difficulty, scenes, frames, still, masks, crowd)
    {table.__name__: table for table in tables}[config.what](config)


if __name__ == "__main__":
    main(tyro.cli(BenchmarkConfig))
