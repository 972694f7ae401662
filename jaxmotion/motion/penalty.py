"""The penalties on a flow residual, shared by the fit and by the losses.

They minimise the same function, or the envelope theorem would not hold between them.
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp

Penalty = Literal["l1", "l2", "huber", "squared"]
PENALTIES: tuple[str, ...] = get_args(Penalty)


def check_penalty(penalty: str) -> None:
    """Raise ValueError where `penalty` is none of `PENALTIES`."""
    if penalty not in PENALTIES:
        raise ValueError(f"penalty must be one of {', '.join(PENALTIES)}; got {penalty!r}")


def residual_penalty(
    ru: jax.Array, rv: jax.Array, penalty: Penalty, huber_delta: float | jax.Array = 1.0
) -> jax.Array:
    """The penalty of a residual vector (ru, rv), per pixel.

    Args:
      ru: horizontal residual, any shape, pixels per frame.
      rv: vertical residual, same shape.
      penalty: "l1" |ru| + |rv|; "l2" the euclidean norm; "squared" its square; "huber" the Huber
        function of each component, r²/2 up to `huber_delta` and linear beyond.
      huber_delta: the threshold of "huber", pixels per frame.

    Returns:
      An array of the same shape. The gradient of "l2" at a zero residual is zero.

    Raises:
      ValueError: for an unknown penalty, or components of two shapes.

    References:
      Thesis §2.3.2 (squared L2, L2 and L1 norms).
    """
    check_penalty(penalty)
    if jnp.shape(ru) != jnp.shape(rv):
        raise ValueError(f"rv must have the shape of ru, {jnp.shape(ru)}; got {jnp.shape(rv)}")
    if penalty == "l1":
        return jnp.abs(ru) + jnp.abs(rv)
    squared = ru * ru + rv * rv
    if penalty == "squared":
        return squared
    if penalty == "l2":
        return jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1.0)), 0.0)
    return _huber(ru, huber_delta) + _huber(rv, huber_delta)


def _huber(r: jax.Array, delta: float | jax.Array) -> jax.Array:
    clipped = jnp.clip(r, -delta, delta)
    return clipped * (r - 0.5 * clipped)
