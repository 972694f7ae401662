"""``jaxmotion live``: what moves, while it is filmed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from jaxmotion.commands.parsing import parse_options
from jaxmotion.commands.segmenting import choose_estimator_for_masks
from jaxmotion.errors import InputError
from jaxmotion.models import DEFAULT_LIVE

UNNAMED = Path("live.mp4")
"""Where it is recorded if there is no display and no name."""


@dataclass(frozen=True)
class Live:
    """Shows what moves while it is filmed, with latency and frames per second.

    Attributes:
        source: number of a camera, from 0; a stream that OpenCV opens (rtsp://..., http://...); or
            a video file or a folder of frames.
        record: also write what is shown to this file, an .mp4.
        frames: stop after this many frames.
        show: window shows it on the screen, none does not; auto does where there is a display, and
            else writes live.mp4, unless record names another file.
        checkpoint: the name of a shipped model (`jaxmotion models` lists them), the folder of a
            training run, or a file that `jaxmotion export` wrote.
        estimator: estimator of the flow: dis (refined for masks), raft, raft_small or soflow.
        weights: file of the weights, for raft and raft_small instead of those that `jaxmotion
            weights` fetched, for soflow instead of those that are shipped.
        flow_pixels: number of pixels that frames with more are reduced to about, for dis: fewer are
            quicker, more give better masks.
        window: number of frames that the network sees at once, the newest and those before; by
            default as in training.
        stride: number of frames after which the network looks again; a frame then waits for at
            most one fewer.
    """

    source: tyro.conf.Positional[str]
    record: Path | None = None
    frames: int | None = None
    show: Literal["auto", "window", "none"] = "auto"
    checkpoint: str = DEFAULT_LIVE
    estimator: str = "dis"
    weights: Path | None = None
    flow_pixels: int = 240 * 427
    window: int | None = None
    stride: int = 1

    def __post_init__(self) -> None:
        if self.frames is not None and self.frames < 1:
            raise InputError(f"frames {self.frames}: expected 1 or more")
        if self.flow_pixels < 1:
            raise InputError(f"flow_pixels {self.flow_pixels}: expected 1 or more")


def main(argv: Sequence[str], prog: str = "jaxmotion live") -> None:
    """Watches a source until it ends, and says how fast that was.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.
    """
    options = parse_options(Live, argv, prog=prog)
    from jaxmotion.inference.causal import CausalSegmenter
    from jaxmotion.inference.segmenter import Segmenter
    from jaxmotion.live import Output, Recording, Window, open_source, watch, why_no_display
    from jaxmotion.training.compilation_cache import enable_compilation_cache

    fault = why_no_display()
    file = record_to(options, fault)
    shown = options.show == "window" or (options.show == "auto" and not fault)
    enable_compilation_cache()
    estimator, _ = choose_estimator_for_masks(options.estimator, options.weights)
    segmenter = CausalSegmenter(Segmenter.load(options.checkpoint), options.window, options.stride)
    source = open_source(options.source)
    outputs: list[Output] = [Window(f"jaxmotion live {options.source}")] if shown else []
    if file is not None:
        if file.exists() and Path(options.source).exists() and file.samefile(options.source):
            raise InputError(f"{file}: is what is read; expected another file for the recording")
        outputs.append(Recording(file, source.fps, source.is_live))
        print(f"recording to {file}, until the source ends or Ctrl-C")
    report = watch(source, segmenter, estimator, outputs, options.frames, options.flow_pixels)
    print(f"{options.source}: {report}")


def record_to(options: Live, fault: str) -> Path | None:
    """The file to record to; None for no recording.

    Args:
        options: options of the command.
        fault: why there is no display; empty where there is one.

    Raises:
        InputError: a window without a display, nothing to write to or to show on, or a file without
            a name of the user's that is there already.
    """
    if options.show == "window" and fault:
        raise InputError(f"no display: {fault}; expected --show none --record OUT.mp4")
    if options.record is not None or options.show == "window":
        return options.record
    if options.show == "none":
        raise InputError("--show none: expected --record OUT.mp4 with it, or nothing would come")
    if not fault:
        return None
    if UNNAMED.exists():
        raise InputError(
            f"no display: {fault}; and {UNNAMED} is there already, expected --record OUT.mp4"
        )
    return UNNAMED
