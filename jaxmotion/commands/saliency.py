"""``jaxmotion saliency VIDEO --checkpoint RUN --out OUT``: whether anything moves, and what."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxmotion.commands.parsing import parse_options
from jaxmotion.commands.segmenting import choose_flow
from jaxmotion.models import DEFAULT_CLASSIFIER


@dataclass(frozen=True)
class Saliency:
    """Tells of each frame whether anything moves on its own, where, and how much it stands out.

    Attributes:
        video: a video file, or a folder of frames.
        out: the folder to write to.
        checkpoint: the frame classifier: the folder of a run of `train.py nims`, a file that
            `jaxmotion export` wrote, or the name of a shipped model.
        segments: network whose segments are judged, as `segment --checkpoint` takes it; layers of
            affine motion if none is given, as published.
        rule: which regions move: those above the largest (above_largest, as published, each frame
            by itself), or with a share of the mean relevance over the whole video (share).
        share: the share of the rule of that name.
        estimator: estimator of the flow: dis (refined for masks), raft or raft_small; auto is raft
            where its weights are there and an accelerator makes it quick, else dis.
        weights: file of the weights, for raft and raft_small.
        download: fetch the official weights of raft or raft_small if they are not there.
        flow: flow that is there already, instead of an estimator: what `jaxmotion flow` wrote, a
            .npz, or a folder of .flo numbered like the frames.
    """

    video: tyro.conf.Positional[Path]
    out: Path
    checkpoint: str = DEFAULT_CLASSIFIER
    segments: str | None = None
    rule: Literal["share", "above_largest"] = "share"
    share: float = 0.2
    estimator: str = "auto"
    weights: Path | None = None
    download: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    flow: Path | None = None


def main(argv: Sequence[str], prog: str = "jaxmotion saliency") -> None:
    """Judges a video, and says what was found.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.
    """
    options = parse_options(Saliency, argv, prog=prog)
    from jaxmotion.answer.saliency import judge_video
    from jaxmotion.inference.detector import FrameDetector
    from jaxmotion.inference.nims import Selection
    from jaxmotion.inference.segmenter import Segmenter
    from jaxmotion.training.compilation_cache import enable_compilation_cache

    enable_compilation_cache()
    detector = FrameDetector.load(options.checkpoint)
    segmenter = None if options.segments is None else Segmenter.load(options.segments)
    flow, _ = choose_flow(options.estimator, options.weights, options.download, options.flow)
    made_by = f"from {flow}" if isinstance(flow, Path) else flow.name
    selection = Selection(options.rule, options.share, options.rule == "share")
    settings = {
        "Classifier": options.checkpoint,
        "Regions": options.segments or "layers of affine motion",
        "Rule": f"share {options.share:g}" if options.rule == "share" else "above the largest",
        "Flow": made_by,
    }
    found = judge_video(options.video, detector, segmenter, options.out, flow, selection, settings)
    print(f"{options.out}: index.html, frames.csv, moving, saliency, relevance; {found}")
