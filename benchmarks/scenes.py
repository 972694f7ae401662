"""How fast scenes are drawn, and how hard they are.

    python benchmarks/scenes.py                     # frames per second on one core, by level
    python benchmarks/scenes.py --difficulty 200    # IoU of the training-free baselines, by level

Speed is measured in processor time of a single thread, so that a busy machine does not change it
much; the wall time is printed beside it.
"""

import argparse
import os
import platform
import time

# Before numpy is imported: the matrix products are small, and one core is what is asked about.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

from jaxmotion.scenes import LEVELS, generate  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description="Speed and difficulty of procedural scenes.")
    parser.add_argument("--size", type=int, nargs=2, default=(64, 112), metavar=("H", "W"))
    parser.add_argument("--frames", type=int, default=300, help="frames to time per clip length")
    parser.add_argument("--difficulty", type=int, default=0, metavar="N", help="score N scenes")
    arguments = parser.parse_args()
    print(f"{machine()}, numpy {np.__version__}, {arguments.size[0]}x{arguments.size[1]}")
    if arguments.difficulty:
        print_difficulty(arguments.difficulty, arguments.size)
    else:
        print_speed(arguments.frames, arguments.size)


def print_speed(frames: int, size: tuple[int, int]):
    print("frames per second, processor time (wall time)")
    lengths = (1, 9, 60)
    print(f"{'level':<10}" + "".join(f"{f'T = {length}':>18}" for length in lengths))
    for level, config in LEVELS.items():
        row = f"{level:<10}"
        for length in lengths:
            generate(config, length, *size, seed=0)
            clips = max(1, frames // length)
            processor, wall = time.process_time(), time.perf_counter()
            for seed in range(clips):
                generate(config, length, *size, seed=seed)
            processor, wall = time.process_time() - processor, time.perf_counter() - wall
            rates = f"{clips * length / processor:.0f} ({clips * length / wall:.0f})"
            row += f"{rates:>18}"
        print(row, flush=True)


def print_difficulty(count: int, size: tuple[int, int]):
    from jaxmotion.experiments.scenes import scene_scores

    def draw(level, first):
        scenes = (generate(LEVELS[level], 1, *size, seed=first + i) for i in range(count))
        return [scene._asdict() for scene in scenes if not scene.corrupted.any()]

    print("mean foreground IoU of single frames")
    for level in LEVELS:
        scores = scene_scores(None, draw(level, 10_000_000), draw(level, 20_000_000))
        print(f"{level:<10}" + "".join(f"  {name} {score:.3f}" for name, score in scores.items()))


def machine() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return f"{names[0] if names else platform.processor()} ({os.cpu_count()} cores)"


if __name__ == "__main__":
    main()
