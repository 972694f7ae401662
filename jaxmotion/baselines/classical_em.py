"""Classical EM: motion segmentation of one frame as a mixture of parametric motions.

The iterative algorithm that the EM network amortizes. No network, no memory from frame to frame:
random parameters, then a segmentation and new parameters in turn until the likelihood stands.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_HIGHEST = jax.lax.Precision.HIGHEST
# The six quadratic terms have 21 distinct products; where each stands in their 6 x 6 matrix.
_UPPER = np.triu_indices(6)
_PRODUCT = np.zeros((6, 6), int)
_PRODUCT[_UPPER] = _PRODUCT[_UPPER[::-1]] = np.arange(21)


class Mixture(NamedTuple):
    """The parameters of S starts with K segments each.

    Attributes:
        theta: `[S, K, 2, 6]`, motion in the basis of `_pixels`.
        variance: `[S, K]`, variance of the flow components about the motion.
        prior: `[S, K]`, share of each segment.
    """

    theta: jax.Array
    variance: jax.Array
    prior: jax.Array


def classical_em(
    flow,
    num_segments: int = 2,
    num_starts: int = 1,
    *,
    valid=None,
    alpha: float | None = 1e-2,
    num_iterations: int = 40,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Segments every frame by EM over quadratic motions with a Gaussian likelihood.

    Args:
        flow: `[T, H, W, 2]`, pixels per frame; the frames are independent problems.
        num_segments: number K of segments.
        num_starts: number of random initializations of the motions; the one with the highest
            likelihood is returned, frame by frame.
        valid: `[T, H, W]` in {0, 1}; unknown vectors count nowhere, and share the posterior of a
            vector of zero. Everywhere by default.
        alpha: spread of the likelihood `exp(-|residual|^2 / alpha)`, in square pixels, with equal
            priors (thesis eq. 2.10). `None` estimates variance and share of every segment as
            well, as a textbook mixture of regressions does.
        num_iterations: number of EM steps; most are on every second pixel of each axis,
            the last four on all.
        seed: seed of the initializations.

    Returns:
        masks float32 `[T, H, W, K]`, the posterior, and the mean log-likelihood per pixel
        float32 `[T]`.

    References:
        Thesis 2.2 and 2.4.4; Dempster, Laird and Rubin, 1977.
    """
    flow = np.asarray(flow, np.float32)
    num_frames, height, width, _ = flow.shape
    keys = jax.random.split(jax.random.key(seed), num_frames)
    masks = np.empty((num_frames, height, width, num_segments), np.float32)
    likelihoods = np.empty(num_frames, np.float32)
    for t in range(num_frames):
        frame, known = flow[t], None
        if valid is not None and not (valid[t] > 0).all():
            known = (valid[t] > 0).astype(np.float32)
            frame = np.where(known[..., None] > 0, frame, 0)
        posterior, likelihood = _segment_frame(
            frame, known, keys[t], num_segments, num_starts, alpha, num_iterations
        )
        masks[t], likelihoods[t] = np.asarray(posterior), float(likelihood)
    return masks, likelihoods


@partial(jax.jit, static_argnums=(3, 4, 5, 6))
def _segment_frame(flow, known, key, num_segments, num_starts, alpha, num_iterations):
    """One frame [H, W, 2]: posterior [H, W, K] of the best start, and its log-likelihood."""
    stride = 2 if min(flow.shape[:2]) >= 32 else 1
    fine_iterations = min(4, num_iterations)
    state = initial_mixture(flow, key, num_segments, num_starts, alpha, known)
    state, _ = run_em(flow, state, alpha, num_iterations - fine_iterations, stride, known)
    state, _ = run_em(flow, state, alpha, fine_iterations, known=known)
    log_joint = _log_joint(*_pixels(flow), state)
    likelihood = _mean(jax.nn.logsumexp(log_joint, axis=1), _counted(known))
    best = jnp.argmax(likelihood)
    posterior = jax.nn.softmax(log_joint[best], axis=0)
    return posterior.T.reshape(*flow.shape[:2], num_segments), likelihood[best]


def initial_mixture(
    flow, key, num_segments: int, num_starts: int, alpha: float | None, known=None
) -> Mixture:
    """Draws random motions about the global one, as far from it as the flow is on average.

    Args:
        flow: `[H, W, 2]`, pixels per frame.
        key: JAX random key.
        num_segments: number K of segments.
        num_starts: number S of random starts.
        alpha: spread of the likelihood, as `classical_em` has it.
        known: `[H, W]` in {0, 1}, where the flow is known, zero elsewhere; None for everywhere.
    """
    planar, basis = _pixels(flow)
    counted = _counted(known)
    count = planar.shape[1] if counted is None else jnp.maximum(jnp.sum(counted), 1)
    global_theta = jnp.matmul(planar, basis.T, precision=_HIGHEST) / count
    leftover = planar - jnp.matmul(global_theta, basis, precision=_HIGHEST)
    squared = leftover**2 if counted is None else _mean(leftover**2, counted)
    variance = jnp.maximum(jnp.mean(squared), 1e-12)
    shape = (num_starts, num_segments)
    theta = global_theta + jnp.sqrt(variance) * jax.random.normal(key, (*shape, 2, 6))
    return Mixture(
        theta=theta,
        variance=jnp.full(shape, variance if alpha is None else alpha / 2),
        prior=jnp.full(shape, 1 / num_segments),
    )


