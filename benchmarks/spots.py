"""Noise on a still ground, in a real video and in the scenes of a level.

    python benchmarks/spots.py --data path/to/flies --out spots.png

Prints what the level `small_objects` was set by: number, size, speed and duration of the spots in
which an estimator sees motion, in the flow of DIS between frames 0 and 200 of a video of two flies,
and the same of scenes. Of the video only the part counts in which, as its pictures show, neither
fly is in these frames; of the scenes, those without objects. No label is read. `--out` draws the
flow of both side by side as the network sees it: over the mean of its frame, lengths as logarithms.
"""

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tyro
from instances import COLUMNS, ROWS
from scipy.ndimage import label

from jaxmotion.data.transforms import resize_flow_and_valid
from jaxmotion.data.video import open_video
from jaxmotion.inference.fields import working_size
from jaxmotion.optical_flow.estimators import DIS, estimate_sequence
from jaxmotion.scenes import LEVELS, generate

FRAMES = 201
LEAST_SPEED = 5.8e-6  # frame sizes per frame, from which on a pixel is of a spot
LEAST_PIXELS = 4
NO_FLY = 64  # column from which on there is none, at the size that the network works at
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SHOWN = 6


@dataclass(frozen=True)
class Options:
    """Compares the noise of a real still ground with that of a level.

    Attributes:
        data: folder of the flies' video.
        level: level of the scenes.
        scenes: number of scenes of 8 frames.
        out: picture to write; None for none.
    """

    data: Path = Path("../shared/data/flies")
    level: str = "small_objects"
    scenes: int = 40
    out: Path | None = None


def fly_flow(video: Path) -> np.ndarray:
    """Flow `[T, h, w, 2]` at the size that the network works at, frame sizes per frame."""
    frames = (frame[ROWS, COLUMNS] for frame in itertools.islice(open_video(video), FRAMES))
    found = []
    for flow in estimate_sequence(frames, DIS()):
        height, width = flow.shape[:2]
        size = working_size((height, width), (64, 112), 8)
        small, _ = resize_flow_and_valid(flow, np.ones((height, width), np.float32), size)
        found.append(small / np.sqrt(height * width))
    return np.stack(found)


def spots(clips: list[np.ndarray], share: float) -> dict[str, np.ndarray]:
    """Figures of the spots of clips `[T, h, w, 2]` that show a share of a frame's width."""
    found: dict[str, list[float]] = {
        name: [] for name in ("number", "diameter", "speed", "coherence", "lasting", "steadiness")
    }
    for clip in clips:
        speed = np.linalg.norm(clip, axis=-1)
        size = np.sqrt(speed[0].size / share)
        for t in range(len(clip)):
            parts = np.zeros(speed[t].shape, np.int32)
            label(speed[t] > LEAST_SPEED, np.ones((3, 3)), output=parts)
            count = parts.max()
            there = [parts == part for part in range(1, count + 1)]
            there = [inside for inside in there if inside.sum() >= LEAST_PIXELS]
            found["number"].append(len(there) / share)
            for inside in there:
                found["diameter"].append(np.sqrt(inside.sum() * 4 / np.pi) / size)
                found["speed"].append(speed[t][inside].max())
                flow = clip[t][inside]
                found["coherence"].append(np.hypot(*flow.sum(0)) / speed[t][inside].sum())
                if t + 1 < len(clip):
                    again = (speed[t + 1][inside] > LEAST_SPEED).mean() > 0.5
                    found["lasting"].append(float(again))
                    if again:
                        after = clip[t + 1][inside]
                        both = np.sqrt((flow**2).sum() * (after**2).sum())
                        found["steadiness"].append((flow * after).sum() / both)
    return {name: np.array(values) for name, values in found.items()}


def as_seen(flow: np.ndarray) -> np.ndarray:
    """A frame's flow as a picture: logarithms of its lengths over its mean."""
    length = np.linalg.norm(flow, axis=-1) / max(float(np.abs(flow).mean()), 1e-9)
    gray = np.clip(255 * np.log1p(length) / np.log(2000), 0, 255).astype(np.uint8)
    picture = cv2.applyColorMap(gray, cv2.COLORMAP_INFERNO)
    bottom, right = 64 - picture.shape[0], 144 - picture.shape[1]
    return cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=(64, 64, 64))


def main() -> None:
    options = tyro.cli(Options)
    config = LEVELS[options.level]
    size = float(np.sqrt(64 * 112))

    def scenes(**changes: Any) -> list[np.ndarray]:
        level = replace(config, **changes)
        numbers = range(2**20, 2**20 + options.scenes)
        found = (generate(level, 8, 64, 112, seed=number) for number in numbers)
        return [scene.flow[~scene.corrupted] / size for scene in found]

    flies = fly_flow(options.data / "clip.mp4")
    share = 1 - NO_FLY / flies.shape[2]
    for name, clips, part in (
        ("flies", [flies[:, :, NO_FLY:]], share),
        (options.level, scenes(empty_probability=1.0, occluder_probabilities=(1.0,)), 1.0),
    ):
        for key, values in spots(clips, part).items():
            spread = " ".join(f"{value:.3g}" for value in np.quantile(values, QUANTILES))
            print(f"{name:14s} {key:11s} mean {values.mean():.3g}, quantiles {spread}")
    fastest = np.linalg.norm(flies[:, :, :NO_FLY], axis=-1).max(axis=(1, 2))
    print(f"fastest pixel at the flies: {np.quantile(fastest, (0.5, 0.9, 0.99))}")
    if options.out is not None:
        real = [as_seen(flies[t]) for t in np.linspace(5, len(flies) - 5, SHOWN).astype(int)]
        made = [as_seen(clip[len(clip) // 2]) for clip in scenes(empty_probability=0.0)[:SHOWN]]
        cv2.imwrite(str(options.out), np.hstack([np.vstack(real), np.vstack(made)]))


if __name__ == "__main__":
    main()
