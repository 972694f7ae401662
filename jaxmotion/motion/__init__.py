"""Parametric motion: what a segment is. `spatial` and `temporal` hold the bases, `model` puts
them together (`MotionModel`), `flow` evaluates them (`parametric_flow`). `fitting` estimates the
parameters of every segment from flow and soft masks, robustly and without a design matrix:
`moments` is its one sweep over the pixels, `banded` its linear solver. `penalty` is shared with
`jaxmotion.losses`. `global_motion` fits the motion of whole frames, and says what it leaves of the
flow; `inpainting` fills regions by the motion around them, `spreading` by the nearest pixel;
`description` says how many bits it takes to send flow by its segments.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxmotion.motion.description import DescriptionLength, description_length
    from jaxmotion.motion.fitting import Fit, fit
    from jaxmotion.motion.flow import frame_coefficients, parametric_flow
    from jaxmotion.motion.global_motion import fit_global_motion, global_flow, global_residual
    from jaxmotion.motion.inpainting import FRAME_MOTION, frame_motion, inpaint
    from jaxmotion.motion.model import MotionModel
    from jaxmotion.motion.names import PenaltyName
    from jaxmotion.motion.penalty import (
        Absolute,
        Cauchy,
        GemanMcClure,
        Huber,
        Penalty,
        Squared,
        residual_penalty,
    )
    from jaxmotion.motion.spreading import nearest_known

__all__ = [
    "FRAME_MOTION",
    "Absolute",
    "Cauchy",
    "DescriptionLength",
    "Fit",
    "GemanMcClure",
    "Huber",
    "MotionModel",
    "Penalty",
    "PenaltyName",
    "Squared",
    "description_length",
    "fit",
    "fit_global_motion",
    "frame_coefficients",
    "frame_motion",
    "global_flow",
    "global_residual",
    "inpaint",
    "nearest_known",
    "parametric_flow",
    "residual_penalty",
]

_HOMES = {
    "DescriptionLength": "description",
    "FRAME_MOTION": "inpainting",
    "Fit": "fitting",
    "MotionModel": "model",
    "PenaltyName": "names",
    "description_length": "description",
    "fit": "fitting",
    "fit_global_motion": "global_motion",
    "frame_coefficients": "flow",
    "frame_motion": "inpainting",
    "global_flow": "global_motion",
    "global_residual": "global_motion",
    "inpaint": "inpainting",
    "nearest_known": "spreading",
    "parametric_flow": "flow",
}


def __getattr__(name: str) -> Any:  # late: a motion model is an option, and read without JAX
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES.get(name, 'penalty')}")
    return getattr(module, name)
