"""How long scoring takes: ours beside a plain evaluation, frame by frame with numpy and OpenCV.

    python benchmarks/evaluation.py                  # a set of DAVIS 2016's size: 1,376 frames
    python benchmarks/evaluation.py --frames 60

Both are given the same labels of K segments and the same masks, take the best of all 2^K subsets
per cut of 10 frames, and score J and F of it in every frame. The script fails if the numbers are
not the same. Both take turns, sequence by sequence, so that a busy machine slows them alike.
"""

import argparse
import json
import time
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.evaluation.score import score_labels
from jaxmotion.evaluation.sequences import Annotation

HEIGHT, WIDTH = 480, 854
DAVIS_FRAMES, SEQUENCE = 1376, 69  # of the 20 validation sequences, and of one on average
CUT = 10


def made_up_sequence(num_frames: int, num_labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth segments that drift, and an object about as one of them: uint8, bool [T, H, W]."""
    rng = np.random.default_rng(seed)
    margin = 64
    size = (WIDTH + 2 * margin, HEIGHT + 2 * margin)
    fields = [cv2.resize(rng.normal(size=(9, 14)), size, interpolation=cv2.INTER_CUBIC)
              for _ in range(num_labels)]  # fmt: skip
    wobble = cv2.resize(rng.normal(size=(30, 50)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    labels = np.empty((num_frames, HEIGHT, WIDTH), np.uint8)
    gt = np.empty(labels.shape, bool)
    for t in range(num_frames):
        stack = []
        for k, field in enumerate(fields):
            y = int(margin * (1 + np.sin(0.05 * t + k)) / 1.0001)
            x = int(margin * (1 + np.cos(0.04 * t + 2 * k)) / 1.0001)
            stack.append(field[y : y + HEIGHT, x : x + WIDTH])
        values = np.stack(stack)
        labels[t] = values.argmax(axis=0)
        gt[t] = values[0] + 0.3 * wobble > np.maximum(values[1:].max(axis=0), 0.5)
    return labels, gt


def plain_scores(labels: np.ndarray, gt: np.ndarray, num_labels: int) -> tuple[list, list]:
    """J and F of the best subset of every cut, as one writes it first."""
    subsets = [np.array(chosen) for chosen in product((False, True), repeat=num_labels)]
    j_frames, f_frames = [], []
    for start in range(0, len(labels), CUT):
        cut = range(start, min(start + CUT, len(labels)))
        scores = np.array(
            [[plain_jaccard(gt[t], subset[labels[t]]) for t in cut] for subset in subsets]
        )
        best = subsets[scores.mean(axis=1).argmax()]
        for t in cut:
            found = best[labels[t]]
            j_frames.append(plain_jaccard(gt[t], found))
            f_frames.append(plain_boundary_f(gt[t], found))
    return j_frames, f_frames


def plain_jaccard(gt: np.ndarray, found: np.ndarray) -> float:
    union = np.sum(gt | found)
    return np.sum(gt & found) / union if union else 1.0


def plain_boundary_f(gt: np.ndarray, found: np.ndarray) -> float:
    radius = int(np.ceil(0.008 * np.linalg.norm(gt.shape)))
    reach = np.arange(-radius, radius + 1)
    disk = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(np.uint8)
    a, b = plain_boundary(gt), plain_boundary(found)
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    precision = np.sum(b & (cv2.dilate(a.astype(np.uint8), disk) > 0)) / np.sum(b)
    recall = np.sum(a & (cv2.dilate(b.astype(np.uint8), disk) > 0)) / np.sum(a)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def plain_boundary(mask: np.ndarray) -> np.ndarray:
    right, below, beyond = mask.copy(), mask.copy(), mask.copy()
    right[:, :-1], below[:-1], beyond[:-1, :-1] = mask[:, 1:], mask[1:], mask[1:, 1:]
    edge = (mask != right) | (mask != below) | (mask != beyond)
    edge[-1] = (mask != right)[-1]
    edge[:, -1] = (mask != below)[:, -1]
    edge[-1, -1] = False
    return edge


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of scoring, ours and plain.")
    parser.add_argument("--frames", type=int, default=DAVIS_FRAMES, help="frames in all")
    parser.add_argument("--num-masks", type=int, default=4, help="K")
    parser.add_argument("--json", type=Path, help="where the figures go as well")
    options = parser.parse_args()

    protocol = Protocol("best_subset", CUT)
    seconds = {"plain": 0.0, "jaxmotion": 0.0, "plain, CPU": 0.0, "jaxmotion, CPU": 0.0}
    largest = {"J": 0.0, "F": 0.0}
    for seed, start in enumerate(range(0, options.frames, SEQUENCE)):
        count = min(SEQUENCE, options.frames - start)
        labels, gt = made_up_sequence(count, options.num_masks, seed)
        names = tuple(f"{t:05d}" for t in range(count))
        annotation = Annotation(np.arange(count), names, gt.astype(np.uint8))
        results = {}
        scorers = {
            "plain": partial(plain_scores, labels, gt, options.num_masks),
            "jaxmotion": partial(score_labels, "", labels, annotation, protocol, options.num_masks),
        }
        for name, score in scorers.items():
            wall, cpu = time.perf_counter(), time.process_time()
            results[name] = score()
            seconds[name] += time.perf_counter() - wall
            seconds[f"{name}, CPU"] += time.process_time() - cpu
        ours = results["jaxmotion"][0]
        for measure, expected in zip("JF", results["plain"], strict=True):
            error = np.abs(ours.per_frame(measure) - expected).max()
            largest[measure] = max(largest[measure], float(error))
    for name, value in seconds.items():
        print(f"{name:>16}: {value:8.2f} s, {1000 * value / options.frames:7.2f} ms a frame")
    ratio = seconds["plain"] / seconds["jaxmotion"]
    print(f"{options.frames} frames, {ratio:.1f} times faster; largest difference {largest}")
    if options.json:
        figures = {"frames": options.frames, "seconds": seconds, "difference": largest}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if largest["J"] > 1e-9 or largest["F"] > 1e-6:
        raise SystemExit("the numbers differ")


if __name__ == "__main__":
    main()
