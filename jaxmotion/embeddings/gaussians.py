"""One Gaussian for each instance of a clip, and what it says of every pixel."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmotion.motion.shapes import check_shapes, promoted

_HIGHEST = jax.lax.Precision.HIGHEST
BASE_BANDWIDTH = 10.0
"""The bandwidth of a log-bandwidth of 0."""


class Gaussians(NamedTuple):
    """Gaussians of the instances of clips, which need not all be there.

    Attributes:
        mean: `[B, I, E]`, mean embedding; 0 for an absent instance.
        bandwidth: `[B, I, E]`, inverse variance of each channel; 1 for an absent instance.
        size: `[B, I]`, number of pixels.
    """

    mean: jax.Array
    bandwidth: jax.Array
    size: jax.Array


def instance_gaussians(
    embedding: jax.Array,
    log_bandwidth: jax.Array,
    labels: jax.Array,
    num_instances: int,
    *,
    free_std: Sequence[float] = (0.3, 0.3),
    valid: jax.Array | None = None,
) -> Gaussians:
    """Fits one Gaussian to the pixels of each instance, in the whole clip.

    The bandwidth is the mean of 10 exp(log-bandwidth). That of the free channels, the last ones, is
    fixed. Gradients pass through mean and bandwidth.

    Args:
        embedding: `[B, T, H, W, E]`.
        log_bandwidth: `[B, T, H, W, E - F]`, of all channels but the F free ones.
        labels: int `[B, T, H, W]`, 0 = background, 1.. = instances.
        num_instances: I, the largest label that is looked at.
        free_std: F standard deviations, of the free channels.
        valid: `[B, T, H, W]`; pixels at 0 do not count.

    Returns:
        The `Gaussians`.

    Raises:
        ValueError: for shapes that do not belong together.
    """
    check_embedding(embedding, log_bandwidth, labels, valid, free_std)
    embedding, log_bandwidth = promoted(embedding, log_bandwidth)
    members = membership(labels, num_instances, valid, embedding.dtype)
    size = jnp.sum(members, axis=(2, 3, 4))
    present = size[..., None] > 0
    width = BASE_BANDWIDTH * jnp.exp(log_bandwidth)
    mean = jnp.where(present, instance_means(embedding, members), 0)
    learned = jnp.where(present, instance_means(width, members), 1)
    free = jnp.where(present, 1 / jnp.asarray(free_std, embedding.dtype) ** 2, 1)
    bandwidth = jnp.concatenate([learned, free], axis=-1) if len(free_std) else learned
    return Gaussians(mean, bandwidth, size)


def probabilities(embedding: jax.Array, mean: jax.Array, bandwidth: jax.Array) -> jax.Array:
    """How likely each pixel belongs to each Gaussian: exp(-d²/2), 1 at its mean.

    Args:
        embedding: `[B, T, H, W, E]`.
        mean: `[B, I, E]`.
        bandwidth: `[B, I, E]`, inverse variances.

    Returns:
        `[B, I, T, H, W]`, in (0, 1].

    Raises:
        ValueError: for shapes that do not belong together.

    References:
        Athar et al. 2020, eq. 1.
    """
    check_shapes(
        embedding=(embedding, "B T H W E"),
        mean=(mean, "B I E"),
        bandwidth=(bandwidth, "B I E"),
    )
    embedding, mean, bandwidth = promoted(embedding, mean, bandwidth)
    # One channel at a time: an array with E as its last axis would be E times as large.
    squared = jnp.zeros(())
    for channel in range(embedding.shape[-1]):
        center, width = (x[..., channel, None, None, None] for x in (mean, bandwidth))
        squared += width * (embedding[:, None, ..., channel] - center) ** 2
    return jnp.exp(-0.5 * squared)


def membership(
    labels: jax.Array, num_instances: int, valid: jax.Array | None, dtype: jax.typing.DTypeLike
) -> jax.Array:
    """Which pixels are of which instance.

    Args:
        labels: int `[B, T, H, W]`, 0 = background, 1.. = instances.
        num_instances: I, the largest label that is looked at.
        valid: `[B, T, H, W]`; pixels at 0 are of none.
        dtype: type of the result.

    Returns:
        `[B, I, T, H, W]` in {0, 1}.
    """
    numbers = jnp.arange(1, num_instances + 1)[:, None, None, None]
    members = labels[:, None] == numbers
    if valid is not None:
        members &= valid[:, None] > 0
    return members.astype(dtype)


def instance_means(values: jax.Array, members: jax.Array) -> jax.Array:
    """Means over the pixels of each instance; 0 for an absent one.

    Args:
        values: `[B, T, H, W, C]`; where no instance is they may hold anything.
        members: `[B, I, T, H, W]` in {0, 1}.

    Returns:
        `[B, I, C]`.
    """
    anywhere = jnp.any(members > 0, axis=1)[..., None]
    values = jnp.where(anywhere, values, 0)  # 0 · NaN would be NaN
    total = jnp.einsum("bithw,bthwc->bic", members, values, precision=_HIGHEST)
    return total / jnp.maximum(jnp.sum(members, axis=(2, 3, 4)), 1)[..., None]


def check_embedding(
    embedding: jax.Array,
    log_bandwidth: jax.Array,
    labels: jax.Array,
    valid: jax.Array | None,
    free_std: Sequence[float],
) -> None:
    """Checks shapes that belong together; arguments as in `instance_gaussians`."""
    check_shapes(
        embedding=(embedding, "B T H W E"),
        log_bandwidth=(log_bandwidth, "B T H W D"),
        labels=(labels, "B T H W"),
        valid=(valid, "B T H W"),
    )
    free = embedding.shape[-1] - log_bandwidth.shape[-1]
    if len(free_std) != free:
        raise ValueError(
            f"free_std {tuple(free_std)}: expected {free} numbers, one for each channel of the "
            "embedding without a log-bandwidth"
        )
