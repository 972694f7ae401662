"""Segmenters on held-out procedural clips: how good frame by frame, and with labels that stay.

    python benchmarks/temporal.py EM=runs/em_0,runs/em_1 ST-MS=runs/st_ms_0 LT-MS=runs/lt_ms_0

Each name stands for runs that differ in their seed; the table gives their mean and range. The clips
have 9 frames and are drawn from the levels default, hard and long in turn, the last two with
wrecked frames; no training has seen them.
"""

import argparse
from collections.abc import Callable

import numpy as np
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from jaxmotion.data import Clip, SceneSource
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.metrics import jaccard, select_foreground

LEVELS = ("default", "hard", "long")
TEST_SEED = 1_000_003


def frame_iou(labels: np.ndarray, objects: np.ndarray) -> float:
    """Foreground IoU with the best subset of segments chosen for each frame."""
    return float(
        np.mean([clip_iou(labels[t : t + 1], objects[t : t + 1]) for t in range(len(labels))])
    )


def clip_iou(labels: np.ndarray, objects: np.ndarray) -> float:
    """Foreground IoU with the best subset of segments chosen once for the clip."""
    gt = objects > 0
    return float(jaccard(gt, select_foreground(labels, gt, "best_subset")).mean())


def object_iou(labels: np.ndarray, objects: np.ndarray) -> float:
    """Mean IoU over space-time of the moving objects, each with one segment for the whole clip."""
    gt = objects[..., None] == np.arange(1, objects.max() + 1)
    gt = gt[..., gt.any(axis=(0, 1, 2))]
    if not gt.shape[-1]:
        return np.nan
    segments = labels[..., None] == np.arange(labels.max() + 1)
    both = np.einsum("thwi,thwj->ij", gt.astype(np.float32), segments.astype(np.float32))
    union = gt.sum((0, 1, 2))[:, None] + segments.sum((0, 1, 2)) - both
    iou = both / np.maximum(union, 1)
    rows, columns = linear_sum_assignment(iou, maximize=True)
    return float(iou[rows, columns].sum() / gt.shape[-1])


MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "foreground, per frame": frame_iou,
    "foreground, labels fixed": clip_iou,
    "objects, labels fixed": object_iou,
}


def scores_of(segmenter: Segmenter, clips: list[Clip]) -> dict[tuple[str, str], float]:
    """The mean of each measure over the clips of each level, and over all."""
    rows: dict[tuple[str, str], list[float]] = {}
    for clip in tqdm(clips, unit="clip", leave=False):
        labels = segmenter(clip["flow"]).argmax(-1).astype(np.uint8)
        level = clip["name"].split("/")[0]
        for name, measure in MEASURES.items():
            value = measure(labels, clip["labels"])
            for group in (level, "all"):
                rows.setdefault((name, group), []).append(value)
    return {key: float(np.nanmean(values)) for key, values in rows.items()}


def main() -> None:
    """Prints a table for each measure."""
    parser = argparse.ArgumentParser(description="Segmenters on held-out procedural clips.")
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN[,RUN...]")
    parser.add_argument("--clips", type=int, default=96)
    parser.add_argument("--height", type=int, default=64)
    parser.add_argument("--width", type=int, default=112)
    options = parser.parse_args()
    source = SceneSource(
        "+".join(LEVELS), 9, (options.height, options.width), TEST_SEED, options.clips
    )
    clips = [source[index] for index in range(len(source))]
    results = {}
    for entry in options.runs:
        name, _, runs = entry.partition("=")
        results[name] = [scores_of(Segmenter.load(run), clips) for run in runs.split(",")]
    for measure in MEASURES:
        print(f"\nIoU, {measure} ({len(clips)} clips)")
        print(f"| {'':10s} |" + "".join(f" {level:>22s} |" for level in (*LEVELS, "all")))
        print("|---|" + "---:|" * (len(LEVELS) + 1))
        for name, seeds in results.items():
            cells = ""
            for level in (*LEVELS, "all"):
                values = [scores[measure, level] for scores in seeds]
                shown = f"{np.mean(values):.3f}"
                if len(values) > 1:
                    shown += f" ({min(values):.3f}–{max(values):.3f})"
                cells += f" {shown:>22s} |"
            print(f"| {name:10s} |{cells}")


if __name__ == "__main__":
    main()
