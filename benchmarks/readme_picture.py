"""The picture of the README, from what `eval.py` left: flow and segments of a few sequences.

python benchmarks/readme_picture.py SCORES/pictures docs/images/em_davis.png \
    blackswan camel car-shadow scooter-black
"""

import sys
from pathlib import Path

import numpy as np

from jaxmotion.data import read_image, write_image
from jaxmotion.evaluation.pictures import GAP, TILE_WIDTH


def main() -> None:
    """Joins the second frame of each sequence, without the row that shows the ground truth."""
    folder, out, *sequences = sys.argv[1:]
    start = TILE_WIDTH + GAP
    strips = [read_image(Path(folder) / f"{name}.png") for name in sequences]
    rows = 2 * (strips[0].shape[0] + GAP) // 3 - GAP
    frames = [strip[:rows, start : start + TILE_WIDTH] for strip in strips]
    gap = np.full((frames[0].shape[0], GAP, 3), 255, np.uint8)
    joined = [part for frame in frames for part in (frame, gap)][:-1]
    write_image(Path(out), np.concatenate(joined, axis=1))


if __name__ == "__main__":
    main()
