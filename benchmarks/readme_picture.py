"""The picture of the README, from what `eval.py` left: flow and segments of a few sequences.

python benchmarks/readme_picture.py SCORES/pictures/DATASET METHOD docs/images/davis.png \
    blackswan camel car-shadow scooter-black
"""

import base64
import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from jaxmotion.data import write_image

SIZE = (240, 135)  # width and height of a tile
GAP = 4
MOMENT = 0.4  # of the video


def main() -> None:
    """Joins one frame of each sequence, flow above segments."""
    folder, method, out, *sequences = sys.argv[1:]
    columns = [
        beside(
            [
                tile(Path(folder) / name / layer)
                for layer in ("flow.json", f"{method}/segments.json")
            ],
            axis=0,
        )
        for name in sequences
    ]
    write_image(Path(out), beside(columns, axis=1))


def tile(path: Path) -> np.ndarray:
    """uint8 [h, w, 3], one picture of a layer."""
    pictures = json.loads(path.read_text(encoding="utf-8"))["pictures"]
    data = pictures[int(MOMENT * len(pictures))].partition("base64,")[2]
    image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
    return np.asarray(image.resize(SIZE, Image.Resampling.BOX))


def beside(tiles: list[np.ndarray], axis: int) -> np.ndarray:
    """Joins tiles with white between them."""
    shape = list(tiles[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([part for tile in tiles for part in (tile, gap)][:-1], axis=axis)


if __name__ == "__main__":
    main()
