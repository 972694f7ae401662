# ruff: noqa: D102  (what the methods of a penalty give is said once, in `Penalty`)
"""The penalties on a flow residual, shared by the fit and by the losses.

They minimize the same function, or the envelope theorem would not hold between them.
"""

import abc
import dataclasses
from typing import get_args

import chex
import jax
import jax.numpy as jnp

from jaxmotion.motion.names import PenaltyName


@dataclasses.dataclass(frozen=True)
class Penalty(abc.ABC):
    """Cost of a residual as a function of its size; a static argument under `jit`.

    Subclass it for a penalty of your own: a frozen dataclass (hashable, equal to its copies) with
    the three methods below. They work elementwise, on sizes that are never negative. `value` is 0
    at 0 and never falls, and its slope at 0 may jump, as that of the absolute value does. The fit
    is made for forces that grow no faster than the size; it is slower to converge for others.

    Attributes:
        joint: whether the size is the Euclidean norm of the residual vector; otherwise each
            component has a size of its own, and their costs are added.
        convex: whether `value` is convex (of the class). The fit certifies a minimum of these
            only.
    """

    joint: bool = False

    @property
    def convex(self) -> bool:
        """Whether `value` is convex."""
        return True

    @abc.abstractmethod
    def value(self, size: jax.Array, scale: float | jax.Array) -> jax.Array:
        """The cost of a residual.

        Args:
            size: size of the residual, pixels per frame.
            scale: `huber_delta` of the fit or the loss, a scalar that may be traced.
        """

    @abc.abstractmethod
    def force(self, size: jax.Array, scale: float | jax.Array) -> jax.Array:
        """The derivative of `value` by the size, from the right at 0.

        Args:
            size: size of the residual, pixels per frame.
            scale: `huber_delta` of the fit or the loss, a scalar that may be traced.
        """

    @abc.abstractmethod
    def curvature(self, size: jax.Array, scale: float | jax.Array) -> jax.Array:
        """The second derivative of `value` by the size.

        Args:
            size: size of the residual, pixels per frame.
            scale: `huber_delta` of the fit or the loss, a scalar that may be traced.
        """

    def slack(
        self, size: jax.Array, force: jax.Array, epsilon: jax.Array, scale: float | jax.Array
    ) -> jax.Array:
        """Distance of a force that is not the derivative from the dual optimum; for the gap.

        It bounds `value(size) + conjugate(force) - force * size` of a convex penalty from above.
        A chord stands in for the derivative below `epsilon`: `force` is the derivative at some
        other size in between, and no tangent lies above the penalty.

        Args:
            size: size of the residual, pixels per frame.
            force: force on it; that of the penalty itself from `epsilon` on.
            epsilon: smoothing, pixels per frame.
            scale: `huber_delta` of the fit or the loss, a scalar that may be traced.
        """
        error = self.force(size, scale) - force
        return jnp.where(
            size < epsilon, jnp.where(error > 0, error * size, error * (size - epsilon)), 0.0
        )


@dataclasses.dataclass(frozen=True)
class Absolute(Penalty):
    """The size itself: "l1", the sum of absolute values; joint, "l2", the Euclidean norm."""

    def value(self, size, scale):
        return size

    def force(self, size, scale):
        return jnp.ones_like(size)

    def curvature(self, size, scale):
        return jnp.zeros_like(size)

    def slack(self, size, force, epsilon, scale):
        return size - force * size


@dataclasses.dataclass(frozen=True)
class Squared(Penalty):
    """The square of the size: "squared"."""

    def value(self, size, scale):
        return size * size

    def force(self, size, scale):
        return 2.0 * size

    def curvature(self, size, scale):
        return jnp.full_like(size, 2.0)


@dataclasses.dataclass(frozen=True)
class Huber(Penalty):
    """Half the square up to the scale, linear beyond: "huber".

    References:
        Huber, Robust Statistics (1981).
    """

    def value(self, size, scale):
        clipped = jnp.minimum(size, scale)
        return clipped * (size - 0.5 * clipped)

    def force(self, size, scale):
        return jnp.minimum(size, scale)

    def curvature(self, size, scale):
        return jnp.where(size < scale, jnp.ones_like(size), 0.0)

    def slack(self, size, force, epsilon, scale):
        return self.value(size, scale) + 0.5 * force**2 - force * size


