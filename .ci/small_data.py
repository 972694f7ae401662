"""Makes a video of six frames, and a DAVIS-like root with its flow and masks: `small_data.py DIR`.

A textured disc moves over a texture that moves the other way.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from jaxmotion.data import write_image
from jaxmotion.optical_flow import write_flow_npz

FRAMES, HEIGHT, WIDTH = 6, 96, 160
CAMERA, DISC = np.array([-2, 0]), np.array([3, 1])  # pixels per frame, right and down


def texture(rng: np.random.Generator) -> np.ndarray:
    """uint8 [2H, 2W, 3], blurred noise."""
    noise = cv2.GaussianBlur(rng.normal(size=(2 * HEIGHT, 2 * WIDTH, 3)), (0, 0), 2)
    return np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)


def crop(image: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """The frame's part of a texture that has moved."""
    x, y = np.array([WIDTH, HEIGHT]) // 2 - moved
    return image[y : y + HEIGHT, x : x + WIDTH]


def main(folder: Path) -> None:
    """Writes `frames/` and `davis/`."""
    rng = np.random.default_rng(0)
    far, near = texture(rng), texture(rng)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    flow = np.empty((FRAMES - 1, HEIGHT, WIDTH, 2), np.float32)
    for t in range(FRAMES):
        x, y = np.array([WIDTH, HEIGHT]) // 2 + (t - FRAMES // 2) * DISC
        inside = np.hypot(columns - x, rows - y) < 25
        frame = np.where(inside[..., None], crop(near, t * DISC), crop(far, t * CAMERA))
        write_image(folder / "frames" / f"{t:05d}.png", frame)
        mask = np.where(inside, 255, 0).astype(np.uint8)
        write_image(folder / "davis" / "Annotations" / "480p" / "disc" / f"{t:05d}.png", mask)
        if t < FRAMES - 1:
            flow[t] = np.where(inside[..., None], DISC, CAMERA)
    flow += rng.normal(0, 0.1, flow.shape)
    write_flow_npz(folder / "davis" / "Flows" / "made_up" / "disc.npz", flow)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
