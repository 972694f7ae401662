"""From the moments of a sweep to the normal equations in theta, and their solution.

Theta is held per problem as `[B, K, G, L, n]`: G groups of parameters that share no equation (the
two components, where model and penalty separate them; one group else), L temporal functions, n
spatial parameters of the group.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.banded import solve_banded
from jaxmotion.motion.model import MotionModel
from jaxmotion.motion.moments import GRAM_INDEX, Moments, pick
from jaxmotion.motion.penalty import Penalty

_einsum = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


@dataclasses.dataclass(frozen=True)
class Equations:
    """The linear algebra of one model on clips of one length; static.

    Attributes:
      model: the motion model.
      frames: T.
      penalty: decides, with the model, whether the components separate.
    """

    model: MotionModel
    frames: int
    penalty: Penalty

    @functools.cached_property
    def embedding(self) -> np.ndarray:
        """`[G, C, 6, n]`: the spatial embedding by group; G * C = 2 components."""
        full = self.model.spatial_embedding()
        separable = self.model.spatial != "planar" and self.penalty != "l2"
        if not separable:
            return full[None]
        half = full.shape[-1] // 2
        return np.stack([full[:1, :, :half], full[1:, :, half:]])

    @functools.cached_property
    def basis(self) -> np.ndarray:
        """`[T, L]`: temporal functions."""
        return self.model.temporal_basis(self.frames)

    @functools.cached_property
    def products(self) -> np.ndarray:
        """`[W + 1, T, L]`: b_l(t) b_{l+o}(t) for the offsets o at which functions overlap."""
        products = []
        for offset in range(self.basis.shape[1]):
            kept = self.basis.shape[1] - offset
            product = self.basis[:, :kept] * self.basis[:, offset:]
            # At every frame the functions that are not 0 are neighbours: past here none overlap.
            if not product.any():
                break
            products.append(np.pad(product, [(0, 0), (0, offset)]))
        return np.stack(products)

    @property
    def unknowns(self) -> int:
        """Unknowns of one group."""
        return self.basis.shape[1] * self.embedding.shape[-1]

    def zeros(self, batch: int, segments: int, dtype) -> jax.Array:
        """Theta of zeros, `[B, K, G, L, n]`."""
        groups, _, _, size = self.embedding.shape
        return jnp.zeros((batch, segments, groups, self.basis.shape[1], size), dtype)

    def split(self, theta: jax.Array) -> jax.Array:
        """`[B, K, P]` -> `[B, K, G, L, n]`."""
        groups, _, _, size = self.embedding.shape
        shape = (*theta.shape[:2], self.basis.shape[1], groups, size)
        return jnp.moveaxis(theta.reshape(shape), 3, 2)

    def join(self, theta: jax.Array) -> jax.Array:
        """`[B, K, G, L, n]` -> `[B, K, P]`."""
        return jnp.moveaxis(theta, 2, 3).reshape(*theta.shape[:2], -1)

    def change_coordinates(self, theta: jax.Array, substitution: jax.Array) -> jax.Array:
        """Theta after the change of coordinates that `[B, K, 6, 6]` makes of the coefficients."""
        return _einsum("bkgnm,bkglm->bkgln", self._parameter_map(substitution), theta)

    def change_coordinates_adjoint(self, theta: jax.Array, substitution: jax.Array) -> jax.Array:
        """The transpose of `change_coordinates`."""
        return _einsum("bkgnm,bkgln->bkglm", self._parameter_map(substitution), theta)

    def _parameter_map(self, substitution: jax.Array) -> jax.Array:
        embedding = jnp.asarray(self.embedding, substitution.dtype)
        groups, components, _, size = self.embedding.shape
        inverse = np.linalg.pinv(self.embedding.reshape(groups, components * 6, size))
        inverse = inverse.reshape(groups, size, components, 6)
        return _einsum(
            "gnci,bkij,gcjm->bkgnm",
            jnp.asarray(inverse, substitution.dtype),
            substitution,
            embedding,
        )

    def coefficients(self, theta: jax.Array) -> jax.Array:
        """`[B, K, G, L, n]` -> quadratic coefficients of every frame `[B, T, K, 2, 6]`."""
        out = _einsum(
            "bkgln,tl,gcjn->btkgcj",
            theta,
            jnp.asarray(self.basis, theta.dtype),
            jnp.asarray(self.embedding, theta.dtype),
        )
        return out.reshape(*out.shape[:3], 2, 6)

    def by_group(self, sums: jax.Array) -> jax.Array:
        """Sums per component `[B, K, C]` -> per group `[B, K, G]`."""
        groups = self.embedding.shape[0]
        return sums if sums.shape[-1] == groups else sums.sum(-1, keepdims=True)

    def gradient(self, moments: Moments) -> jax.Array:
        """Minus the gradient of the smoothed objective, `[B, K, G, L, n]`."""
        groups, components, _, _ = self.embedding.shape
        per_frame = moments.gradient
        per_frame = per_frame.reshape(*per_frame.shape[:3], groups, components, 6)
        dtype = per_frame.dtype
        return _einsum(
            "tl,btkgcj,gcjn->bkgln",
            jnp.asarray(self.basis, dtype),
            per_frame,
            jnp.asarray(self.embedding, dtype),
        )

    def solve(self, moments: Moments, rhs: jax.Array) -> jax.Array:
        """Solve the normal equations of the moments for `rhs` `[B, K, G, L, n]`."""
        dtype = rhs.dtype
        groups, components, _, _ = self.embedding.shape
        embedding = jnp.asarray(self.embedding, dtype)
        bands = _einsum("otl,btkdm->obkldm", jnp.asarray(self.products, dtype), moments.gram)
        if bands.shape[-2] == 3:  # uu, uv, vv: one group of two components
            uu, uv, vv = (bands[..., d, :] for d in range(3))
            blocks = jnp.stack([jnp.stack([uu, uv], -2), jnp.stack([uv, vv], -2)], -3)
            blocks = pick(blocks, GRAM_INDEX)
            bands = _einsum("obklcdij,gcin,gdjm->obkglnm", blocks, embedding, embedding)
        else:
            blocks = bands.reshape(*bands.shape[:4], groups, components, 15)
            blocks = pick(blocks, GRAM_INDEX)
            bands = _einsum("obklgcij,gcin,gcjm->obkglnm", blocks, embedding, embedding)
        return solve_banded(bands, rhs, ridge=30.0 * float(jnp.finfo(dtype).eps))
