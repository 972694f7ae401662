"""``jaxmotion segment``: a video of one's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxmotion.commands.parsing import parse_options
from jaxmotion.models import DEFAULT_MODEL


@dataclass(frozen=True)
class Segment:
    """Segments a video: masks (PNG), an overlay video and the motion parameters.

    Attributes:
        video: a video file, or a folder of frames.
        out: the folder to write to.
        checkpoint: the name of a shipped model (`jaxmotion models` lists them), the folder of a
            training run, or a file that `jaxmotion export` wrote.
        estimator: what estimates the flow: dis (refined for masks), raft or raft_small.
        weights: file of the weights, for raft and raft_small.
        flow: flow that is there already, what `jaxmotion flow` wrote or a .npz or a folder of .flo
            numbered like the frames, instead of an estimator.
        window: frames that the network sees at once, instead of what the checkpoint was trained
            for; 0 for the whole video.
        overlap: frames that two windows share, by which their labels are linked.
        num_masks: another number of segments than in training, for a network with slots.
        latents: also write latents.npz and latents.png, what the network takes segments for.
    """

    video: tyro.conf.Positional[Path]
    out: Path
    checkpoint: str = DEFAULT_MODEL
    estimator: str = "dis"
    weights: Path | None = None
    flow: Path | None = None
    window: int | None = None
    overlap: int | None = None
    num_masks: int | None = None
    latents: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def main(argv: Sequence[str], prog: str = "jaxmotion segment") -> None:
    """Segments a video, writes what moves, and says how long it took.

    Args:
        argv: the options.
        prog: the command as it was typed.
    """
    options = parse_options(Segment, argv, prog=prog)
    from jaxmotion.inference.segmenter import Segmenter
    from jaxmotion.inference.video import segment_video
    from jaxmotion.optical_flow import estimator_for_masks
    from jaxmotion.training.compilation_cache import enable_compilation_cache

    enable_compilation_cache()
    flow = options.flow
    if flow is None:
        flow = estimator_for_masks(options.estimator, weights=options.weights)
    segmenter = Segmenter.load(options.checkpoint, num_masks=options.num_masks)
    segmenter.inference = segmenter.inference.override(options.window, options.overlap)
    report = segment_video(options.video, segmenter, options.out, flow, latents=options.latents)
    print(f"{options.out}: masks, moving, overlay.mp4, theta.npz; {report}")
