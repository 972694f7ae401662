"""``jaxmotion flow``: the optical flow of a video."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxmotion.commands.parsing import parse_options


@dataclass(frozen=True)
class Flow:
    """Estimates the optical flow of a video; what is there already is kept.

    Attributes:
        video: a video file, or a folder of frames.
        out: the folder to write to.
        estimator: estimator of the flow: dis, raft, raft_small, or soflow for small objects that
            move little; auto is raft where its weights are there and an accelerator makes it quick,
            else dis.
        scale: enlarge the frames by this factor for the estimator, for small objects.
        weights: file of the weights, for raft and raft_small instead of those that `jaxmotion
            weights` fetched, for soflow instead of those that are shipped.
        download: fetch the official weights of raft or raft_small if they are not there.
        iterations: number of updates of raft and raft_small, 20 if not given, or of soflow, 4.
        correlation: how raft and raft_small look up correlations: all_pairs, on_demand (less
            memory), or auto.
        refine: also estimate the flow back, and fill in where the two do not agree.
        planar: take the camera's motion wherever it explains the frames as well as the flow does,
            for views from far above; what refine fills in is smoother then.
        backward: flow to the frame before instead of the one after.
        gap: number of frames from one to the other; 1 for neighbors.
        format: file format: a .flo or a KITTI .png for each frame, or one .npz for all.
        color: also write pictures of the flow, in the colors of the usual wheel.
        quality: also write warp error and forward-backward consistency; this takes twice the time.
    """

    video: tyro.conf.Positional[Path]
    out: Path
    estimator: str = "auto"
    scale: Literal[1, 2, 3] = 1
    weights: Path | None = None
    download: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    iterations: int | None = None
    correlation: str | None = None
    refine: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    planar: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    backward: bool = False
    gap: int = 1
    format: Literal["flo", "png", "npz"] = "flo"
    color: bool = False
    quality: bool = False


def main(argv: Sequence[str], prog: str = "jaxmotion flow") -> None:
    """Estimates and writes the flow, and says what came out.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.
    """
    options = parse_options(Flow, argv, prog=prog)
    from jaxmotion.data import open_video
    from jaxmotion.optical_flow import (
        FLOW_STRENGTH,
        SMALL_STRENGTH,
        Planar,
        Refined,
        enlarged,
        make_estimator,
        write_flow_folder,
    )
    from jaxmotion.optical_flow.choice import ask_at_terminal, choose_estimator
    from jaxmotion.training.compilation_cache import enable_compilation_cache

    enable_compilation_cache()
    video = open_video(options.video, min_frames=options.gap + 1)
    chosen = choose_estimator(
        options.estimator,
        options.weights,
        refined=False,
        may_download=options.download,
        ask=ask_at_terminal(),
    )
    estimator = make_estimator(
        chosen.name,
        weights=chosen.weights,
        iterations=options.iterations,
        correlation=options.correlation,
    )
    estimator = enlarged(estimator, options.scale)
    if options.refine:
        strength = SMALL_STRENGTH if options.planar else FLOW_STRENGTH
        estimator = Refined(estimator, strength)
    if options.planar:
        estimator = Planar(estimator)
    report = write_flow_folder(
        video,
        options.out,
        estimator,
        gap=options.gap,
        backward=options.backward,
        format=options.format,
        color=options.color,
        quality=options.quality,
    )
    print(report)
    if chosen.reason:
        print(chosen.reason)
