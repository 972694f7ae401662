"""The losses of unsupervised motion segmentation: pure functions, one value per clip `[B]`.

Shapes: flow `[B, T, H, W, 2]` in pixels per frame, masks `[B, T, H, W, K]` summing to one over K,
parametric flow of the segments `[B, K, T, H, W, 2]` (from `jaxmotion.parametric_flow`), valid
`[B, T, H, W]` in {0, 1}. What is not valid counts nowhere, whatever it holds, NaN included.
All are differentiable in the masks; a mask value of exactly zero gives a finite gradient.

All compute in float32, or in float64 where an input is, and raise ValueError for shapes that do
not belong together: K is the last axis of masks and the second one of the parametric flow. Masks
are probabilities. Of logits, which `jax.nn.softmax` makes into masks, the losses mean nothing, and
a compiled program cannot check that.
"""

from functools import partial
from typing import Literal

import chex
import jax
import jax.numpy as jnp

from jaxmotion.losses.masks import entropy, known_pixels
from jaxmotion.motion.names import PenaltyName
from jaxmotion.motion.penalty import Penalty, residual_penalty
from jaxmotion.motion.shapes import check_shapes, promoted

__all__ = [
    "em",
    "frame_weights",
    "reconstruction",
    "temporal_consistency",
]


def frame_weights(
    flow: chex.Array, *, valid: chex.Array | None = None, min_magnitude: float = 1e-2
) -> jax.Array:
    """The weight of each frame in `reconstruction`: one over its flow's norm, averaged over time.

    Give the same weights to `jaxmotion.fit`, so that the fit and the loss minimize one function.

    Args:
        flow: `[B, T, H, W, 2]`, pixels per frame.
        valid: optional `[B, T, H, W]` in {0, 1}; pixels at 0 do not count.
        min_magnitude: mean L1 magnitude (pixels per frame) below which a frame counts as still and
            is divided by this instead.

    Returns:
        `[B, T]`: 1 / (T_valid * sum_i |f_i|_1), T_valid being the number of frames with a valid
        pixel; zero for a frame without one.

    References:
        Thesis eq. 3.4 and 4.4 (their division by zero for a still frame is guarded here).
    """
    check_shapes(flow=(flow, "B T H W 2"), valid=(valid, "B T H W"))
    (flow,) = promoted(flow)
    known = known_pixels(flow, valid)
    magnitude = jnp.sum(jnp.where(known > 0, jnp.abs(flow).sum(-1), 0.0), axis=(-2, -1))
    pixels = jnp.sum(known, axis=(-2, -1))
    has_pixels = pixels > 0
    frames = jnp.maximum(jnp.sum(has_pixels, axis=-1, keepdims=True), 1)
    norm = jnp.maximum(magnitude, min_magnitude * jnp.maximum(pixels, 1.0))
    return jnp.where(has_pixels, 1.0 / (frames * norm), 0.0)


def reconstruction(
    flow: chex.Array,
    masks: chex.Array,
    parametric: chex.Array,
    *,
    penalty: Penalty | PenaltyName = "l1",
    huber_delta: float | jax.Array = 1.0,
    valid: chex.Array | None = None,
    weights: chex.Array | None = None,
) -> jax.Array:
    """Misfit of the segments' motion models to the flow, relative to the flow's norm.

    Args:
        flow: `[B, T, H, W, 2]`, pixels per frame.
        masks: `[B, T, H, W, K]`, probabilities of the segments.
        parametric: `[B, K, T, H, W, 2]`, flow of the segments' motion models.
        penalty: distance of flow and model, a name of `residual_penalty` or a `Penalty`.
        huber_delta: threshold of the "huber" penalty, pixels per frame.
        valid: optional `[B, T, H, W]` in {0, 1}; pixels at 0 do not count.
        weights: optional `[B, T]`, factor on each frame's sum; `frame_weights` of the flow by
            default.

    Returns:
        `[B]`: the mean over frames of sum_i sum_k m_k(i) d(f(i), f_k(i)) / sum_i |f(i)|_1.

    References:
        Thesis eq. 3.4, 4.4 and 6.11.
    """
    check_shapes(flow=(flow, "B T H W 2"), weights=(weights, "B T"))
    per_frame = _coherence(flow, masks, parametric, penalty, huber_delta, valid)
    if weights is None:
        weights = frame_weights(flow, valid=valid)
    return jnp.sum(per_frame * weights, axis=-1)


