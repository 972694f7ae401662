"""Coordinates centered and scaled on each mask's support, inside which the fit works.

A quadratic on a segment of a tenth of the image has normal equations of condition 1e8 in image
coordinates, beyond float32. Centered on the support and scaled by its spread, the monomials are
as well conditioned as Legendre polynomials are on the whole image. Polynomial models do not
depend on the choice: parameters convert exactly, both ways.
"""

import dataclasses

import jax
import jax.numpy as jnp


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Support:
    """Center and scale of every problem, `[B, K]` each: X = (x - x_center) / scale.

    One scale serves both axes, so that the planar model keeps its form.
    """

    x_center: jax.Array
    y_center: jax.Array
    scale: jax.Array

    def to_image(self) -> jax.Array:
        """`[B, K, 6, 6]`: coefficients over X, Y -> coefficients over x, y."""
        return _substitution(self.x_center, self.y_center, self.scale)

    def from_image(self) -> jax.Array:
        """`[B, K, 6, 6]`: the inverse of `to_image`."""
        return _substitution(
            -self.x_center / self.scale, -self.y_center / self.scale, 1.0 / self.scale
        )


def measure_support(weights: jax.Array, x: jax.Array, y: jax.Array) -> Support:
    """Weighted mean and spread of the pixels of every problem.

    Args:
        weights: weight of every pixel, `[B, T, K, H, W]`.
        x: positions of the columns, `[W]`.
        y: positions of the rows, `[H]`.

    Returns:
        The support; center 0 and scale 1 for an empty mask. The scale is at least a pixel.
    """
    columns, rows = weights.sum((1, 3)), weights.sum((1, 4))
    mass = columns.sum(-1)
    share = 1.0 / jnp.where(mass > 0, mass, 1.0)
    x_center, y_center = (columns * x).sum(-1) * share, (rows * y).sum(-1) * share
    x_spread = (columns * (x - x_center[..., None]) ** 2).sum(-1) * share
    y_spread = (rows * (y - y_center[..., None]) ** 2).sum(-1) * share
    pixel = 2.0 / max(x.shape[0], y.shape[0])
    scale = jnp.sqrt(jnp.maximum(jnp.maximum(x_spread, y_spread), pixel**2))
    return Support(x_center, y_center, jnp.where(mass > 0, scale, 1.0))


def _substitution(cx: jax.Array, cy: jax.Array, scale: jax.Array) -> jax.Array:
    """Column j: the monomial j of ((x - cx) / scale, (y - cy) / scale) over 1, x, y, x², xy, y²."""
    one, zero = jnp.ones_like(cx), jnp.zeros_like(cx)
    first, second = one / scale, one / scale**2
    rows = [
        [one, -cx * first, -cy * first, cx * cx * second, cx * cy * second, cy * cy * second],
        [zero, first, zero, -2 * cx * second, -cy * second, zero],
        [zero, zero, first, zero, -cx * second, -2 * cy * second],
        [zero, zero, zero, second, zero, zero],
        [zero, zero, zero, zero, second, zero],
        [zero, zero, zero, zero, zero, second],
    ]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
