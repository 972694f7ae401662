"""What commands share that take a video: a network, and the choice of its flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import tyro

from jaxmotion.models import DEFAULT_CLASSIFIER, DEFAULT_MODEL

if TYPE_CHECKING:
    from jaxmotion.inference.detector import FrameDetector
    from jaxmotion.inference.instance_segmenter import InstanceSegmenter
    from jaxmotion.inference.num_masks import ChoosingSegmenter
    from jaxmotion.inference.segmenter import Segmenter
    from jaxmotion.optical_flow.estimators import Estimator


@dataclass(frozen=True)
class Segmenting:
    """A video, and what tells its segments.

    Attributes:
        video: a video file, or a folder of frames.
        out: the folder to write to.
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
        num_masks: number of segments of a network with slots, if not as in training; auto for as
            many as describe the video most briefly.
        sharpen: let the outlines of the masks follow the edges and colors of the frames.
    """

    video: tyro.conf.Positional[Path]
    out: Path
    checkpoint: str = DEFAULT_MODEL
    classifier: str = DEFAULT_CLASSIFIER
    estimator: str = "auto"
    scale: Literal[1, 2, 3] = 1
    weights: Path | None = None
    download: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    flow: Path | None = None
    window: int | None = None
    overlap: int | None = None
    num_masks: int | Literal["auto"] | None = None
    sharpen: bool = True


def choose_flow(
    name: str,
    weights: Path | None,
    may_download: bool,
    given: Path | None,
    scale: Literal[1, 2, 3] = 1,
) -> tuple[Estimator | Path, str]:
    """Chooses the estimator of a video's flow, unless the flow is there already.

    Args:
        name: name of the estimator, or auto.
        weights: file of its weights; None for those that are there.
        may_download: whether official weights may be fetched.
        given: flow that is there already; None for none.
        scale: factor by which frames are enlarged for the estimator.

    Returns:
        The estimator, or where the flow is; what there is to say of the estimator.

    Raises:
        InputError: on an estimator or weights that are not there.
    """
    if given is not None:
        return given, ""
    return choose_estimator_for_masks(name, weights, may_download, scale)


def choose_estimator_for_masks(
    name: str, weights: Path | None, may_download: bool = False, scale: Literal[1, 2, 3] = 1
) -> tuple[Estimator, str]:
    """Chooses the estimator as `choose_flow` does where no flow is there; arguments as there."""
    from jaxmotion.optical_flow import estimator_for_masks
    from jaxmotion.optical_flow.choice import ask_at_terminal, choose_estimator

    chosen = choose_estimator(name, weights, may_download=may_download, ask=ask_at_terminal())
    return estimator_for_masks(chosen.name, scale, weights=chosen.weights), chosen.reason


class Prepared(NamedTuple):
    """All that a video needs to be segmented.

    Attributes:
        segmenter: the network, of segments, of as many as a video needs, or of instances.
        flow: estimator of the flow, or flow that is there already.
        detector: the frame classifier; None without one.
        settings: settings for the page, by name.
        advice: what there is to say of the estimator; empty for nothing.
    """

    segmenter: Segmenter | ChoosingSegmenter | InstanceSegmenter
    flow: Estimator | Path
    detector: FrameDetector | None
    settings: dict[str, str]
    advice: str


def is_of_instances(options: Segmenting) -> bool:
    """Whether the checkpoint is a network of instances."""
    from jaxmotion.models.loading import load_trained

    return load_trained(options.checkpoint).config.task.kind == "instances"


def prepare(options: Segmenting) -> Prepared:
    """Loads the network and chooses the estimator.

    Args:
        options: options of the command.

    Raises:
        InputError: on a checkpoint, an estimator or weights that are not there.
    """
    from jaxmotion.inference.detector import FrameDetector
    from jaxmotion.inference.instance_segmenter import InstanceSegmenter
    from jaxmotion.inference.num_masks import ChoosingSegmenter
    from jaxmotion.inference.segmenter import Segmenter

    flow, advice = choose_flow(
        options.estimator, options.weights, options.download, options.flow, options.scale
    )
    made_by = f"from {flow}"
    if not isinstance(flow, Path):
        made_by = ", ".join([flow.name, *_words(flow.settings)])
    of_instances = is_of_instances(options)
    if of_instances:
        segmenter = InstanceSegmenter.load(options.checkpoint)
    elif options.num_masks == "auto":
        segmenter = ChoosingSegmenter.load(options.checkpoint)
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
        "Outlines": "of the frames" if options.sharpen else "of the flow",
    }
    detector = None
    if not of_instances and options.classifier != "none":
        detector = FrameDetector.load(options.classifier)
    return Prepared(segmenter, flow, detector, settings, advice)


def _words(settings: dict[str, Any]) -> Iterator[str]:
    """Settings as a reader wants them: one in the other, and without what is not set."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield " ".join([key, *_words(value)])
        elif value is not None:
            yield f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
