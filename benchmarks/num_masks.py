"""How often the shortest description names the true number of segments of procedural scenes.

    python benchmarks/num_masks.py runs/sa --scenes 40
    python benchmarks/num_masks.py --scenes 40

The true number is that of the objects seen in a clip, and one for the background. A RUN is a
network with slots (`python train.py lt_ms_sa`), which segments each clip into 2 to 6. The first row
says what the criterion can do without a network: there the candidates are the true segments, their
smallest ones merged with the background for fewer, the one that moves the least like one motion
divided by its residuals for more. No training has seen the clips.
"""

import argparse
from collections import Counter

import numpy as np
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from jaxmotion.data import SceneSource
from jaxmotion.inference.num_masks import CANDIDATES, ChoosingSegmenter, video_bits
from jaxmotion.motion import MotionModel, fit, parametric_flow

TEST_SEED = 1_000_003
LEAST_SHARE = 1e-3  # of the pixels of a clip, below which an object is not counted as seen
MODEL = MotionModel("quadratic", "bspline", knot_spacing=3)
TRUTH = "true segments"


def seen(labels: np.ndarray) -> np.ndarray:
    """The labels 0 to K - 1 of what is seen, the background first and then the largest object."""
    shares = np.bincount(labels.ravel()) / labels.size
    objects = [k for k in np.argsort(-shares) if k and shares[k] >= LEAST_SHARE]
    found = np.zeros(labels.shape, int)
    for number, label in enumerate(objects, start=1):
        found[labels == label] = number
    return found


def divided(flow: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The segment of the largest residuals in two, by their sign along their main direction."""
    residuals = []
    for k in range(labels.max() + 1):
        inside = (labels == k)[..., None]
        theta = fit(flow[None], inside[None].astype(np.float32), MODEL).theta
        motion = np.asarray(parametric_flow(MODEL, theta, flow.shape[:3]))[0, 0]
        residuals.append(np.where(inside, flow - motion, 0))
    worst = int(np.argmax([np.abs(residual).sum() for residual in residuals]))
    inside, residual = labels == worst, gaussian_filter(residuals[worst], (1, 2, 2, 0))
    _, directions = np.linalg.eigh(np.cov(residual[inside].T))
    return np.where(inside & (residual @ directions[:, -1] > 0), labels.max() + 1, labels)


def candidates(flow: np.ndarray, labels: np.ndarray) -> dict[int, np.ndarray]:
    """Segmentations by their number of segments, made of the true one."""
    true = labels.max() + 1
    found = {k: np.where(labels < k, labels, 0) for k in CANDIDATES if k <= true}
    for k in CANDIDATES:
        if k > true:
            labels = divided(flow, labels)
            found[k] = labels
    return found


def main() -> None:
    """Prints a table for each level."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--levels", nargs="*", default=["easy", "default", "hard", "long"])
    parser.add_argument("--scenes", type=int, default=40, help="clips of each level")
    parser.add_argument("--frames", type=int, default=9, help="of a clip")
    parser.add_argument("--height", type=int, default=64)
    parser.add_argument("--width", type=int, default=112)
    options = parser.parse_args()
    networks = {run: ChoosingSegmenter.load(run) for run in options.runs}
    size = (options.height, options.width)
    for level in options.levels:
        counts = {name: Counter[tuple[int, int]]() for name in (TRUTH, *networks)}
        source = SceneSource(level, options.frames, size, TEST_SEED, options.scenes)
        for index in tqdm(range(len(source)), desc=level, unit="clip", leave=False):
            clip = source[index]
            flow, labels = clip["flow"], seen(clip["labels"])
            if not labels.any():
                continue
            bits = {TRUTH: {
                k: video_bits(flow, each, MODEL, options.frames)
                for k, each in candidates(flow, labels).items()
            }}  # fmt: skip
            bits |= {name: network.bits(flow) for name, network in networks.items()}
            for name, by_number in bits.items():
                chosen = min(by_number, key=by_number.__getitem__)
                counts[name][int(labels.max()) + 1, chosen] += 1
        print(f"\n{level}: true and chosen number of segments")
        print("| | true | " + " | ".join(map(str, CANDIDATES)) + " | right | one off |")
        print("|---|---:|" + "---:|" * (len(CANDIDATES) + 2))
        for name, pairs in counts.items():
            total = sum(pairs.values())
            for true in sorted({true for true, _ in pairs}):
                cells = " | ".join(str(pairs[true, k] or "") for k in CANDIDATES)
                print(f"| {name} | {true} | {cells} | | |")
            right = sum(n for (true, k), n in pairs.items() if k == true) / max(total, 1)
            off = sum(n for (true, k), n in pairs.items() if abs(k - true) == 1) / max(total, 1)
            print(f"| {name} | all | | | | | | {right:.2f} | {off:.2f} |")


if __name__ == "__main__":
    main()
