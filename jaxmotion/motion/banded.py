"""Symmetric positive systems that are banded in time, solved in time linear in the clip length.

Temporal basis functions l and l' meet in the normal equations only where |l - l'| is at most the
basis' bandwidth (the spline's degree). Taking that many basis functions as one block makes the
matrix block-tridiagonal. Cyclic reduction solves it: every second block is eliminated at once,
which leaves a block-tridiagonal system of half the blocks, and so on. It is a Cholesky
factorization in another order, as accurate as that, with few and large steps where one block after
the other takes many small ones.
"""

import functools

import jax
import jax.numpy as jnp

_HIGHEST = jax.lax.Precision.HIGHEST
_UNROLLED = 6  # unknowns of a system that is solved number by number


def solve_banded(bands: jax.Array, rhs: jax.Array, ridge: float) -> jax.Array:
    """Solves A x = b for A block-banded, symmetric and positive semidefinite.

    The diagonal is scaled to one and `ridge` is added to it, so that directions with little data
    (a support of three pixels) get a finite, small answer. Unknowns with none, or none beyond
    rounding (an empty mask, the slope across a support of one column), get zero.

    Args:
        bands: `[W + 1, ..., L, S, S]`: bands[o, ..., l] is the block (l, l + o) of A; entries with
            l + o >= L are ignored.
        rhs: right-hand side b, `[..., L, S]`.
        ridge: number added to the diagonal of the scaled matrix, which is one.

    Returns:
        The solution x, `[..., L, S]`.
    """
    length, size = rhs.shape[-2:]
    if length == 1 and size <= _UNROLLED:
        return _solve_small(bands[0, ..., 0, :, :], rhs[..., 0, :], ridge)[..., None, :]
    bands = bands[:length]
    diagonal = jnp.sum(bands[0] * jnp.eye(size, dtype=rhs.dtype), axis=-1)
    negligible = jnp.finfo(rhs.dtype).eps ** 1.5 * diagonal.max(-1, keepdims=True)
    present = diagonal > negligible
    scale = jnp.where(present, jax.lax.rsqrt(jnp.where(present, diagonal, 1.0)), 0.0)
    bandwidth = bands.shape[0] - 1
    group = max(bandwidth, 1) if bandwidth + 1 < length else length
    count = -(-length // group)
    # Zeros in its scale keep an unknown out: here those that fill up the last block.
    scale = _pad(scale, -2, 0, count * group - length)
    main, upper = _tridiagonal(_pad(bands, -3, 0, count * group - length), scale, group)
    rhs = _pad(rhs, -2, 0, count * group - length) * scale
    missing = jnp.where(scale > 0, 0.0, 1.0).reshape(*scale.shape[:-2], count, group * size)
    main = main + jnp.eye(group * size, dtype=rhs.dtype) * (ridge + missing[..., None])
    solution = _solve(main, upper, rhs.reshape(*rhs.shape[:-2], count, -1))
    solution = jnp.where(jnp.isfinite(solution), solution, 0.0).reshape(scale.shape) * scale
    return solution[..., :length, :]


def _tridiagonal(bands, scale, group) -> tuple[jax.Array, jax.Array]:
    """Diagonal and upper off-diagonal blocks `[..., N, m, m]`, scaled on both sides."""
    shifted = [_pad(scale[..., offset:, :], -2, 0, offset) for offset in range(len(bands))]
    bands = bands * scale[..., :, None] * jnp.stack(shifted)[..., None, :]
    shape = (*scale.shape[:-2], scale.shape[-2] // group, group)
    bands = [band.reshape(*shape, *band.shape[-2:]) for band in bands]
    none = jnp.zeros_like(bands[0][..., 0, :, :])

    def entry(row, offset):
        return bands[offset][..., row, :, :] if offset < len(bands) else none

    def block(entries):
        rows = [jnp.concatenate(row, axis=-1) for row in entries]
        return jnp.concatenate(rows, axis=-2)

    every = range(group)
    main = block(
        [
            [
                entry(row, column - row)
                if column >= row
                else jnp.swapaxes(entry(column, row - column), -1, -2)
                for column in every
            ]
            for row in every
        ]
    )
    upper = block([[entry(row, column + group - row) for column in every] for row in every])
    return main, upper[..., :-1, :, :]


def _solve(main: jax.Array, upper: jax.Array, rhs: jax.Array) -> jax.Array:
    """Solves a block-tridiagonal system. main `[..., N, m, m]`, upper `[..., N-1, m, m]`."""
    blocks, size = rhs.shape[-2:]
    if blocks == 1:
        factor = jnp.linalg.cholesky(main, symmetrize_input=False)
        return _lower_solve(factor, _lower_solve(factor, rhs[..., None]), transpose=True)[..., 0]

    # Of the blocks that go, number i says (before, after) are the columns of its neighbors i - 1
    # and i + 1, in which its own unknowns are expressed.
    gone = blocks // 2
    kept = blocks - gone
    before = jnp.swapaxes(upper[..., 0::2, :, :], -1, -2)
    after = _pad(upper[..., 1::2, :, :], -3, 0, gone - (kept - 1))
    factor = jnp.linalg.cholesky(main[..., 1::2, :, :], symmetrize_input=False)
    columns = jnp.concatenate([before, after, rhs[..., 1::2, :, None]], axis=-1)
    columns = _lower_solve(factor, columns)
    links, partial = columns[..., : 2 * size], columns[..., 2 * size :]
    schur = jnp.matmul(jnp.swapaxes(links, -1, -2), columns, precision=_HIGHEST)
    to_before, to_after = schur[..., :size, :], schur[..., size:, :]

    def neighbors(of_before, of_after, axis):
        """Losses of the kept blocks to the eliminated ones around them, added up.

        Args:
            of_before: losses of the kept block before each eliminated one.
            of_after: losses of the kept block after each eliminated one.
            axis: axis of the blocks, counted from the end.
        """
        of_after = jax.lax.slice_in_dim(of_after, 0, kept - 1, axis=of_after.ndim + axis)
        return _pad(of_before, axis, 0, kept - gone) + _pad(of_after, axis, 1, 0)

    main = main[..., 0::2, :, :] - neighbors(
        to_before[..., :size], to_after[..., size : 2 * size], -3
    )
    right = rhs[..., 0::2, :] - neighbors(to_before[..., -1], to_after[..., -1], -2)
    upper = -to_before[..., : kept - 1, :, size : 2 * size]
    even = _solve(main, upper, right)

    around = [even[..., :gone, :], _pad(even[..., 1:, :], -2, 0, gone - (kept - 1))]
    around = jnp.concatenate(around, axis=-1)[..., None]
    odd = partial - jnp.matmul(links, around, precision=_HIGHEST)
    odd = _lower_solve(factor, odd, transpose=True)[..., 0]
    both = jnp.stack([even, _pad(odd, -2, 0, kept - gone)], axis=-2)
    return both.reshape(*rhs.shape[:-2], 2 * kept, size)[..., :blocks, :]


def _solve_small(matrix: jax.Array, rhs: jax.Array, ridge: float) -> jax.Array:
    """`solve_banded` of one block `[..., S, S]`: the same factorization, number by number.

    Every number of the factor is an array over the systems, so that all of it is arithmetic of one
    shape, which becomes a few kernels. A library's factorization is some twenty on a TPU.
    """
    size = rhs.shape[-1]
    entries, right = matrix.reshape(-1, size, size).transpose(1, 2, 0), rhs.reshape(-1, size).T
    diagonal = [entries[i, i] for i in range(size)]
    negligible = jnp.finfo(rhs.dtype).eps ** 1.5 * functools.reduce(jnp.maximum, diagonal)
    present = [d > negligible for d in diagonal]
    scale = [
        jnp.where(here, jax.lax.rsqrt(jnp.where(here, d, 1.0)), 0.0)
        for here, d in zip(present, diagonal, strict=True)
    ]
    # Rows of the factor L of L L^T, below its diagonal, and the inverse of the diagonal.
    factor: list[list[jax.Array]] = []
    inverse: list[jax.Array] = []
    solution: list[jax.Array] = []
    for i in range(size):
        row: list[jax.Array] = []
        for j in range(i):
            inner = sum((a * b for a, b in zip(row, factor[j], strict=False)), start=0.0)
            row.append((entries[j, i] * scale[i] * scale[j] - inner) * inverse[j])
        pivot = 1.0 + ridge - sum((a * a for a in row), start=0.0)
        factor.append(row)
        inverse.append(jax.lax.rsqrt(jnp.where(pivot > 0, pivot, jnp.nan)))
        known = sum((a * x for a, x in zip(row, solution, strict=True)), start=0.0)
        solution.append((right[i] * scale[i] - known) * inverse[i])
    for i in reversed(range(size)):
        known = sum((factor[j][i] * solution[j] for j in range(i + 1, size)), start=0.0)
        solution[i] = (solution[i] - known) * inverse[i]
    solution = [
        jnp.where(jnp.isfinite(x), x * here, 0.0) for x, here in zip(solution, scale, strict=True)
    ]
    found = jax.lax.optimization_barrier(jnp.stack(solution))
    return found.T.reshape(rhs.shape)


def _pad(x: jax.Array, axis: int, before: int, after: int) -> jax.Array:
    widths = [(0, 0)] * x.ndim
    widths[axis] = (before, after)
    return jnp.pad(x, widths)


def _lower_solve(factor: jax.Array, rhs: jax.Array, transpose: bool = False) -> jax.Array:
    return jax.lax.linalg.triangular_solve(
        factor, rhs, left_side=True, lower=True, transpose_a=transpose
    )