def em(
    flow: chex.Array,
    masks: chex.Array,
    parametric: chex.Array,
    *,
    alpha: float | jax.Array = 1e-2,
    penalty: Penalty | PenaltyName = "l1",
    huber_delta: float | jax.Array = 1.0,
    valid: chex.Array | None = None,
    normalization: Literal["none", "flow"] = "none",
) -> jax.Array:
    """The expectation-maximization loss: coherence minus `alpha` times the masks' entropy.

    The sum over pixels of the thesis is a mean over valid pixels here, so that the value does not
    depend on the image size; constants that depend on neither masks nor theta are left out.

    Args:
        flow: `[B, T, H, W, 2]`, pixels per frame.
        masks: `[B, T, H, W, K]`, probabilities of the segments.
        parametric: `[B, K, T, H, W, 2]`, flow of the segments' motion models.
        alpha: weight of sum_k m_k log m_k (natural logarithm).
        penalty: distance of flow and model, a name of `residual_penalty` or a `Penalty`.
        huber_delta: threshold of the "huber" penalty, pixels per frame.
        valid: optional `[B, T, H, W]` in {0, 1}; pixels at 0 do not count.
        normalization: "none" leaves the coherence in pixels per frame (the published loss); "flow"
            divides it frame by frame by the flow's norm, as `reconstruction` does, so that `alpha`
            weighs the same for slow and fast motion.

    Returns:
        `[B]`: mean_i [ sum_k m_k(i) d(f(i), f_k(i)) + alpha * sum_k m_k(i) log m_k(i) ].

    Raises:
        ValueError: for an unknown normalization.

    References:
        Thesis eq. 2.12 and algorithm 7.1.4.
    """
    if normalization == "flow":
        coherence = reconstruction(
            flow, masks, parametric, penalty=penalty, huber_delta=huber_delta, valid=valid
        )
    elif normalization == "none":
        per_frame = _coherence(flow, masks, parametric, penalty, huber_delta, valid)
        pixels = jnp.sum(known_pixels(flow, valid), axis=(1, 2, 3), dtype=per_frame.dtype)
        coherence = jnp.sum(per_frame, axis=-1) / jnp.maximum(pixels, 1.0)
    else:
        raise ValueError(f'normalization must be "none" or "flow"; got {normalization!r}')
    return coherence - alpha * entropy(masks, valid=valid)


def temporal_consistency(
    masks: chex.Array,
    flow: chex.Array,
    *,
    occlusion_quantile: float | jax.Array = 0.99,
    valid: chex.Array | None = None,
) -> jax.Array:
    """Change of the masks from frame to frame, away from occlusions.

    Pixels whose flow changes most between the two frames are taken for occluded and left out: the
    top 1 - `occlusion_quantile` of the clip's valid pixel pairs.

    Args:
        masks: `[B, T, H, W, K]`, probabilities of the segments.
        flow: `[B, T, H, W, 2]`, pixels per frame; no gradient passes through it.
        occlusion_quantile: share of the pixel pairs that are kept, in [0, 1]; 1 leaves nothing
            out.
        valid: optional `[B, T, H, W]`; a pair counts where both pixels are valid.

    Returns:
        `[B]`: the mean over valid pixel pairs of sum_k |m_k(t + 1) - m_k(t)| / (2 K); zero for a
        clip of one frame.

    Raises:
        ValueError: for a quantile outside [0, 1], where it is a number and not traced.

    References:
        Thesis eq. 3.5-3.6 and 4.6-4.7, with the mean over time steps and one quantile per clip.
    """
    check_shapes(
        masks=(masks, "B T H W K"),
        flow=(flow, "B T H W 2"),
        valid=(valid, "B T H W"),
        occlusion_quantile=(occlusion_quantile, ""),
    )
    if isinstance(occlusion_quantile, (int, float)) and not 0 <= occlusion_quantile <= 1:
        raise ValueError(f"occlusion_quantile must be in [0, 1]; got {occlusion_quantile}")
    masks, flow = promoted(masks, flow)
    if masks.shape[1] < 2:
        return jnp.zeros(masks.shape[0], masks.dtype)
    known = known_pixels(flow, valid)
    pair = known[:, 1:] * known[:, :-1]
    change = jnp.abs(jax.lax.stop_gradient(flow[:, 1:] - flow[:, :-1])).sum(-1)
    change = jnp.where(pair > 0, change, 0.0).astype(jnp.float32)
    threshold = _upper_quantile(change, pair, occlusion_quantile)
    kept = jnp.where(change <= threshold[:, None, None, None], pair, 0.0)
    variation = jnp.abs(masks[:, 1:] - masks[:, :-1]).mean(-1) / 2
    total = jnp.sum(jnp.where(kept > 0, variation, 0.0), axis=(1, 2, 3))
    return total / jnp.maximum(jnp.sum(pair, axis=(1, 2, 3)), 1.0)


