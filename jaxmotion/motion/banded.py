"""Symmetric positive systems that are banded in time, solved in time linear in the clip length.

Temporal basis functions l and l' meet in the normal equations only where |l - l'| is at most the
basis' bandwidth (the spline's degree). Taking that many basis functions as one block makes the
matrix block-tridiagonal, and one scan of small Cholesky factorisations solves it.
"""

import jax
import jax.numpy as jnp

_HIGHEST = jax.lax.Precision.HIGHEST


def solve_banded(bands: jax.Array, rhs: jax.Array, ridge: float) -> jax.Array:
    """Solve A x = b for A block-banded, symmetric and positive semidefinite.

    The diagonal is scaled to one and `ridge` is added to it, so that directions with little data
    (a support of three pixels) get a finite, small answer. Unknowns with none, or none beyond
    rounding (an empty mask, the slope across a support of one column), get zero.

    Args:
      bands: `[W + 1, ..., L, S, S]`: bands[o, ..., l] is the block (l, l + o) of A; entries with
        l + o >= L are ignored.
      rhs: `[..., L, S]`.
      ridge: relative to the scaled diagonal.

    Returns:
      `[..., L, S]`.
    """
    bandwidth, (length, size) = bands.shape[0] - 1, rhs.shape[-2:]
    diagonal = jnp.diagonal(bands[0], axis1=-2, axis2=-1)
    negligible = jnp.finfo(rhs.dtype).eps ** 1.5 * diagonal.max(-1, keepdims=True)
    present = diagonal > negligible
    scale = jnp.where(present, jax.lax.rsqrt(jnp.where(present, diagonal, 1.0)), 0.0)
    group = max(bandwidth, 1) if bandwidth + 1 < length else length
    count = -(-length // group)
    padding = [(0, 0)] * (scale.ndim - 2) + [(0, count * group - length), (0, 0)]
    scale_padded = jnp.pad(scale, padding)
    rhs_scaled = _blocks(jnp.pad(rhs * scale, padding), count)

    dense = _tridiagonal(bands, scale, group, count)
    eye = jnp.eye(group * size, dtype=rhs.dtype)
    missing = jnp.where(_blocks(scale_padded, count) > 0, 0.0, 1.0)
    main = dense[0] + eye * (ridge + missing[..., None])
    solution = _block_cholesky_solve(main, dense[1], rhs_scaled)
    solution = jnp.where(jnp.isfinite(solution), solution, 0.0)
    flat = solution.reshape(*rhs.shape[:-2], count * group, size)[..., :length, :]
    return flat * scale


def _blocks(x: jax.Array, count: int) -> jax.Array:
    """`[..., count * group, S]` -> `[..., count, group * S]`."""
    return x.reshape(*x.shape[:-2], count, -1)


def _tridiagonal(bands, scale, group, count) -> tuple[jax.Array, jax.Array]:
    """Diagonal and upper off-diagonal blocks `[..., count, m, m]`, scaled on both sides."""
    bandwidth, lead = bands.shape[0] - 1, bands.shape[1:-3]
    length, size = scale.shape[-2:]
    main = jnp.zeros((*lead, count, group, group, size, size), bands.dtype)
    upper = jnp.zeros((*lead, max(count - 1, 0), group, group, size, size), bands.dtype)
    for offset in range(min(bandwidth, length - 1) + 1):
        kept = length - offset
        band = bands[offset, ..., :kept, :, :] * (
            scale[..., :kept, :, None] * scale[..., offset:, None, :]
        )
        for row in range(group):
            entries = band[..., row::group, :, :]
            column = row + offset
            if column < group:
                n = entries.shape[-3]
                main = main.at[..., :n, row, column, :, :].set(entries)
                if offset:
                    transposed = jnp.swapaxes(entries, -1, -2)
                    main = main.at[..., :n, column, row, :, :].set(transposed)
            else:
                n = entries.shape[-3]
                upper = upper.at[..., :n, row, column - group, :, :].set(entries)

    def square(x):
        x = jnp.swapaxes(x, -3, -2)
        return x.reshape(*x.shape[:-4], group * size, group * size)

    return square(main), square(upper)


def _block_cholesky_solve(main: jax.Array, upper: jax.Array, rhs: jax.Array) -> jax.Array:
    """Block-tridiagonal Cholesky solve. main `[..., N, m, m]`, upper `[..., N-1, m, m]`."""
    if rhs.shape[-2] == 1:
        factor = jnp.linalg.cholesky(main[..., 0, :, :], symmetrize_input=False)
        return _lower_solve(factor, _lower_solve(factor, rhs[..., 0, :, None]), transpose=True)[
            ..., 0
        ][..., None, :]

    main, upper, rhs = (jnp.moveaxis(x, n, 0) for x, n in ((main, -3), (upper, -3), (rhs, -2)))
    first = jnp.linalg.cholesky(main[0], symmetrize_input=False)

    def forward(carry, block):
        factor, partial = carry
        diagonal, above, b = block
        # Rows of the factor's off-diagonal block: (L_{i-1}^{-1} U_{i-1})^T.
        link = _lower_solve(factor, above)
        link_t = jnp.swapaxes(link, -1, -2)
        schur = diagonal - jnp.matmul(link_t, link, precision=_HIGHEST)
        factor = jnp.linalg.cholesky(schur, symmetrize_input=False)
        b = b - jnp.matmul(link_t, partial[..., None], precision=_HIGHEST)[..., 0]
        partial = _lower_solve(factor, b[..., None])[..., 0]
        return (factor, partial), (factor, partial, link)

    start = (first, _lower_solve(first, rhs[0][..., None])[..., 0])
    (_, _), (factors, partials, links) = jax.lax.scan(forward, start, (main[1:], upper, rhs[1:]))
    factors = jnp.concatenate([first[None], factors])
    partials = jnp.concatenate([start[1][None], partials])

    def backward(x, block):
        factor, partial, link = block
        partial = partial - jnp.matmul(link, x[..., None], precision=_HIGHEST)[..., 0]
        x = _lower_solve(factor, partial[..., None], transpose=True)[..., 0]
        return x, x

    last = _lower_solve(factors[-1], partials[-1][..., None], transpose=True)[..., 0]
    _, xs = jax.lax.scan(backward, last, (factors[:-1], partials[:-1], links), reverse=True)
    return jnp.moveaxis(jnp.concatenate([xs, last[None]]), 0, -2)


def _lower_solve(factor: jax.Array, rhs: jax.Array, transpose: bool = False) -> jax.Array:
    return jax.lax.linalg.triangular_solve(
        factor, rhs, left_side=True, lower=True, transpose_a=transpose
    )
