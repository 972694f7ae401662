"""What `segment` finds of small vehicles, by the flow that it is given.

    python benchmarks/small_objects_masks.py --soflow soflow.safetensors --picture masks.png
    python benchmarks/small_objects_masks.py --davis path/to/DAVIS

Clips of ten frames of 192x192 with moving vehicles, over grounds that no network has seen, each
segmented from the default flow, from DIS as it is, from the default flow on frames enlarged twice,
from SoFlow as it is, as `segment --estimator soflow` takes it, and from the true flow.

"J" is the Jaccard index of what moves, chosen without annotation, with all moving
vehicles, over all frames; "found" the share of moving vehicles of which half the pixels are
in it; "false" the share of the other pixels that are in it.

With a DAVIS root, the clips are parts of its sequences, reduced four times (`small_objects.py`),
what is annotated counts as one vehicle, the "true" flow is that of the root, and "J" is the
mean over the sequences, whose own follow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import tyro
from small_objects import WITH_FRAMES, reduced_clip

from jaxmotion.data.pictures import write_image
from jaxmotion.evaluation.discovery import find_sequences
from jaxmotion.experiments.scenes import TEST_SEED
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.optical_flow import Estimator, estimator_for_masks, flow_to_color, make_estimator
from jaxmotion.saliency import salient_foreground
from jaxmotion.scenes.aerial import draw_clip
from jaxmotion.scenes.aerial_config import AERIAL
from jaxmotion.scenes.grounds import fields

SIZE, FLOWS = (192, 192), 9
EVERY = 40  # frames of a sequence, at one of which a clip starts
SHOWN = 5  # clips of a picture


@dataclass(frozen=True)
class BenchmarkConfig:
    """Segments clips of small vehicles.

    Attributes:
        soflow: weights of SoFlow; the shipped ones by default.
        checkpoint: network that segments.
        clips: number of clips.
        level: distribution of the clips.
        davis: folder laid out like DAVIS, with frames and flow, instead of these clips.
        methods: names of the rows; all by default.
        picture: file to draw the first frames of some clips to, the flow and what moves.
    """

    soflow: Path | None = None
    checkpoint: str = "lt-ms-k4"
    clips: int = 20
    level: str = "default"
    davis: Path | None = None
    methods: tuple[str, ...] = ()
    picture: Path | None = None


@dataclass(frozen=True)
class Seen:
    """A clip `[T + 1, H, W, ...]`, its flow, what moves in it, and as which object, 0 for none."""

    group: str
    frames: np.ndarray
    flow: np.ndarray
    moving: np.ndarray
    objects: np.ndarray


def made_up(config: BenchmarkConfig) -> list[Seen]:
    seeds = (TEST_SEED * 2**32 + number for number in range(config.clips))
    drawn = [draw_clip(AERIAL[config.level], FLOWS, *SIZE, seed, fields) for seed in seeds]
    return [Seen("", clip.frames, clip.flow, clip.moving, clip.vehicles) for clip in drawn]


def real(root: Path) -> list[Seen]:
    clips = []
    for scored in find_sequences(root, "raft", WITH_FRAMES):
        for start in range(0, scored.record.length - FLOWS, EVERY):
            clip = reduced_clip(scored.record, start, FLOWS)
            clips.append(Seen(scored.name, *clip, clip.moving.astype(int)))
    return clips


def flows_by(estimator: Estimator) -> Callable[[Seen], np.ndarray]:
    return lambda clip: np.stack([estimator(*pair) for pair in pairwise(clip.frames)])


def score(found: np.ndarray, clip: Seen) -> tuple[int, int, list[bool], float]:
    """Pixels in both and in either, which objects are found, and the share of false pixels."""
    hits = [
        bool(found[t][clip.objects[t] == number].mean() >= 0.5)
        for t in range(len(found))
        for number in np.unique(clip.objects[t][clip.moving[t]])
    ]
    both, either = (found & clip.moving).sum(), (found | clip.moving).sum()
    return int(both), int(either), hits, float(found[~clip.moving].mean())


def drawn(above: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """A picture over what moves, in white."""
    mask = np.repeat(np.uint8(255) * moving[..., None], 3, axis=-1)
    framed = (np.pad(p, ((0, 4), (0, 4), (0, 0)), constant_values=128) for p in (above, mask))
    return np.concatenate([*framed])


def columns_of(clip: Seen, found: dict[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The first frame over what moves; beside it for each method the flow over the same."""
    largest = float(np.linalg.norm(clip.flow[0], axis=-1).max())
    columns = [drawn(clip.frames[0], clip.moving[0])]
    for flow, moving in found.values():
        columns.append(drawn(flow_to_color(flow, largest), moving))
    return np.concatenate(columns, axis=1)


def main(config: BenchmarkConfig) -> None:
    segmenter = Segmenter.load(config.checkpoint)
    clips = real(config.davis) if config.davis is not None else made_up(config)
    groups = list(dict.fromkeys(clip.group for clip in clips))
    methods: dict[str, Callable[[Seen], np.ndarray]] = {
        "default": flows_by(estimator_for_masks("dis")),
        "dis": flows_by(make_estimator("dis")),
        "default_x2": flows_by(estimator_for_masks("dis", 2)),
        "soflow": flows_by(make_estimator("soflow", weights=config.soflow)),
        "soflow_masks": flows_by(estimator_for_masks("soflow", weights=config.soflow)),
        "truth": lambda clip: clip.flow,
    }
    methods = {name: methods[name] for name in config.methods or methods}
    shown = {n: {} for n in range(0, len(clips), -(-len(clips) // SHOWN))}
    print(f"{'':12s}      J  found  false  {' '.join(groups)}")
    for name, flows_of in methods.items():
        scores = {group: [] for group in groups}
        for number, clip in enumerate(clips):
            flow = flows_of(clip)
            moving = salient_foreground(segmenter(flow), flow) > 0.5
            scores[clip.group].append(score(moving, clip))
            if number in shown:
                shown[number][name] = flow[0], moving[0]
        both, either = (np.array([sum(s[i] for s in scores[g]) for g in groups]) for i in (0, 1))
        every = [s for group in groups for s in scores[group]]
        hits, false = np.concatenate([s[2] for s in every]), np.mean([s[3] for s in every])
        each = " ".join(f"{j:.3f}" for j in both / either) if len(groups) > 1 else ""
        line = f"{np.mean(both / either):.3f}  {hits.mean():.3f}  {false:.3f}  {each}"
        print(f"{name:12s}  {line}", flush=True)
    if config.picture is not None:
        rows = [columns_of(clips[number], found) for number, found in shown.items()]
        write_image(config.picture, np.concatenate(rows))


if __name__ == "__main__":
    main(tyro.cli(BenchmarkConfig, description=__doc__))
