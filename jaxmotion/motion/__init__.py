"""Parametric motion: what a segment is. `spatial` and `temporal` hold the bases, `model` puts
them together (`MotionModel`, `parametric_flow`), `fit` estimates the parameters of every segment
from flow and soft masks, robustly and without a design matrix: `moments` is its one sweep over
the pixels, `banded` its linear solver. `penalty` is shared with `jaxmotion.losses`.
`global_motion` fits the motion of whole frames, and says what it leaves of the flow.
"""

from jaxmotion.motion.fit import Fit, fit
from jaxmotion.motion.global_motion import global_residual
from jaxmotion.motion.inpaint import FRAME_MOTION, frame_motion, inpaint
from jaxmotion.motion.model import MotionModel, frame_coefficients, parametric_flow
from jaxmotion.motion.penalty import (
    Absolute,
    Cauchy,
    GemanMcClure,
    Huber,
    Penalty,
    PenaltyName,
    Squared,
    residual_penalty,
)

__all__ = [
    "FRAME_MOTION",
    "Absolute",
    "Cauchy",
    "Fit",
    "GemanMcClure",
    "Huber",
    "MotionModel",
    "Penalty",
    "PenaltyName",
    "Squared",
    "fit",
    "frame_coefficients",
    "frame_motion",
    "global_residual",
    "inpaint",
    "parametric_flow",
    "residual_penalty",
]
