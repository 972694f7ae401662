"""What moves, told without ground truth: what the rule gains, and where its constants stand.

    python benchmarks/saliency.py --data ../shared/data/davis --split dev
    python benchmarks/saliency.py --data ../shared/data/davis --split train --max-frames 40
    python benchmarks/saliency.py --data ../shared/data/davis --split dev --still

The first two print the mean J of each reading of the same masks: with the largest segment left out,
with the salient segments for several shares, and with the best subset that the ground truth could
choose. The network sees each video in one go, and each reading is chosen once for the video.

With --still the first frame of each sequence becomes a video in which nothing moves on its own, by
a virtual camera that stands, pans, zooms or shakes, with noise of three gray levels. Printed is the
residual of the segment that stands out most, in pixels per frame: what `saliency.segments.FLOOR`
has to exceed, where it can.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from jaxmotion.evaluation.discovery import find_sequences
from jaxmotion.evaluation.prediction import predict_labels
from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.metrics.davis import jaccard
from jaxmotion.metrics.foreground import select_foreground
from jaxmotion.optical_flow import estimate_sequence
from jaxmotion.optical_flow.refinement import Refined
from jaxmotion.saliency import salient, segment_residuals
from jaxmotion.saliency.segments import FLOOR

SHARES = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
CAMERAS = ("stands", "pans", "zooms", "shakes")
STILL_FRAMES = 30


@dataclass(frozen=True)
class BenchmarkConfig:
    """Measures the selection rule "salient".

    Attributes:
        data: folder laid out like DAVIS.
        split: list of sequences in ImageSets.
        flow: folder of Flows.
        checkpoint: networks whose masks are read.
        max_frames: number of frames of each sequence that are looked at, from the first; 0 for all.
        still: whether to measure videos in which nothing moves, made of the first frames.
    """

    data: Path
    split: str | None = None
    flow: str = "raft"
    checkpoint: tuple[str, ...] = ("lt-ms-k4", "st-ms-k4")
    max_frames: int = 0
    still: bool = False


def readings(config: BenchmarkConfig, segmenter: Segmenter) -> dict[str, list[float]]:
    """J of each reading, for every sequence."""
    rows: dict[str, list[float]] = {}
    for sequence in find_sequences(config.data, config.flow, split=config.split):
        flow, _, gt = sequence.read()
        frames = slice(config.max_frames or len(flow))
        flow, gt = flow[frames], gt[frames]
        labels, num_labels = predict_labels(segmenter, flow, gt.shape[1:], Protocol())
        residuals = segment_residuals(segmenter(flow).argmax(axis=-1), flow, num_labels)
        found = {
            rule: select_foreground(labels, gt, rule) for rule in ("except_largest", "best_subset")
        }
        for share in SHARES:
            found[f"salient {share}"] = salient(residuals, share=share)[labels]
        for name, foreground in found.items():
            rows.setdefault(name, []).append(float(jaccard(gt, foreground).mean()))
    return rows


def still_video(frame: np.ndarray, camera: str, seed: int) -> Iterator[np.ndarray]:
    """A picture, uint8 `[H, W, 3]`, as a camera sees it that looks at four fifths of it."""
    height, width = frame.shape[:2]
    size = int(0.8 * width) // 2 * 2, int(0.8 * height) // 2 * 2
    rng = np.random.default_rng(seed)
    for t in range(STILL_FRAMES):
        x, y, angle, scale = 0.0, 0.0, 0.0, 1.0
        if camera == "pans":
            progress = t / STILL_FRAMES - 0.5
            x, y = 0.16 * width * progress, 0.1 * height * progress
        elif camera == "zooms":
            scale += 0.008 * t
        elif camera == "shakes":
            x, y, angle = rng.normal(0, (3, 3, 0.3))
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
        matrix[:, 2] += x - (width - size[0]) / 2, y - (height - size[1]) / 2
        seen = cv2.warpAffine(
            frame, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        yield np.clip(seen + rng.normal(0, 3, seen.shape), 0, 255).astype(np.uint8)


def still_residuals(config: BenchmarkConfig, segmenter: Segmenter) -> Iterator[tuple[str, float]]:
    """Name and greatest mean residual of a segment, pixels per frame, of each still video."""
    for number, sequence in enumerate(find_sequences(config.data, config.flow, split=config.split)):
        if not sequence.has_frames:
            continue
        frame = sequence.read_frame(0)
        for camera in CAMERAS:
            video = still_video(frame, camera, number)
            size = segmenter.working_size(*frame.shape[:2])
            flow = np.stack(list(estimate_sequence(video, Refined(size=size))))
            masks = segmenter(flow)
            residuals = segment_residuals(masks.argmax(axis=-1), flow, masks.shape[-1])
            background = residuals.pixels.argmax()
            yield f"{sequence.name}, camera {camera}", float(residuals.mean[background].max())


def main(config: BenchmarkConfig) -> None:
    """Prints the tables."""
    for checkpoint in config.checkpoint:
        segmenter = Segmenter.load(checkpoint)
        print(checkpoint)
        if config.still:
            found = list(still_residuals(config, segmenter))
            for name, residual in found:
                print(f"  {residual:7.3f} px  {name}")
            below = sum(residual < FLOOR for _, residual in found)
            print(f"  {below} of {len(found)} below the floor of {FLOOR} px")
        else:
            for name, values in readings(config, segmenter).items():
                print(f"  J {np.mean(values):.4f}  {name}")


if __name__ == "__main__":
    main(tyro.cli(BenchmarkConfig))
