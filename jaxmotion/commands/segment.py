"""``jaxmotion segment``: a video of one's own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from jaxmotion.commands.parsing import parse_options
from jaxmotion.errors import InputError
from jaxmotion.models import DEFAULT_CLASSIFIER, DEFAULT_MODEL


@dataclass(frozen=True)
class Segment:
    """Tells what moves in a video: masks of it, of all segments, and a page to look at.

    Attributes:
        video: a video file, or a folder of frames.
        out: the folder to write to.
        probabilities: also write probabilities/, the probability of each pixel to move, 0 to 255.
        saliency: also write saliency/, how far what moves is from the motion of the rest, 0 to 255.
        export: also write what moves for other programs: masks for colmap or nerfstudio, coco.json,
            pictures (cutout) or a video (alpha) of what moves on a transparent ground, davis
            annotations.
        dilate: pixels by which the masks for colmap and nerfstudio are widened.
        checkpoint: the name of a shipped model (`jaxmotion models` lists them), the folder of a
            training run, or a file that `jaxmotion export` wrote.
        classifier: the frame classifier that tells whether anything moves at all, named as a
            checkpoint is; none leaves that to a floor on the residuals of the segments.
        estimator: estimator of the flow: dis (refined for masks), raft, raft_small, or soflow for
            small objects that move little; auto is raft where its weights are there and an
            accelerator makes it quick, else dis.
        scale: enlarge the frames by this factor for the estimator, for small objects.
        weights: file of the weights, for raft and raft_small instead of those that `jaxmotion
            weights` fetched, for soflow instead of those that are shipped.
        download: fetch the official weights of raft or raft_small if they are not there.
        flow: flow that is there already, instead of an estimator: what `jaxmotion flow` wrote, a
            .npz, or a folder of .flo numbered like the frames.
        window: number of frames that the network sees at once, instead of what the checkpoint was
            trained for; 0 for the whole video.
        overlap: number of frames that two windows share, by which their labels are linked.
        num_masks: number of segments of a network with slots, if not as in training.
        latents: also write latents.npz and latents.png, the latent motion of the segments.
        attention: show on the page the weights that the network's gate gives to frames and regions;
            for networks that were trained with one.
    """

    video: tyro.conf.Positional[Path]
    out: Path
    probabilities: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    saliency: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    export: tuple[Literal["colmap", "nerfstudio", "coco", "cutout", "alpha", "davis"], ...] = ()
    dilate: int = 0
    checkpoint: str = DEFAULT_MODEL
    classifier: str = DEFAULT_CLASSIFIER
    estimator: str = "auto"
    scale: Literal[1, 2, 3] = 1
    weights: Path | None = None
    download: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    flow: Path | None = None
    window: int | None = None
    overlap: int | None = None
    num_masks: int | None = None
    latents: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    attention: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def main(argv: Sequence[str], prog: str = "jaxmotion segment") -> None:
    """Segments a video, writes what moves, and says how long it took.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.
    """
    options = parse_options(Segment, argv, prog=prog)
    from jaxmotion.answer import Answer, segment_video
    from jaxmotion.answer.instances import segment_instances
    from jaxmotion.inference.detector import FrameDetector
    from jaxmotion.inference.instance_segmenter import InstanceSegmenter
    from jaxmotion.inference.segmenter import Segmenter
    from jaxmotion.models.loading import load_trained
    from jaxmotion.optical_flow import estimator_for_masks
    from jaxmotion.optical_flow.choice import ask_at_terminal, choose_estimator
    from jaxmotion.training.compilation_cache import enable_compilation_cache

    answer = Answer(
        options.probabilities,
        options.saliency,
        options.latents,
        options.export,
        options.dilate,
        options.attention,
    )
    enable_compilation_cache()
    of_instances = load_trained(options.checkpoint).config.task.kind == "instances"
    if of_instances:
        _check_instances(options)
    flow = options.flow
    made_by, advice = f"from {options.flow}", ""
    if flow is None:
        chosen = choose_estimator(
            options.estimator,
            options.weights,
            may_download=options.download,
            ask=ask_at_terminal(),
        )
        advice = chosen.reason
        flow = estimator_for_masks(chosen.name, options.scale, weights=chosen.weights)
        made_by = ", ".join([flow.name, *_words(flow.settings)])
    if of_instances:
        segmenter = InstanceSegmenter.load(options.checkpoint)
    else:
        segmenter = Segmenter.load(options.checkpoint, num_masks=options.num_masks)
    segmenter.inference = segmenter.inference.override(options.window, options.overlap)
    windows = segmenter.inference
    settings = {
        "Network": options.checkpoint,
        **({} if of_instances else {"Classifier": options.classifier}),
        "Flow": made_by,
        "Windows": f"{windows.window} frames, sharing {windows.overlap}"
        if windows.window
        else "the whole video",
    }
    if isinstance(segmenter, InstanceSegmenter):
        chosen = (options.export, options.dilate, options.attention)
        found = segment_instances(options.video, segmenter, options.out, flow, settings, *chosen)
        print(f"{options.out}: index.html, masks, moving, overlay.mp4, tracks.csv; {found}")
    else:
        detector = None
        if options.classifier != "none":
            detector = FrameDetector.load(options.classifier)
        report = segment_video(
            options.video, segmenter, options.out, flow, answer, settings, detector
        )
        print(f"{options.out}: {', '.join(report.written)}; {report}")
    if advice:
        print(advice)


def _check_instances(options: Segment) -> None:
    """Refuses what only segments have: objects are not chosen among, and have no latents."""
    for name in ("probabilities", "saliency", "latents", "num_masks"):
        if getattr(options, name):
            raise InputError(
                f"--{name.replace('_', '-')}: expected without it; {options.checkpoint} is a "
                "network of instances"
            )


def _words(settings: dict[str, Any]) -> Iterator[str]:
    """Settings as a reader wants them: one in the other, and without what is not set."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield " ".join([key, *_words(value)])
        elif value is not None:
            yield f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
