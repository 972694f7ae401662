"""jaxmotion: unsupervised motion segmentation of video from optical flow, in JAX.

The robust fit and the losses stand alone; the rest is loaded when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxmotion import losses, metrics, motion
from jaxmotion.errors import InputError
from jaxmotion.motion import (
    Fit,
    MotionModel,
    fit,
    frame_coefficients,
    inpaint,
    parametric_flow,
)

if TYPE_CHECKING:
    from jaxmotion import evaluation, saliency
    from jaxmotion.inference.segmenter import Segmenter

__version__ = "0.1.0"

__all__ = [
    "Fit",
    "InputError",
    "MotionModel",
    "Segmenter",
    "__version__",
    "evaluation",
    "fit",
    "frame_coefficients",
    "inpaint",
    "losses",
    "metrics",
    "motion",
    "parametric_flow",
    "saliency",
]


def __getattr__(name: str) -> Any:
    if name == "Segmenter":
        return importlib.import_module("jaxmotion.inference.segmenter").Segmenter
    if name in ("evaluation", "saliency"):
        return importlib.import_module(f"jaxmotion.{name}")
    raise AttributeError(f"module 'jaxmotion' has no attribute {name!r}")
