"""The names of what an embedding is made of: read without JAX."""

from typing import Literal, get_args

Mode = Literal["xy", "ff", "xyt", "xyf", "xytf", "xyff", "xytff", "xyfff"]
"""The channels of an embedding: place (``xy``), time (``t``), free ones (``f``)."""

Rule = Literal["paper", "released"]
"""The rule of clustering: that of the paper, or that of the released code."""

MODES: tuple[Mode, ...] = get_args(Mode)
"""All modes, by their names."""


def num_dimensions(mode: Mode) -> int:
    """E, the number of channels of an embedding.

    Args:
        mode: name of the channels.
    """
    return len(mode)


def num_free(mode: Mode) -> int:
    """F, the number of free channels, the last ones, whose bandwidth is fixed.

    Args:
        mode: name of the channels.
    """
    return mode.count("f")
