"""Segmentations that need no training, which a network is measured against.

`threshold` holds those that threshold what a global motion leaves of the flow, `classical_em` the
classical EM of motion models.
"""

from jaxmotion.baselines.classical_em import classical_em
from jaxmotion.baselines.threshold import BASELINES

__all__ = ["BASELINES", "classical_em"]
