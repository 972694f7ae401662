"""What `segment` finds of small vehicles, by the flow that it is given.

    python benchmarks/small_objects_masks.py --soflow soflow.safetensors --picture masks.png

Clips of ten frames of 192x192 with moving vehicles, over grounds that no network has seen, each
segmented from the default flow, from DIS as it is, from the default flow on frames enlarged twice,
from SoFlow as it is, as `segment --estimator soflow` takes it, and from the true flow.

"J" is the Jaccard index of what moves, chosen without annotation, with all moving
vehicles, over all frames; "found" the share of moving vehicles of which half the pixels are
in it; "false" the share of the other pixels that are in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import tyro

from jaxmotion.data.pictures import overlay, write_image
from jaxmotion.experiments.scenes import TEST_SEED
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.optical_flow import Estimator, estimator_for_masks, make_estimator
from jaxmotion.saliency import salient_foreground
from jaxmotion.scenes.aerial import AERIAL, AerialClip, draw_clip
from jaxmotion.scenes.grounds import fields

SIZE, FLOWS = (192, 192), 9


@dataclass(frozen=True)
class BenchmarkConfig:
    """Segments clips of small vehicles.

    Attributes:
        soflow: weights of SoFlow; the shipped ones by default.
        checkpoint: network that segments.
        clips: number of clips.
        level: distribution of the clips.
        picture: file to draw the first frame of some clips to.
    """

    soflow: Path | None = None
    checkpoint: str = "lt-ms-k4"
    clips: int = 20
    level: str = "default"
    picture: Path | None = None


def flows_by(estimator: Estimator) -> Callable[[AerialClip], np.ndarray]:
    return lambda clip: np.stack([estimator(*pair) for pair in pairwise(clip.frames)])


def score(found: np.ndarray, clip: AerialClip) -> tuple[int, int, list[bool], float]:
    """Pixels in both and in either, which vehicles are found, and the share of false pixels."""
    hits = [
        bool(found[t][clip.vehicles[t] == number].mean() >= 0.5)
        for t in range(len(found))
        for number in np.unique(clip.vehicles[t][clip.moving[t]])
    ]
    both, either = (found & clip.moving).sum(), (found | clip.moving).sum()
    return int(both), int(either), hits, float(found[~clip.moving].mean())


def _framed(picture: np.ndarray) -> np.ndarray:
    return np.pad(picture, ((0, 4), (0, 4), (0, 0)), constant_values=255)


def main(config: BenchmarkConfig) -> None:
    segmenter = Segmenter.load(config.checkpoint)
    seeds = (TEST_SEED * 2**32 + number for number in range(config.clips))
    drawn = [draw_clip(AERIAL[config.level], FLOWS, *SIZE, seed, fields) for seed in seeds]
    methods: dict[str, Callable[[AerialClip], np.ndarray]] = {
        "default": flows_by(estimator_for_masks("dis")),
        "dis": flows_by(make_estimator("dis")),
        "default_x2": flows_by(estimator_for_masks("dis", 2)),
        "soflow": flows_by(make_estimator("soflow", weights=config.soflow)),
        "soflow_masks": flows_by(estimator_for_masks("soflow", weights=config.soflow)),
        "truth": lambda clip: clip.flow,
    }
    pictures = [[clip.frames[0] for clip in drawn[:5]]]
    print(f"{'':12s}      J  found  false")
    for name, flows_of in methods.items():
        scores, shown = [], []
        for clip in drawn:
            flow = flows_of(clip)
            moving = salient_foreground(segmenter(flow), flow) > 0.5
            scores.append(score(moving, clip))
            shown.append(overlay(clip.frames[0], moving[0].astype(int)))
        both, either = (sum(s[i] for s in scores) for i in (0, 1))
        hits = np.concatenate([s[2] for s in scores])
        false = np.mean([s[3] for s in scores])
        print(f"{name:12s}  {both / either:.3f}  {hits.mean():.3f}  {false:.3f}", flush=True)
        pictures.append(shown[:5])
    if config.picture is not None:
        rows = [np.concatenate([_framed(p) for p in row], axis=1) for row in pictures]
        write_image(config.picture, np.concatenate(rows))


if __name__ == "__main__":
    main(tyro.cli(BenchmarkConfig, description=__doc__))
