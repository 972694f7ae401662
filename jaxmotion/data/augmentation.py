"""Augmentation of flow clips, in JAX: runs inside the jitted training step, on any device.

Two ideas of the thesis. Adding a global parametric motion to a clip is what another camera motion
would have done; the loss does not change (theorem 1), so the network learns not to care. Replacing
a frame of the network's input by noise, while the loss sees the true flow, is what a failed flow
estimate does; the network learns to lean on the frames around it. Both are for training only.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmotion.data.config import AugmentConfig
from jaxmotion.motion import MotionModel, parametric_flow


class Augmented(NamedTuple):
    """An augmented batch.

    Attributes:
        network_input: float32 `[B, T, H, W, 2]`, what the network sees.
        flow: float32 `[B, T, H, W, 2]`, what the loss explains: the augmented flow without the
            noise.
        valid: float32 `[B, T, H, W]`, where the flow is known, mirrored along.
        labels: int `[B, T, H, W]`, mirrored along; None where there were none.
    """

    network_input: jax.Array
    flow: jax.Array
    valid: jax.Array
    labels: jax.Array | None = None


def known_only(flow: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Leaves nothing of what flow holds where it is not valid.

    Args:
        flow: `[B, T, H, W, 2]`, pixels per frame.
        valid: `[B, T, H, W]` in {0, 1}, of any type, where the flow is known.

    Returns:
        The flow, zero where it is not valid, and valid in float32.
    """
    known = valid > 0
    return jnp.where(known[..., None], flow, 0), known.astype(jnp.float32)


def augment(
    key: jax.Array,
    flow: jax.Array,
    valid: jax.Array | None,
    config: AugmentConfig,
    model: MotionModel,
    clip_length: int | None = None,
    labels: jax.Array | None = None,
) -> Augmented:
    """Augments a batch; each clip is drawn for itself, and each part has its own key.

    Args:
        key: PRNG key of the random draws; the same key gives the same result.
        flow: float32 `[B, T, H, W, 2]`, pixels per frame.
        valid: `[B, T, H, W]` in {0, 1}, where the flow is known, None for all known; unknown pixels
            count in no mean and get no motion.
        config: changes to make; a part that is switched off costs nothing.
        model: motion model of the method, in whose span the added motion lies exactly.
        clip_length: number of frames of the clips, T where it is None; the rest is padding.
        labels: int `[B, T, H, W]`, what each pixel is; None for none.

    Returns:
        What the network sees and what the loss explains.
    """
    if valid is None:
        valid = jnp.ones(flow.shape[:-1], jnp.float32)
    flow, valid = known_only(flow, valid)
    flip_key, scale_key, motion_key, noise_key = jax.random.split(key, 4)
    if config.flip_horizontal or config.flip_vertical:
        if labels is not None:
            _, labels = random_flip(flip_key, flow, labels, config)  # by the same draws
        flow, valid = random_flip(flip_key, flow, valid, config)
    if config.scale_jitter > 1:
        exponent = jax.random.uniform(scale_key, (flow.shape[0], 1, 1, 1, 1), minval=-1.0)
        flow = flow * config.scale_jitter**exponent
    if config.global_motion > 0:
        added = random_global_motion(motion_key, flow, valid, config, model, clip_length)
        flow = flow + valid[..., None] * added
    network_input = flow
    if config.corruption_probability > 0:
        network_input, _ = corrupt(noise_key, flow, valid, config)
    return Augmented(network_input, flow, valid, labels)


def random_flip(
    key: jax.Array, flow: jax.Array, valid: jax.Array, config: AugmentConfig
) -> tuple[jax.Array, jax.Array]:
    """Mirrors some of the clips, vectors included.

    Args:
        key: PRNG key of the random draws.
        flow: `[B, T, H, W, 2]`, pixels per frame.
        valid: `[B, T, H, W]` in {0, 1}, where it is known.
        config: options, of which the two probabilities of a flip count.

    Returns:
        Flow and valid.
    """
    for axis, component, probability, axis_key in zip(
        (-1, -2),
        (0, 1),
        (config.flip_horizontal, config.flip_vertical),
        jax.random.split(key),
        strict=True,
    ):
        chosen = jax.random.bernoulli(axis_key, probability, flow.shape[:1])
        chosen = chosen[:, None, None, None]
        turned = jnp.flip(flow, axis - 1) * jnp.where(jnp.arange(2) == component, -1.0, 1.0)
        flow = jnp.where(chosen[..., None], turned, flow)
        valid = jnp.where(chosen, jnp.flip(valid, axis), valid)
    return flow, valid


