"""A trained segmenter on videos of many lengths: time, memory, and that every mask is sound.

    python benchmarks/lengths.py RUN [--lengths 1 2 3 9] [--streamed 250 1000]

The videos are procedural scenes at the size the network was trained for. Each length goes through
as the checkpoint says; the streamed ones in windows, whose memory must not grow with the video.
Memory is what the process peaks at above what it held before, compilation left out. Linux.
"""

import argparse
import itertools
import os
import time
from collections.abc import Callable, Iterable

import numpy as np
from memory import peak_above

from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.scenes import LEVELS, generate

SCENE_FRAMES = 60


def check(masks: Iterable[np.ndarray], shape: tuple[int, int, int]) -> int:
    """How many frames of masks there are.

    Raises:
        ValueError: where one has another shape than [H, W, K], is not finite or does not sum to 1.
    """
    count = 0
    for frame in masks:
        if frame.shape != shape or not np.isfinite(frame).all():
            raise ValueError(f"frame {count}: shape {frame.shape}, expected finite masks {shape}")
        if np.abs(frame.sum(-1) - 1).max() > 1e-4:
            raise ValueError(f"frame {count}: masks do not sum to 1")
        count += 1
    return count


def row(kind: str, frames: int, call: Callable[[], int]) -> None:
    """Prints what a call costs that segments so many frames; one before it compiles."""
    count = call()
    start = time.perf_counter()
    memory = peak_above(call)
    seconds = time.perf_counter() - start
    if count != frames:
        raise ValueError(f"{kind}: {count} frames of masks for {frames} of flow")
    print(f"| {kind} | {frames} | {1e3 * seconds / frames:.0f} | {memory:.0f} |", flush=True)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--lengths", type=int, nargs="*", default=[1, 2, 3, 9, 10, 47, 120])
    parser.add_argument("--streamed", type=int, nargs="*", default=[250, 500, 1000])
    options = parser.parse_args()
    segmenter = Segmenter.load(options.run)
    height, width = segmenter.config.data.height, segmenter.config.data.width
    shape = (height, width, segmenter.task.network.num_masks)
    scene = generate(LEVELS["long"], SCENE_FRAMES, height, width, seed=0).flow

    def frames(count: int) -> Iterable[np.ndarray]:
        return itertools.islice(itertools.cycle(scene), count)

    print(f"| {height}×{width} | frames | ms a frame | MB |\n|---|---:|---:|---:|")
    for length in options.lengths:
        flow = np.stack(list(frames(length)))
        row("as trained", length, lambda flow=flow: check(segmenter(flow), shape))
    for length in options.streamed:
        row("streamed", length, lambda n=length: check(segmenter.stream(frames(n)), shape))
    print(f"\nOne machine of {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
