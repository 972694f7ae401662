"""Constraints of a loss: what violates them, and the multiplier that weighs the violation.

The basic differential multiplier method: parameters descend `loss + multiplier * violation`, and
the multiplier climbs it (thesis §6.3.2).
"""

import chex
import jax
import jax.numpy as jnp

__all__ = ["ascended", "hinge", "sigma"]


def hinge(value: chex.Array, limit: float = 0.0) -> jax.Array:
    """How far a value is above its limit; zero below it.

    Args:
        value: the constrained values, of any shape.
        limit: the largest value that is allowed.
    """
    return jnp.maximum(jnp.asarray(value) - limit, 0)


def sigma(value: chex.Array, limit: float = 0.5) -> jax.Array:
    """The value where it is at its limit or above, else zero: the published violation.

    It jumps by the limit there. A multiplier that it feeds never rests: whatever satisfies the
    constraint with equality still counts as violated by the whole value.

    Args:
        value: the constrained values, of any shape.
        limit: the least value that is not allowed.

    References:
        Thesis eq. 6.3.
    """
    value = jnp.asarray(value)
    return jnp.where(value >= limit, value, 0)


def ascended(multiplier: chex.Array, violation: chex.Array, rate: float) -> jax.Array:
    """The multiplier after one step up the loss, which never falls below zero.

    Args:
        multiplier: multiplier of each constraint.
        violation: how far each is violated; below zero where there is room.
        rate: size of the step.

    Returns:
        `max(0, multiplier + rate * violation)`.

    References:
        Platt and Barr, "Constrained differential optimization" (1987); thesis eq. 6.5.
    """
    return jnp.maximum(jnp.asarray(multiplier) + rate * violation, 0)
