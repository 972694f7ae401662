"""A trained network as what it was trained for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxmotion.errors import InputError
from jaxmotion.inference.adversarial import SalientMasks
from jaxmotion.inference.detector import FrameDetector
from jaxmotion.inference.event_finder import EventFinder
from jaxmotion.inference.inpainter import FlowInpainter
from jaxmotion.inference.instance_segmenter import InstanceSegmenter
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.models.loading import load_trained
from jaxmotion.models.trained import Trained

PREDICTORS: dict[str, Callable[[Trained], Any]] = {
    "segmentation": Segmenter.of,
    "foreground": Segmenter.of,
    "classification": FrameDetector.of,
    "adversarial": SalientMasks.of,
    "instances": InstanceSegmenter.of,
    "masked": FlowInpainter.of,
    "events": EventFinder.of,
}
"""The functions that make something to call of a trained network, by the kind of its task."""


def load(path_or_name: str | Path) -> Any:
    """Loads a trained network.

    Args:
        path_or_name: the folder that ``train.py`` wrote, or its ``best`` folder; a file that
            ``jaxmotion export`` wrote; or the name of a shipped model, as ``"lt-ms-k4"``.

    Returns:
        A `Segmenter`, a `FrameDetector`, `SalientMasks`, an `InstanceSegmenter`, a
        `FlowInpainter`, an `EventFinder`, or what else belongs to the task that the network was
        trained for.

    Raises:
        InputError: where there is no readable network, or nothing here predicts with it.
    """
    trained = load_trained(path_or_name)
    kind = trained.config.task.kind
    if kind not in PREDICTORS:
        raise InputError(
            f"{path_or_name}: a network trained for {kind}, expected one for "
            f"{' or '.join(PREDICTORS)}"
        )
    return PREDICTORS[kind](trained)
