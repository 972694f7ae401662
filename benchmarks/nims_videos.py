"""The tables of `benchmarks/nims.py` that are about real videos."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from saliency import CAMERAS, still_video

from jaxmotion.evaluation.discovery import find_sequences
from jaxmotion.evaluation.prediction import predict_labels
from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.inference.detector import FrameDetector
from jaxmotion.inference.nims import Selection, chosen_regions, softened
from jaxmotion.inference.presence import LEAST_FRAMES
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.metrics.davis import jaccard
from jaxmotion.motion import MotionModel, inpaint
from jaxmotion.optical_flow import estimate_sequence
from jaxmotion.optical_flow.refinement import Refined
from jaxmotion.saliency import salient_segments
from jaxmotion.saliency.layers import motion_layers

if TYPE_CHECKING:
    from nims import BenchmarkConfig

PUBLISHED = Selection("above_largest", over_time=False)
MARGIN = 5  # pixels around what moves that are filled with it
SELECTIONS = {
    "above the largest, each frame": PUBLISHED,
    "share 0.2, tracks": Selection("share", 0.2),
    "share 0.35, tracks": Selection("share", 0.35),
}


def filled(flow: np.ndarray, mask: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Flow `[T, H, W, 2]` with a mask filled by the quadratic motion of what is still."""
    fill = jax.jit(lambda f, m, s: inpaint(f, m, MotionModel("quadratic"), support=s))
    frames = zip(flow, mask, still, strict=True)
    parts = [[jnp.asarray(a, jnp.float32)[None, None] for a in frame] for frame in frames]
    return np.stack([np.asarray(fill(*part))[0, 0] for part in parts])


def frames(config: "BenchmarkConfig") -> None:
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


def still(config: "BenchmarkConfig") -> None:
    """Prints of videos whether anything moves: by the floor, by the classifier, by both."""
    detector, segmenter = FrameDetector.load(config.checkpoint), Segmenter.load(config.segmenter)
    found: dict[str, list[tuple[bool, bool, bool]]] = {}
    for kind, name, flow in _videos(config, segmenter):
        masks = segmenter(flow)
        area = float(salient_segments(masks, flow)[masks.argmax(axis=-1)].mean())
        share = float((detector.logits(flow) > 0).mean())
        yes = share >= LEAST_FRAMES
        both = area > 0 and (yes or area < detector.least_area)  # as `Presence.denies` has it
        found.setdefault(kind, []).append((area > 0, yes, both))
        print(f"  {kind:22s} {name:28s} {area:.4f} {share:.3f}", flush=True)
    for kind, answers in found.items():
        floor, classifier, both = np.sum(answers, axis=0)
        print(
            f"{kind}: of {len(answers)} videos something moves in {floor} by the floor, in "
            f"{classifier} by the classifier, in {both} by both"
        )


def _videos(
    config: "BenchmarkConfig", segmenter: Segmenter
) -> Iterator[tuple[str, str, np.ndarray]]:
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


def masks(config: "BenchmarkConfig") -> None:
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