def random_global_motion(
    key: jax.Array,
    flow: jax.Array,
    valid: jax.Array,
    config: AugmentConfig,
    model: MotionModel,
    clip_length: int | None = None,
) -> jax.Array:
    """Draws one global motion a clip, about as fast as the clip's own flow.

    Parameters are uniform in [-1, 1]; the field they give is scaled so that its mean length is that
    of the clip's flow, times `config.global_motion`, times a number uniform in [0, 1]. A clip at
    rest stays at rest.

    Args:
        key: PRNG key of the random draws.
        flow: `[B, T, H, W, 2]`, pixels per frame.
        valid: `[B, T, H, W]` in {0, 1}, where it is known.
        config: options, of which strength and probability of the motion count.
        model: motion model that the motion is drawn from.
        clip_length: number of frames of the clips, T where it is None; the rest is padding.

    Returns:
        The motion to add, `[B, T, H, W, 2]`.

    References:
        Thesis §2.3.4, §3.4.3 and §4.3.2.
    """
    batch, *shape = flow.shape[:-1]
    theta_key, strength_key, choice_key = jax.random.split(key, 3)
    clip_length = clip_length or shape[0]
    theta = jax.random.uniform(
        theta_key, (batch, 1, model.num_parameters(clip_length)), minval=-1.0, maxval=1.0
    )
    motion = parametric_flow(model, theta, (shape[0], shape[1], shape[2]), lengths=clip_length)
    motion = motion[:, 0]
    strength = config.global_motion * jax.random.uniform(strength_key, (batch,))
    chosen = jax.random.bernoulli(choice_key, config.global_motion_probability, (batch,))
    scale = _mean_length(flow, valid) / jnp.maximum(_mean_length(motion, valid), 1e-12)
    scale = jnp.where(chosen, strength * scale, 0.0)
    return motion * scale[:, None, None, None, None]


def _mean_length(flow: jax.Array, valid: jax.Array) -> jax.Array:
    """`[B]`: mean Euclidean length of the valid vectors."""
    flow, valid = known_only(flow, valid)
    length = jnp.linalg.norm(flow, axis=-1) * valid
    return length.sum(axis=(1, 2, 3)) / jnp.maximum(valid.sum(axis=(1, 2, 3)), 1.0)


def corrupt(
    key: jax.Array, flow: jax.Array, valid: jax.Array, config: AugmentConfig
) -> tuple[jax.Array, jax.Array]:
    """Replaces whole frames of some clips by white noise or by no motion at all.

    The noise has the mean and the spread of the clip's own flow.

    Args:
        key: PRNG key of the random draws.
        flow: `[B, T, H, W, 2]`, pixels per frame.
        valid: `[B, T, H, W]` in {0, 1}; mean and standard deviation (of u and of v) are of valid
            pixels.
        config: options, of which `corruption_probability`, `corrupted_frames` and `still_share`
            count.

    Returns:
        The flow with its noise, and bool `[B, T]`, which frames were replaced. One frame of a clip
        stays clean, so a clip of one is never touched. Padding behind the last valid frame changes
        nothing, and is not replaced.
    """
    flow, valid = known_only(flow, valid)
    batch, num_frames = flow.shape[:2]
    choice_key, count_key, order_key, noise_key = jax.random.split(key, 4)
    index = jnp.arange(num_frames)
    length = jnp.max(jnp.where(jnp.any(valid > 0, axis=(2, 3)), index + 1, 1), axis=1)
    low, high = (jnp.minimum(n, length - 1) for n in config.corrupted_frames)
    chosen = jax.random.bernoulli(choice_key, config.corruption_probability, (batch,))
    count = jax.random.randint(count_key, (batch,), low, high + 1) * chosen
    # Frames are the leading axis of what is drawn for each: more of them leave the others alone.
    ranks = jax.random.uniform(order_key, (num_frames, batch)).T
    order = jnp.argsort(jnp.where(index < length[:, None], ranks, 2.0), axis=1)
    corrupted = order < count[:, None]  # a random permutation has `count` entries below `count`

    weight = valid[..., None]
    total = jnp.maximum(weight.sum(axis=(1, 2, 3), keepdims=True), 1.0)
    mean = (flow * weight).sum(axis=(1, 2, 3), keepdims=True) / total
    variance = ((flow - mean) ** 2 * weight).sum(axis=(1, 2, 3), keepdims=True) / total
    noise = jax.random.normal(noise_key, (num_frames, batch, *flow.shape[2:]))
    noise = mean + jnp.sqrt(variance) * noise.swapaxes(0, 1)
    if config.still_share:
        still_key = jax.random.fold_in(noise_key, 1)
        still = jax.random.bernoulli(still_key, config.still_share, (num_frames, batch)).T
        noise = jnp.where(still[:, :, None, None, None], 0.0, noise)
    return jnp.where(corrupted[:, :, None, None, None], noise, flow), corrupted
