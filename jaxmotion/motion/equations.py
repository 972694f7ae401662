"""From the moments of a sweep to the normal equations in theta, and their solution.

Theta is held per problem as `[B, K, G, L, n]`: G groups of parameters that share no equation (the
two components, where model and penalty separate them; one group else), L temporal functions, n
spatial parameters of the group.

Products over time have the clip as their batch axis, and a barrier keeps them apart from those over
the spatial parameters that follow: else XLA for a GPU fails to compile them for some shapes.
"""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.banded import solve_banded
from jaxmotion.motion.blocks import Blocks
from jaxmotion.motion.lengths import Lengths
from jaxmotion.motion.model import MotionModel
from jaxmotion.motion.moments import GRADIENT_POWERS, GRAM_POWERS, Moments
from jaxmotion.motion.penalty import Penalty
from jaxmotion.motion.spatial import POWERS

_einsum = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


@dataclasses.dataclass(frozen=True, eq=False)
class Equations:
    """The linear algebra of one model on clips of one shape.

    Attributes:
        penalty: penalty on the residuals, which decides, with the model, whether the components
            separate.
        groups: G, number of groups; all have the same form.
        embedding: `[C, 6, n]`: the spatial embedding of a group; G * C = 2 components.
        blocks: the temporal functions.
        unknowns: unknowns of one group; `[B, 1, 1]` where the clips have lengths of their own.
    """

    penalty: Penalty
    groups: int
    embedding: np.ndarray
    blocks: Blocks
    unknowns: int | jax.Array

    @staticmethod
    def of(
        model: MotionModel, frames: int, penalty: Penalty, lengths: Lengths = None
    ) -> "Equations":
        """Builds the equations of a model on clips of one length.

        Args:
            model: model of the motion of a segment.
            frames: T, number of frames of the arrays.
            penalty: penalty on the residuals.
            lengths: number of frames that count, of all clips or of each, `[B]`; T where it is
                None.
        """
        groups, embedding = 1, model.spatial_embedding()
        if model.spatial != "planar" and not penalty.joint:
            groups, embedding = 2, embedding[:1, :, : embedding.shape[-1] // 2]
        blocks = Blocks.of(model, frames, lengths)
        functions = blocks.count
        if isinstance(lengths, jax.Array | np.ndarray):
            functions = model.num_functions(jnp.asarray(lengths))[:, None, None]
        return Equations(penalty, groups, embedding, blocks, embedding.shape[-1] * functions)

    def zeros(self, batch: int, segments: int, dtype) -> jax.Array:
        """Theta of zeros, `[B, K, G, L, n]`.

        Args:
            batch: B, number of clips.
            segments: K, number of segments.
            dtype: type of the numbers.
        """
        shape = (batch, segments, self.groups, self.blocks.count, self.embedding.shape[-1])
        return jnp.zeros(shape, dtype)

    def split(self, theta: jax.Array) -> jax.Array:
        """`[B, K, P]` -> `[B, K, G, L, n]`."""
        shape = (*theta.shape[:2], self.blocks.count, self.groups, self.embedding.shape[-1])
        return jnp.moveaxis(theta.reshape(shape), 3, 2)

    def join(self, theta: jax.Array) -> jax.Array:
        """`[B, K, G, L, n]` -> `[B, K, P]`."""
        return jnp.moveaxis(theta, 2, 3).reshape(*theta.shape[:2], -1)

    def change_coordinates(self, theta: jax.Array, substitution: jax.Array) -> jax.Array:
        """Theta in other coordinates.

        Args:
            theta: parameters of the motion of every segment, `[B, K, G, L, n]`.
            substitution: map from the coefficients of a quadratic to those in the new
                coordinates, `[B, K, 6, 6]`.
        """
        return _einsum("bknm,bkglm->bkgln", self._parameter_map(substitution), theta)

    def change_coordinates_adjoint(self, theta: jax.Array, substitution: jax.Array) -> jax.Array:
        """The transpose of `change_coordinates`, with its arguments."""
        return _einsum("bknm,bkgln->bkglm", self._parameter_map(substitution), theta)

    def _parameter_map(self, substitution: jax.Array) -> jax.Array:
        components, _, size = self.embedding.shape
        inverse = np.linalg.pinv(self.embedding.reshape(components * 6, size))
        both = np.einsum("nci,cjm->ijnm", inverse.reshape(size, components, 6), self.embedding)
        return _einsum("bkij,ijnm->bknm", substitution, jnp.asarray(both, substitution.dtype))

    def coefficients(self, theta: jax.Array) -> jax.Array:
        """`[B, K, G, L, n]` -> quadratic coefficients of every frame `[B, T, K, 2, 6]`."""
        placed = _einsum("bkgln,cjn->blkgcj", theta, jnp.asarray(self.embedding, theta.dtype))
        batch, count, segments = placed.shape[:3]
        out = self.blocks.spread(placed.reshape(batch, count, -1))
        return out.reshape(batch, -1, segments, 2, 6)

    def by_group(self, sums: jax.Array) -> jax.Array:
        """Sums per component `[B, K, C]` -> per group `[B, K, G]`."""
        return sums if sums.shape[-1] == self.groups else sums.sum(-1, keepdims=True)

    def gradient(self, moments: Moments) -> jax.Array:
        """Minus the gradient of the smoothed objective, `[B, K, G, L, n]`."""
        components, _, size = self.embedding.shape
        batch, frames, segments, _, sums = moments.gradient.shape
        per_function = self.blocks.gather(moments.gradient.reshape(batch, frames, -1))
        per_function = per_function.reshape(batch, -1, segments, self.groups, components, sums)
        placed = np.zeros((components, sums, size))
        for row, power in enumerate(POWERS):
            placed[:, GRADIENT_POWERS.index(power)] = self.embedding[:, row]
        return _einsum("blkgcj,cjn->bkgln", per_function, jnp.asarray(placed, per_function.dtype))

    def solve(self, moments: Moments, rhs: jax.Array) -> jax.Array:
        """Solves the normal equations.

        Args:
            moments: sums of one sweep, which the matrix is made of.
            rhs: right-hand side `[B, K, G, L, n]`.
        """
        dtype, size = rhs.dtype, rhs.shape[-1]
        batch, frames, segments, parts, _ = moments.gram.shape
        shares = jnp.asarray(self._gram_map(parts // self.groups), dtype)

        def matrices(sums: jax.Array) -> jax.Array:  # [N, g, g, B, M] -> [B, K, G, N, g n, g n]
            sums = sums.reshape(*sums.shape[:4], segments, self.groups, *shares.shape[:2])
            blocks = _einsum("cijbkgdq,dqnm->bkgcinjm", sums, shares)
            return blocks.reshape(*blocks.shape[:4], self.blocks.group * size, -1)

        main, upper = map(matrices, self.blocks.products(moments.gram.reshape(batch, frames, -1)))
        behind = main.shape[3] * self.blocks.group - rhs.shape[3]
        right = jnp.pad(rhs, [(0, 0)] * 3 + [(0, behind), (0, 0)])
        right = right.reshape(*rhs.shape[:3], -1, self.blocks.group, size)
        solution = solve_banded(main, upper, right, ridge=30.0 * float(jnp.finfo(dtype).eps))
        return solution.reshape(*rhs.shape[:3], -1, size)[:, :, :, : rhs.shape[3]]

    def _gram_map(self, parts: int) -> np.ndarray:
        """Share of each moment in the matrix of a group: `[D, 25, n, n]`, D being `parts`."""
        components, _, size = self.embedding.shape
        first, last = self.embedding[0], self.embedding[-1]
        pairs = [(first, first), (first, last), (last, last)]
        if parts < 3:
            pairs = pairs[:: 2 if components == 2 else 3]
        blocks = np.zeros((parts, len(GRAM_POWERS), size, size))
        for part, (left, right) in enumerate(pairs):
            for (i, (a, b)), (j, (c, d)) in itertools.product(*[list(enumerate(POWERS))] * 2):
                product = np.outer(left[i], right[j])
                if left is not right:  # uv and vu
                    product = product + product.T
                blocks[part, GRAM_POWERS.index((a + c, b + d))] += product
        return blocks
