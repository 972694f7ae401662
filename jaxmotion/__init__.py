"""jaxmotion: unsupervised motion segmentation of video from optical flow, in JAX.

Everything is loaded when it is first asked for, so that a command line is answered without JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxmotion.errors import InputError

if TYPE_CHECKING:
    from jaxmotion import embeddings, evaluation, losses, metrics, motion, saliency
    from jaxmotion.inference.descriptors import describe
    from jaxmotion.inference.inpainter import FlowInpainter
    from jaxmotion.inference.instance_segmenter import InstanceSegmenter
    from jaxmotion.inference.loading import load
    from jaxmotion.inference.outlines import sharpen
    from jaxmotion.inference.segmenter import Segmenter
    from jaxmotion.motion import (
        Fit,
        MotionModel,
        fit,
        frame_coefficients,
        inpaint,
        parametric_flow,
    )

__version__ = "0.2.0"

__all__ = [
    "Fit",
    "FlowInpainter",
    "InputError",
    "InstanceSegmenter",
    "MotionModel",
    "Segmenter",
    "__version__",
    "describe",
    "embeddings",
    "evaluation",
    "fit",
    "frame_coefficients",
    "inpaint",
    "load",
    "losses",
    "metrics",
    "motion",
    "parametric_flow",
    "saliency",
    "sharpen",
]


_HOMES = {
    "FlowInpainter": "jaxmotion.inference.inpainter",
    "InstanceSegmenter": "jaxmotion.inference.instance_segmenter",
    "Segmenter": "jaxmotion.inference.segmenter",
    "describe": "jaxmotion.inference.descriptors",
    "load": "jaxmotion.inference.loading",
    "sharpen": "jaxmotion.inference.outlines",
    **dict.fromkeys(
        ("Fit", "MotionModel", "fit", "frame_coefficients", "inpaint", "parametric_flow"),
        "jaxmotion.motion",
    ),
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in __all__:
        return importlib.import_module(f"jaxmotion.{name}")
    raise AttributeError(f"module 'jaxmotion' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