def _coherence(
    flow: chex.Array,
    masks: chex.Array,
    parametric: chex.Array,
    penalty: Penalty | PenaltyName,
    huber_delta: float | jax.Array,
    valid: chex.Array | None,
) -> jax.Array:
    """Sum over pixels and segments of m_k d(f, f_k): `[B, T]`."""
    check_shapes(
        flow=(flow, "B T H W 2"),
        masks=(masks, "B T H W K"),
        parametric=(parametric, "B K T H W 2"),
        valid=(valid, "B T H W"),
        huber_delta=(huber_delta, ""),
    )
    flow, masks, parametric = promoted(flow, masks, parametric)
    valid = None if valid is None else jnp.asarray(valid)
    if valid is not None:  # before the difference: 0 * NaN would be NaN, in the gradient too
        flow = jnp.where(valid[..., None] > 0, flow, 0.0)
    residual = flow[:, None] - parametric
    cost = residual_penalty(residual[..., 0], residual[..., 1], penalty, huber_delta)
    weights = jnp.moveaxis(masks, -1, 1)
    if valid is not None:
        weights = jnp.where(valid[:, None] > 0, weights, 0.0)
    return jnp.sum(weights * cost, axis=(1, 3, 4))


def _upper_quantile(
    values: jax.Array, counted: jax.Array, quantile: float | jax.Array
) -> jax.Array:
    """The least v with at least `quantile` of the counted float32 values <= v; all are >= 0: `[B]`.

    A search on the bit pattern of the floats (ordered as the floats are, when non-negative) finds
    the order statistic exactly, a few bits in every round of counts. A sort of the clip is many
    times slower, and would gather a clip that is sharded over devices.
    """
    axes = tuple(range(1, values.ndim))
    needed = quantile * jnp.sum(counted, axis=axes)

    def search(values: jax.Array, counted: jax.Array, needed: jax.Array, bits: int) -> jax.Array:
        ordered = jax.lax.bitcast_convert_type(values, jnp.int32)[:, None]

        def refine(found: jax.Array, shift: jax.Array):
            # The last numbers of all but one of the 2^bits intervals in which it may be.
            ends = found[:, None] + (jnp.arange(1, 2**bits) << shift) - 1
            below = ordered <= ends.reshape(*ends.shape, *[1] * len(axes))
            counts = jnp.sum(jnp.where(below, counted[:, None], 0.0), [a + 1 for a in axes])
            return found + (jnp.sum(counts < needed[:, None], axis=1) << shift), None

        shifts = jnp.array([*range(31 - bits, 0, -bits), 0])
        return jax.lax.scan(refine, jnp.zeros(len(values), jnp.int32), shifts)[0]

    # Twice as many rounds take half the time on a CPU, and twice as many kernels elsewhere.
    one, two = (partial(search, bits=bits) for bits in (1, 2))
    found = jax.lax.platform_dependent(values, counted, needed, cpu=one, default=two)
    found = jnp.minimum(found, 0x7F7FFFFF)  # the largest finite float
    return jax.lax.bitcast_convert_type(found, jnp.float32)
