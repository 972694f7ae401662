"""The animated picture of the README: a procedural scene's flow, its segments, and what moves.

python benchmarks/readme_animation.py docs/images/what_moves.webp
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from PIL import Image
from readme_picture import beside

from jaxmotion.files import atomic_path
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.optical_flow.colors import color_labels, flow_to_color
from jaxmotion.saliency import salient_segments
from jaxmotion.scenes import LEVELS, generate

SIZE = (128, 224)
MILLISECONDS = 100  # of a frame


@dataclass(frozen=True)
class AnimationConfig:
    """Draws the picture.

    Attributes:
        out: the file, .webp.
        level: of the scene.
        seed: of the scene.
        frames: their number.
        checkpoint: the network.
    """

    out: tyro.conf.Positional[Path]
    level: str = "default"
    seed: int = 2
    frames: int = 24
    checkpoint: str = "lt-ms-k4"


def main(config: AnimationConfig) -> None:
    """Writes the picture and prints how large it is."""
    flow = generate(LEVELS[config.level], config.frames, *SIZE, seed=config.seed).flow
    masks = Segmenter.load(config.checkpoint)(flow)
    labels = masks.argmax(axis=-1)
    moving = salient_segments(masks, flow)[labels]
    shown = flow_to_color(flow, float(np.percentile(np.linalg.norm(flow, axis=-1), 99)))
    bright = np.where(moving[..., None], shown, shown // 5)
    panels = zip(shown, color_labels(labels, masks.shape[-1]), bright, strict=True)
    pictures = [Image.fromarray(beside(list(panel), axis=1)) for panel in panels]
    pictures += pictures[-2:0:-1]  # there and back, without a jump
    with atomic_path(config.out) as path:
        first, *rest = pictures
        first.save(
            path, save_all=True, append_images=rest, duration=MILLISECONDS, loop=0, quality=60
        )
    print(f"{config.out}: {len(pictures)} pictures, {config.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(tyro.cli(AnimationConfig))