@dataclasses.dataclass(frozen=True)
class Cauchy(Penalty):
    """c²/2 log(1 + (r/c)²), c being the scale: "cauchy". Not convex.

    References:
        Black and Anandan, "The robust estimation of multiple motions", CVIU 63 (1996), call it
        the Lorentzian.
    """

    @property
    def convex(self) -> bool:
        return False

    def value(self, size, scale):
        return 0.5 * scale**2 * jnp.log1p((size / scale) ** 2)

    def force(self, size, scale):
        return size / (1.0 + (size / scale) ** 2)

    def curvature(self, size, scale):
        share = 1.0 / (1.0 + (size / scale) ** 2)
        return share * (2.0 * share - 1.0)


@dataclasses.dataclass(frozen=True)
class GemanMcClure(Penalty):
    """r²/2 / (1 + (r/c)²), c being the scale: "geman_mcclure". Bounded by c²/2, not convex.

    References:
        Geman and McClure, "Statistical methods for tomographic image reconstruction" (1987).
    """

    @property
    def convex(self) -> bool:
        return False

    def value(self, size, scale):
        return 0.5 * size * (size / (1.0 + (size / scale) ** 2))

    def force(self, size, scale):
        return size / (1.0 + (size / scale) ** 2) ** 2

    def curvature(self, size, scale):
        share = 1.0 / (1.0 + (size / scale) ** 2)
        return share**2 * (4.0 * share - 3.0)


_NAMED: dict[str, Penalty] = {
    "l1": Absolute(),
    "l2": Absolute(joint=True),
    "huber": Huber(),
    "squared": Squared(),
    "cauchy": Cauchy(),
    "geman_mcclure": GemanMcClure(),
}
PENALTIES: tuple[str, ...] = get_args(PenaltyName)


def as_penalty(penalty: Penalty | PenaltyName) -> Penalty:
    """The penalty of this name, or the penalty itself.

    Raises:
        ValueError: where it is neither one of `PENALTIES` nor a `Penalty` that can be hashed.
    """
    if isinstance(penalty, str) and penalty in _NAMED:
        return _NAMED[penalty]
    if isinstance(penalty, Penalty):
        hash(penalty)
        return penalty
    raise ValueError(
        f"penalty must be one of {', '.join(PENALTIES)}, or a Penalty; got {penalty!r}"
    )


def residual_size(ru: jax.Array, rv: jax.Array) -> jax.Array:
    """The Euclidean norm of vectors, its gradient at a zero vector being zero.

    Args:
        ru: horizontal components, any shape.
        rv: vertical components, same shape.
    """
    squared = ru * ru + rv * rv
    return jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1.0)), 0.0)


def residual_penalty(
    ru: chex.Array,
    rv: chex.Array,
    penalty: Penalty | PenaltyName,
    huber_delta: float | jax.Array = 1.0,
) -> jax.Array:
    """The penalty of a residual vector (ru, rv), per pixel.

    Args:
        ru: horizontal residual, any shape, pixels per frame.
        rv: vertical residual, same shape.
        penalty: `Penalty`, or the name of one: "l1" |ru| + |rv|; "l2" the Euclidean norm;
            "squared" its square; and for each component, with c = `huber_delta`, "huber", r²/2 up
            to c and linear beyond; "cauchy", c²/2 log(1 + (r/c)²); "geman_mcclure",
            r²/2 / (1 + (r/c)²).
        huber_delta: scale of "huber", "cauchy" and "geman_mcclure", pixels per frame; a `Penalty`
            of your own receives it too.

    Returns:
        An array of the same shape. The gradient of "l2" at a zero residual is zero.

    Raises:
        ValueError: for an unknown penalty, or components of two shapes.

    References:
        Thesis §2.3.2 (squared L2, L2 and L1 norms).
    """
    penalty = as_penalty(penalty)
    if jnp.shape(ru) != jnp.shape(rv):
        raise ValueError(f"rv must have the shape of ru, {jnp.shape(ru)}; got {jnp.shape(rv)}")
    ru, rv = jnp.asarray(ru), jnp.asarray(rv)
    if penalty.joint:
        return penalty.value(residual_size(ru, rv), huber_delta)
    return penalty.value(jnp.abs(ru), huber_delta) + penalty.value(jnp.abs(rv), huber_delta)
