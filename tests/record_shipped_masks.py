"""Writes `shipped_masks.npz`: what each shipped model makes of one made-up clip.

python tests/record_shipped_masks.py

To be run when a shipped model is replaced, and at no other time: `test_model_zoo.py` compares with
it, so that a change which breaks all of them alike does not pass unseen.
"""

from pathlib import Path

import numpy as np

from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.models import shipped_models
from jaxmotion.models.files import read_model
from jaxmotion.scenes import LEVELS, generate

FILE = Path(__file__).with_name("shipped_masks.npz")
STEP = 4
"""Every so many rows and columns of the masks are kept."""


def segmenters() -> list[str]:
    """The names of the shipped models that segment."""
    return [
        name
        for name, path in shipped_models().items()
        if read_model(path).config.task.kind == "segmentation"
    ]


def sample_masks(name: str, flow: np.ndarray) -> np.ndarray:
    """Masks `[T, h, w, K]` that the network of a shipped model gives, before any linking."""
    masks = np.asarray(Segmenter.load(name).describe(flow).masks)
    return masks[:, STEP // 2 :: STEP, STEP // 2 :: STEP]


def main() -> None:
    # Float16 in the file, so that what is compared later has seen the same numbers.
    flow = generate(LEVELS["default"], 3, 64, 112, seed=5).flow.astype(np.float16)
    masks = {name: sample_masks(name, flow.astype(np.float32)) for name in segmenters()}
    kept = {name: np.rint(65535 * array).astype(np.uint16) for name, array in masks.items()}
    np.savez_compressed(FILE, flow=flow, **kept)
    shapes = ", ".join(f"{name} {array.shape}" for name, array in masks.items())
    print(f"{FILE}: {FILE.stat().st_size / 1000:.0f} kB, {shapes}")


if __name__ == "__main__":
    main()
