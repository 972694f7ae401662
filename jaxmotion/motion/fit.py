"""Robust fit of motion models to flow inside soft masks. (First version.)"""

import dataclasses
import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.banded import solve_banded
from jaxmotion.motion.model import MotionModel, frame_coefficients
from jaxmotion.motion.moments import GRAM_INDEX, Clip, sweep
from jaxmotion.motion.penalty import Penalty, check_penalty
from jaxmotion.motion.spatial import coordinates

_HIGHEST = jax.lax.Precision.HIGHEST


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class FitInfo:
    """What `fit` reports of each problem, `[B, K]`.

    Attributes:
      objective: sum of mask * valid * frame weight * penalty at the returned theta.
      gap: bound on how far the objective is above its minimum, exact where the smoothed problem
        is stationary.
      iterations: how many steps lowered the objective.
    """

    objective: jax.Array
    gap: jax.Array
    iterations: jax.Array


@functools.partial(
    jax.jit,
    static_argnames=("model", "penalty", "huber_delta", "passes", "adjoint", "return_info"),
)
def fit(
    flow: jax.Array,
    masks: jax.Array,
    model: MotionModel,
    *,
    penalty: Penalty = "l1",
    huber_delta: float = 1.0,
    valid: jax.Array | None = None,
    frame_weights: jax.Array | None = None,
    init: jax.Array | None = None,
    passes: int = 4,
    adjoint: Literal["stop", "implicit", "unroll"] = "stop",
    return_info: bool = False,
):
    """First version; see the final one for the contract."""
    check_penalty(penalty)
    dtype = jnp.promote_types(jnp.promote_types(flow.dtype, masks.dtype), jnp.float32)
    if adjoint == "stop":
        flow, masks = jax.lax.stop_gradient((flow, masks))
    elif adjoint != "unroll":
        raise NotImplementedError(adjoint)
    B, T, H, W, _ = flow.shape
    K = masks.shape[-1]
    f = flow.astype(dtype)
    w = jnp.moveaxis(masks.astype(dtype), -1, 2)
    if valid is not None:
        f = jnp.where(valid[..., None] > 0, f, 0)
        w = jnp.where(valid[:, :, None] > 0, w, 0)
    if frame_weights is not None:
        w = w * frame_weights.astype(dtype)[:, :, None, None, None]
    f = jnp.moveaxis(f, -1, 2)
    x0 = jnp.asarray(coordinates(W), dtype)
    y0 = jnp.asarray(coordinates(H), dtype)
    x = jnp.broadcast_to(x0, (B, K, W))
    y = jnp.broadcast_to(y0, (B, K, H))
    basis = model.temporal_basis(T)
    embedding = model.spatial_embedding()
    bandwidth = 0 if basis.shape[1] == 1 else basis.shape[1] - 1
    if model.temporal == "bspline":
        bandwidth = min(bandwidth, 3 if model.degree is None else model.degree)
    products = np.zeros((bandwidth + 1, T, basis.shape[1]))
    for o in range(bandwidth + 1):
        products[o, :, : basis.shape[1] - o] = basis[:, : basis.shape[1] - o] * basis[:, o:]
    E = jnp.asarray(embedding, dtype)

    def step(m):
        gradient = jnp.einsum(
            "tl,btkcj,cjs->bkls", jnp.asarray(basis, dtype), m.gradient, E, precision=_HIGHEST
        )
        gram = jnp.einsum(
            "otl,btkcm->obklcm", jnp.asarray(products, dtype), m.gram, precision=_HIGHEST
        )[..., GRAM_INDEX]
        gram = jnp.broadcast_to(gram, (*gram.shape[:-3], 2, 6, 6))
        bands = jnp.einsum("obklcij,cis,cjr->obklsr", gram, E, E, precision=_HIGHEST)
        return solve_banded(bands, gradient, 30 * float(jnp.finfo(dtype).eps)), gradient

    def coef(theta):
        return jnp.moveaxis(frame_coefficients(theta, basis, embedding), 1, 2)

    ones = jnp.ones((B, K, 1), dtype)
    clip = Clip(f, w, x, y)
    zero = jnp.zeros((B, K, basis.shape[1], embedding.shape[2]), dtype)
    m0 = sweep(clip, coef(zero), ones, ones, "squared", huber_delta)
    trial, _ = step(m0)
    if init is not None:
        trial = init.reshape(zero.shape).astype(dtype)
    mass = jnp.maximum(w.sum((1, 3, 4)), jnp.finfo(dtype).tiny)

    def iterate(carry, _):
        best, best_obj, trial, delta, eps_rel, kappa, its = carry
        c = coef(trial)
        scale = jnp.where(jnp.isfinite(best_obj), best_obj, 0) / mass
        m = sweep(
            clip,
            c,
            jnp.maximum(eps_rel * scale, 1e-30)[..., None],
            kappa[..., None],
            penalty,
            huber_delta,
        )
        obj = m.objective.sum((1, 3))
        better = obj < best_obj
        new_delta, _ = step(m)
        b4 = better[..., None, None]
        best = jnp.where(b4, trial, best)
        delta = jnp.where(b4, new_delta, delta / 4)
        best_obj = jnp.where(better, obj, best_obj)
        kappa = jnp.where(better, jnp.maximum(kappa / 2, 0.5), jnp.minimum(kappa * 5, 1))
        eps_rel = jnp.where(better, jnp.maximum(eps_rel / 2, 0.02), eps_rel)
        return (best, best_obj, best + delta, delta, eps_rel, kappa, its + better), None

    first = sweep(clip, coef(trial), ones, ones, penalty, huber_delta)
    obj0 = first.objective.sum((1, 3))
    init_carry = (
        trial,
        obj0 * (1 + 1e-6),
        trial,
        jnp.zeros_like(trial),
        jnp.full((B, K), 0.5, dtype),
        jnp.ones((B, K), dtype),
        jnp.zeros((B, K), jnp.int32),
    )
    carry, _ = jax.lax.scan(iterate, init_carry, None, length=2 * passes)
    theta, objective = carry[0].reshape(B, K, -1), carry[1]
    if adjoint == "stop":
        theta = jax.lax.stop_gradient(theta)
    if return_info:
        return theta, FitInfo(objective, objective, carry[-1])
    return theta
