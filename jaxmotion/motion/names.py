"""Names of choices in the fit, which options take: a command line is read without JAX."""

from typing import Literal

PenaltyName = Literal["l1", "l2", "huber", "squared", "cauchy", "geman_mcclure"]
"""The penalties of `jaxmotion.motion.penalty` that have a name."""