def run_em(
    flow, state: Mixture, alpha: float | None, num_iterations: int, stride: int = 1, known=None
) -> tuple[Mixture, jax.Array]:
    """Runs EM steps on one frame; the likelihood never falls.

    Args:
        flow: `[H, W, 2]`, pixels per frame.
        state: the mixture to begin with.
        alpha: spread of the likelihood, as `classical_em` has it.
        num_iterations: number of steps.
        stride: distance of the pixels that are taken: every `stride`-th pixel of both axes.
        known: `[H, W]` in {0, 1}, where the flow is known; None for everywhere.

    Returns:
        The new mixture, and the mean log-likelihood per pixel before each step,
        `[num_iterations, S]`.
    """
    planar, basis = _pixels(flow, stride)
    products = jnp.asarray(basis[_UPPER[0]] * basis[_UPPER[1]])
    counted = _counted(known, stride)

    def step(state, _):
        log_joint = _log_joint(planar, basis, state)
        posterior = jax.nn.softmax(log_joint, axis=1)
        likelihood = _mean(jax.nn.logsumexp(log_joint, axis=1), counted)
        if counted is not None:  # a mean over the known pixels is one over all of them
            posterior *= counted * (counted.size / jnp.maximum(jnp.sum(counted), 1))
        return _maximize(planar, basis, products, posterior, state, alpha), likelihood

    return jax.lax.scan(step, state, length=num_iterations)


def _maximize(planar, basis, products, posterior, state: Mixture, alpha) -> Mixture:
    """M step: weighted least squares in every segment [S, K, n], then spread and share."""
    num_pixels = planar.shape[1]
    weights = posterior / num_pixels
    gram = jnp.matmul(weights, products.T, precision=_HIGHEST)[..., _PRODUCT]  # [S, K, 6, 6]
    moments = jnp.stack(
        [jnp.matmul(weights * component, basis.T, precision=_HIGHEST) for component in planar],
        axis=2,
    )  # [S, K, 2, 6]
    # A pull to the previous motion keeps small and empty segments finite, and the ascent intact.
    pull = 1e-6 * (jnp.trace(gram, axis1=-2, axis2=-1) + 1e-6)[..., None, None]
    theta = jnp.linalg.solve(
        gram + pull * jnp.eye(6), jnp.swapaxes(moments + pull * state.theta, -1, -2)
    )
    theta = jnp.swapaxes(theta, -1, -2)
    if alpha is not None:
        return state._replace(theta=theta)
    share = weights.sum(axis=-1)
    error = (weights * _squared_residual(planar, basis, theta)).sum(axis=-1)
    # A floor of a hundredth of a pixel: a segment of few pixels must not collapse onto them.
    variance = jnp.maximum(error / (2 * share + 1e-12), 1e-4)
    return Mixture(theta, variance, jnp.maximum(share, 1e-6))


def _log_joint(planar, basis, state: Mixture) -> jax.Array:
    """Logarithm of p(flow, segment): [S, K, n]."""
    constant = jnp.log(state.prior) - jnp.log(2 * np.pi * state.variance)
    squared = _squared_residual(planar, basis, state.theta)
    return constant[..., None] - squared / (2 * state.variance[..., None])


def _squared_residual(planar, basis, theta) -> jax.Array:
    """|f - f_theta|^2: [S, K, n]."""
    u, v = (planar[c] - jnp.matmul(theta[:, :, c], basis, precision=_HIGHEST) for c in range(2))
    return u**2 + v**2


def _pixels(flow, stride: int = 1) -> tuple[jax.Array, np.ndarray]:
    """Flow [2, n] and motion basis [6, n] at every `stride`-th pixel; pixels are the minor axis.

    The basis are products of Legendre polynomials up to degree 2 over the frame, near enough to
    orthonormal there for float32 normal equations.
    """
    height, width = flow.shape[:2]
    x, y = _legendre(width)[:, ::stride], _legendre(height)[:, ::stride]
    terms = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    basis = np.stack([np.outer(y[b], x[a]).ravel() for a, b in terms])
    planar = jnp.moveaxis(flow[::stride, ::stride], -1, 0).reshape(2, -1)
    return planar, basis.astype(np.float32)


def _counted(known, stride: int = 1) -> jax.Array | None:
    """`known` [H, W] of the pixels [n] that `_pixels` gives."""
    return None if known is None else known[::stride, ::stride].reshape(-1)


def _mean(values: jax.Array, counted: jax.Array | None) -> jax.Array:
    """The mean of [S, n] over the pixels that count, [S]."""
    if counted is None:
        return values.mean(axis=1)
    return jnp.sum(values * counted, axis=1) / jnp.maximum(jnp.sum(counted), 1)


def _legendre(count: int) -> np.ndarray:
    s = np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
    return np.stack([np.ones_like(s), np.sqrt(3) * s, np.sqrt(5) * (3 * s**2 - 1) / 2])
