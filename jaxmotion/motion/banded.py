"""Symmetric positive systems that are banded in time, solved in time linear in the clip length.

Temporal basis functions meet in the normal equations only where they overlap. Taking as many of
them as one block as the spline's degree makes the matrix block-tridiagonal (`blocks`). Cyclic
reduction solves it: every second block is eliminated at once, which leaves a block-tridiagonal
system of half the blocks, and so on. It is a Cholesky factorization in another order, as accurate
as that, with few and large steps where one block after the other takes many small ones.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

_AT_ONCE = 4  # blocks that are solved as one matrix; on a CPU more of them take longer
_UNROLLED = 6  # unknowns of a system that is solved number by number


def rounded(blocks: int) -> int:
    """The least number of blocks, not below this one, that can be halved as often as it must be."""
    step = 1
    while -(-blocks // step) > _AT_ONCE:
        step *= 2
    return -(-blocks // step) * step


def solve_banded(main: jax.Array, upper: jax.Array, rhs: jax.Array, ridge: float) -> jax.Array:
    """Solves A x = b for A block-tridiagonal, symmetric and positive semidefinite.

    The diagonal is scaled to one and `ridge` is added to it, so that directions with little data
    (a support of three pixels) get a finite, small answer. Unknowns with none, or none beyond
    rounding (an empty mask, the slope across a support of one column), get zero.

    Args:
        main: diagonal blocks of A, `[..., N, m, m]`.
        upper: blocks to the right of them, `[..., N, m, m]`; the last one is zero. N is a number
            of `rounded`.
        rhs: right-hand side b, `[..., N, g, n]`, where m = g n: n unknowns of one kind, whose
            diagonal entries tell which of them have no data.
        ridge: number added to the diagonal of the scaled matrix, which is one.

    Returns:
        The solution x, `[..., N, g, n]`.
    """
    *lead, blocks, group, size = rhs.shape
    if blocks == group == 1 and size <= _UNROLLED:
        return _solve_small(main[..., 0, :, :], rhs[..., 0, 0, :], ridge)[..., None, None, :]
    one = jnp.eye(group * size, dtype=rhs.dtype)
    diagonal = jnp.sum(main * one, axis=-1).reshape(rhs.shape)
    negligible = jnp.finfo(rhs.dtype).eps ** 1.5 * diagonal.max(-1, keepdims=True)
    present = diagonal > negligible
    scale = jnp.where(present, jax.lax.rsqrt(jnp.where(present, diagonal, 1.0)), 0.0)
    scale = scale.reshape(*lead, blocks, group * size)
    main = main * scale[..., :, None] * scale[..., None, :]
    main = main + one * (ridge + jnp.where(scale > 0, 0.0, 1.0))[..., None]
    following = jnp.roll(scale, -1, axis=-2)
    upper = upper * scale[..., :, None] * following[..., None, :]
    solution = _solve(main, upper, rhs.reshape(scale.shape) * scale)
    solution = jnp.where(jnp.isfinite(solution), solution, 0.0) * scale
    return solution.reshape(rhs.shape)


def _solve(main: jax.Array, upper: jax.Array, rhs: jax.Array) -> jax.Array:
    """`solve_banded` of a scaled, definite matrix. rhs `[..., N, m]`."""
    *lead, blocks, size = rhs.shape
    if blocks <= _AT_ONCE:
        factor = jnp.linalg.cholesky(_dense(main, upper), symmetrize_input=False)
        half = _lower_solve(factor, rhs.reshape(*lead, -1, 1))
        return _lower_solve(factor, half, transpose=True).reshape(rhs.shape)

    # Of each pair of blocks the second goes: its unknowns are expressed in those of the blocks
    # before and after it.
    def pairs(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
        axis += x.ndim
        x = x.reshape(*x.shape[:axis], blocks // 2, 2, *x.shape[axis + 1 :])
        first, second = (jax.lax.index_in_dim(x, i, axis + 1, keepdims=False) for i in (0, 1))
        return first, second

    (kept, gone), (before, after) = pairs(main, -3), pairs(upper, -3)
    right, right_gone = pairs(rhs, -2)
    factor = jnp.linalg.cholesky(gone, symmetrize_input=False)
    inverse = _lower_solve(factor, jnp.broadcast_to(jnp.eye(size, dtype=rhs.dtype), gone.shape))
    columns = [jnp.swapaxes(before, -1, -2), after, right_gone[..., None]]
    columns = _product(inverse, jnp.concatenate(columns, axis=-1))
    links = columns[..., : 2 * size]
    loss = _product(jnp.swapaxes(links, -1, -2), columns)
    to_before, to_after = loss[..., :size, :], _later(loss[..., size:, :], -3)
    even = _solve(
        kept - to_before[..., :size] - to_after[..., size : 2 * size],
        -to_before[..., size : 2 * size],
        right - to_before[..., -1] - to_after[..., -1],
    )
    next_one = jnp.pad(even[..., 1:, :], [(0, 0)] * len(lead) + [(0, 1), (0, 0)])
    around = jnp.concatenate([even, next_one], axis=-1)[..., None]
    odd = columns[..., 2 * size :] - _product(links, around)
    odd = _product(jnp.swapaxes(inverse, -1, -2), odd)[..., 0]
    return jnp.stack([even, odd], axis=-2).reshape(rhs.shape)


def _solve_small(matrix: jax.Array, rhs: jax.Array, ridge: float) -> jax.Array:
    """`solve_banded` of one matrix `[..., S, S]`: the same factorization, number by number.

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


def _dense(main: jax.Array, upper: jax.Array) -> jax.Array:
    """The matrix `[..., N m, N m]`, below its diagonal at least."""
    *lead, blocks, size, _ = main.shape
    if blocks == 1:
        return main[..., 0, :, :]
    own, before = np.eye(blocks, dtype=main.dtype), np.eye(blocks, k=-1, dtype=main.dtype)
    below = jnp.swapaxes(_later(upper, -3), -1, -2)
    dense = (
        main[..., None, :] * own[:, None, :, None] + below[..., None, :] * before[:, None, :, None]
    )
    return dense.reshape(*lead, blocks * size, blocks * size)


def _later(x: jax.Array, axis: int) -> jax.Array:
    """Every block one place later, a zero first and the last one dropped."""
    widths = [(0, 0, 0)] * x.ndim
    widths[axis] = (1, -1, 0)
    return jax.lax.pad(x, jnp.zeros((), x.dtype), widths)


def _product(left: jax.Array, right: jax.Array) -> jax.Array:
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)


def _lower_solve(factor: jax.Array, rhs: jax.Array, transpose: bool = False) -> jax.Array:
    return jax.lax.linalg.triangular_solve(
        factor, rhs, left_side=True, lower=True, transpose_a=transpose
    )
