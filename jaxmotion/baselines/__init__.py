"""What needs no training, and networks are measured against.

`threshold` holds those that threshold what a global motion leaves of the flow, `classical_em` the
classical EM of motion models: segmentations. `fills` fills hidden flow, `motion_features` describes
clips.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxmotion.baselines.classical_em import classical_em
    from jaxmotion.baselines.threshold import BASELINES

UPPER_BOUND = "upper_bound"
"""The one that also sees the ground truth."""
ALL_BASELINES = ("all_background", "otsu", "em_1", "em_10", UPPER_BOUND)
"""The names that the commands use; all but the last are keys of `BASELINES`."""

__all__ = ["ALL_BASELINES", "BASELINES", "UPPER_BOUND", "classical_em"]

_HOMES = {"BASELINES": "threshold", "classical_em": "classical_em"}


def __getattr__(name: str) -> Any:  # late: the command line names them without JAX
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(module, name)
