"""How steadily trained networks call an object the same, with and without tracking.

    python benchmarks/label_stability.py em-k2 st-ms-k4 lt-ms-k4 --data path/to/DAVIS

Clips are a textured square that circles over a panning ground (flow of DIS), procedural scenes with
exact labels, and with --data the sequences of a split of a DAVIS layout. Labels are those of linked
windows ("windows") and of linked windows and tracked frames ("frames", what a segmenter gives).
Share and switches are means over the objects (`jaxmotion.metrics.label_stability`), J is that of
the best subset in the whole clip, at the size of the flow.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from jaxmotion.data.transforms import resize_labels, resize_masks
from jaxmotion.evaluation import find_sequences
from jaxmotion.inference.linking import link_masks, unroll
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.inference.tracking import bridge_gaps, keep_labels
from jaxmotion.metrics import jaccard, label_stability, select_foreground
from jaxmotion.optical_flow.estimators import DIS, estimate_sequence
from jaxmotion.scenes import LEVELS, generate

FIRST_SEED = 1000
SIZE = (128, 224)


class Clip(NamedTuple):
    """Flow ``[T, H, W, 2]`` and the objects in it, ``[T, H, W]``."""

    kind: str
    flow: np.ndarray
    objects: np.ndarray


def circling(num_frames: int = 150) -> Clip:
    """A square whose direction of motion turns, so that a network calls it by many names."""
    rng = np.random.default_rng(0)

    def texture(rows: int, columns: int, scale: int) -> np.ndarray:
        coarse = rng.integers(0, 255, (rows, columns, 3)).astype(np.uint8)
        return cv2.resize(coarse, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)

    ground, square = texture(60, 120, 4), texture(8, 8, 4)
    frames, objects = [], np.zeros((num_frames, 96, 160), np.uint8)
    for t in range(num_frames):
        pan = 100 + int(40 * np.sin(t / 20))
        top, left = 30 + int(20 * np.sin(t / 9)), 60 + int(50 * np.cos(t / 13))
        frame = ground[20:116, pan : pan + 160].copy()
        frame[top : top + 32, left : left + 32] = square
        objects[t, top : top + 32, left : left + 32] = 1
        frames.append(frame)
    return Clip("circling", np.stack(list(estimate_sequence(frames, DIS()))), objects[:-1])


def clips(options: argparse.Namespace) -> Iterator[Clip]:
    """All clips, one in memory at a time."""
    yield circling()
    for level in options.levels:
        for seed in range(FIRST_SEED, FIRST_SEED + options.scenes):
            scene = generate(LEVELS[level], options.frames, *SIZE, seed)
            yield Clip(f"scenes, {level}", scene.flow, scene.labels)
    if options.data is not None:
        for sequence in find_sequences(options.data, options.flow, split=options.split):
            flow, _, masks = sequence.read()
            yield Clip("DAVIS", flow, resize_labels(masks.astype(np.uint8), flow.shape[1:3]))


def labels_of(segmenter: Segmenter, flow: np.ndarray) -> dict[str, np.ndarray]:
    """Labels ``[T, H, W]`` by what they are linked by; the network runs once."""
    windows = [
        (start, np.asarray(segmenter.describe(flow[start : start + length]).masks))
        for start, length in segmenter.inference.windows(len(flow))
    ]
    linked = list(unroll(link_masks(windows) if segmenter.inference.overlap else windows))
    tracked = bridge_gaps(keep_labels(linked))

    def labels(frames: Iterable[np.ndarray]) -> np.ndarray:
        return np.stack([resize_masks(masks, flow.shape[1:3]).argmax(axis=-1) for masks in frames])

    return {"windows": labels(linked), "frames": labels(tracked)}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--frames", type=int, default=90, help="of a scene")
    parser.add_argument("--levels", nargs="*", default=list(LEVELS), choices=list(LEVELS))
    parser.add_argument("--scenes", type=int, default=3, help="scenes of each level")
    parser.add_argument("--data", help="root of a DAVIS layout")
    parser.add_argument("--flow", default="raft")
    parser.add_argument("--split", default="dev")
    options = parser.parse_args()
    segmenters = {run: Segmenter.load(run) for run in options.runs}
    stability, scores = defaultdict(list), defaultdict(list)
    for clip in tqdm(clips(options), unit="clip"):
        for run, segmenter in segmenters.items():
            for linking, labels in labels_of(segmenter, clip.flow).items():
                key, gt = (clip.kind, run, linking), clip.objects > 0
                stability[key] += label_stability(clip.objects, labels).values()
                scores[key].append(jaccard(gt, select_foreground(labels, gt, "best_subset")).mean())
    print("| clips | network | linked | share | switches | share, apart | switches, apart | J |")
    print("|---|---|---|" + "---:|" * 5)
    for key, objects in stability.items():
        means = np.nanmean(
            [[o.share, o.switches, o.share_apart, o.switches_apart] for o in objects], axis=0
        )
        share, switches, share_apart, switches_apart = means
        print(
            f"| {' | '.join(key)} | {share:.2f} | {switches:.1f} | {share_apart:.2f} "
            f"| {switches_apart:.1f} | {np.mean(scores[key]):.3f} |"
        )


if __name__ == "__main__":
    main()
