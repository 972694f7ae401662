"""The losses of instance embeddings (STEm-Seg): pure functions, one value per clip `[B]`.

Shapes: embedding `[B, T, H, W, E]`, log-bandwidth `[B, T, H, W, E - F]` with F free channels, seed
`[B, T, H, W]` in (0, 1), labels int `[B, T, H, W]`, 0 = background, 1.. = instances. What is not
valid counts nowhere, whatever it holds. Instances that a clip does not have weigh nothing, and a
clip without any still pushes its seed to 0.

References:
    Athar et al., STEm-Seg: Spatio-temporal Embeddings for Instance Segmentation in Videos, 2020
    (arXiv:2003.08429), section 3.3; Yu and Blaschko, The Lovász Hinge, 2015 (arXiv:1512.07797).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxmotion.embeddings.gaussians import (
    check_embedding,
    instance_gaussians,
    instance_means,
    membership,
    probabilities,
)
from jaxmotion.motion.shapes import check_shapes, promoted

__all__ = ["bandwidth_smoothness", "embedding_loss", "lovasz_hinge", "seediness"]


def lovasz_hinge(
    logits: jax.Array,
    targets: jax.Array,
    *,
    valid: jax.Array | None = None,
    bins: int | None = 1024,
) -> jax.Array:
    """The Lovász extension of the Jaccard loss, of hinge errors 1 - logit · (±1).

    It is ∫ Δ(τ) dτ, where Δ(τ) is the Jaccard loss if just the pixels with an error above τ are
    wrong. Δ depends on how many pixels of either kind these are, so a histogram of the errors
    tells the weight of each pixel: nothing is sorted, and devices that share the pixels exchange
    the histogram alone. A bin's pixels share its weight, which conserves the sum: the value is
    off by the spread of the errors within a bin times that of the weights.

    Args:
        logits: `[..., N]`; above 0 a pixel is called positive.
        targets: `[..., N]`, above 0 where it is positive.
        valid: `[..., N]`; pixels at 0 do not count.
        bins: number of bins between 0 and the greatest error, or 2 where that is less (errors of
            logits in [-1, 1] are at most 2), narrower toward great errors, where weights differ
            most; None sorts the pixels and is exact.

    Returns:
        `[...]`: 0 where no pixel counts. Its gradient is that of the sorted pixels, but for ties.

    Raises:
        ValueError: for shapes that do not belong together, or fewer than one bin.
    """
    for name, value in (("targets", targets), ("valid", valid)):
        if value is not None and value.shape != logits.shape:
            raise ValueError(f"{name} must have shape {logits.shape} of logits; got {value.shape}")
    if bins is not None and bins < 1:
        raise ValueError(f"bins {bins}: expected at least 1, or None to sort")
    (logits,) = promoted(logits)
    positive = targets > 0
    if valid is not None:
        logits = jnp.where(valid > 0, logits, 0)  # NaN there must not reach the gradient
    errors = jax.nn.relu(jnp.where(positive, 1 - logits, 1 + logits))
    counts = errors > 0 if valid is None else (errors > 0) & (valid > 0)
    errors = jnp.where(counts, errors, 0)
    total = jnp.sum(positive if valid is None else positive & (valid > 0), axis=-1)
    weigh = _weights_by_sorting if bins is None else _weights_by_histogram
    weights = weigh(jax.lax.stop_gradient(errors), positive, counts, total, bins)
    return jnp.sum(weights * errors, axis=-1)


def _weights_by_sorting(errors, positive, counts, total, bins):
    """The weight of each pixel, `[..., N]`; every pixel is a bin of its own."""
    del bins
    order = jnp.argsort(-errors, axis=-1, stable=True)
    kinds = jnp.stack([counts & positive, counts & ~positive], axis=-2).astype(jnp.int32)
    kinds = jnp.take_along_axis(kinds, order[..., None, :], axis=-1)
    of_positive, of_negative = _weights_of_bins(kinds, total, errors.dtype)
    rank = jnp.argsort(order, axis=-1)
    weights = jnp.where(kinds[..., 0, :] > 0, of_positive, of_negative)
    return jnp.take_along_axis(weights, rank, axis=-1)


def _weights_by_histogram(errors, positive, counts, total, bins):
    """The weight of each pixel, `[..., N]`, by the bin that its error is in."""
    top = jnp.maximum(jnp.max(errors, axis=-1, keepdims=True), 2)
    place = jnp.sqrt(jnp.maximum(1 - errors / top, 0)) * bins  # greatest first
    place = jnp.minimum(place.astype(jnp.int32), bins - 1)
    place = jnp.where(positive, place, bins + place)
    shape = errors.shape[:-1]

    def histogram(place, counts):
        return jnp.zeros(2 * bins, jnp.int32).at[place].add(counts)

    def look_up(table, place):
        return table[place]

    for _ in shape:
        histogram, look_up = jax.vmap(histogram), jax.vmap(look_up)
    found = histogram(place, counts.astype(jnp.int32)).reshape(*shape, 2, bins)
    weights = jnp.concatenate(_weights_of_bins(found, total, errors.dtype), axis=-1)
    return look_up(weights, place)


def _weights_of_bins(
    found: jax.Array, total: jax.Array, dtype: jax.typing.DTypeLike
) -> tuple[jax.Array, jax.Array]:
    """What a positive and a negative pixel of each bin add to the loss for each unit of error.

    Let P pixels be positive, m positive and f negative ones be in the bins before: Δ is
    (m + f) / (P + f). A bin with a positives and b negatives adds a / U' + b (P - m) / (U U'),
    where U = P + f and U' = U + b. Half of the negatives before the positives parts this into
    a (1 / U + 1 / U') / 2 and b (P - m - a / 2) / (U U'). Alone in its bin a pixel gets exactly
    what it gets in sorted order.

    Args:
        found: int `[..., 2, bins]`, positives and negatives of each bin, greatest error first.
        total: int `[...]`, number of positives.
        dtype: type of the result.

    Returns:
        Two arrays `[..., bins]`.
    """
    before = jnp.cumsum(found, axis=-1) - found
    missed, wrong = before[..., 0, :], before[..., 1, :]
    positives, negatives = found[..., 0, :], found[..., 1, :]
    union = total[..., None] + wrong
    first = jnp.maximum(union, 1).astype(dtype)
    last = jnp.maximum(union + negatives, 1).astype(dtype)
    of_positive = 0.5 * (1 / first + 1 / last)
    remaining = (total[..., None] - missed).astype(dtype) - 0.5 * positives
    of_negative = remaining / first / last
    # Without a positive the loss is 1 as soon as any pixel is wrong.
    at_once = jnp.where(wrong == 0, 1 / jnp.maximum(negatives, 1).astype(dtype), 0)
    return of_positive, jnp.where(total[..., None] > 0, of_negative, at_once)


def bandwidth_smoothness(
    log_bandwidth: jax.Array,
    labels: jax.Array,
    num_instances: int,
    *,
    valid: jax.Array | None = None,
) -> jax.Array:
    """How far the log-bandwidth is from being the same all over each instance.

    Args:
        log_bandwidth: `[B, T, H, W, D]`.
        labels: int `[B, T, H, W]`, 0 = background, 1.. = instances.
        num_instances: I, the largest label that is looked at.
        valid: `[B, T, H, W]`; pixels at 0 do not count.

    Returns:
        `[B]`: the mean over the instances that are there of the variance over their pixels and
        channels; 0 where there is none.

    References:
        Athar et al. 2020, eq. 4.
    """
    check_shapes(
        log_bandwidth=(log_bandwidth, "B T H W D"),
        labels=(labels, "B T H W"),
        valid=(valid, "B T H W"),
    )
    (log_bandwidth,) = promoted(log_bandwidth)
    members = membership(labels, num_instances, valid, log_bandwidth.dtype)
    mean = instance_means(log_bandwidth, members)
    total = jnp.zeros(mean.shape[:2], mean.dtype)
    for channel in range(log_bandwidth.shape[-1]):
        far = log_bandwidth[:, None, ..., channel] - mean[..., channel, None, None, None]
        total += jnp.sum(jnp.where(members > 0, far**2, 0), axis=(2, 3, 4))
    size = jnp.sum(members, axis=(2, 3, 4))
    variance = total / jnp.maximum(size * log_bandwidth.shape[-1], 1)
    return _mean_of_present(variance, size)


def seediness(
    seed: jax.Array,
    probability: jax.Array,
    labels: jax.Array,
    *,
    ignore: jax.Array | None = None,
    valid: jax.Array | None = None,
) -> jax.Array:
    """How far the seed is from the probability of each pixel's own Gaussian, and from 0 elsewhere.

    Args:
        seed: `[B, T, H, W]`, in (0, 1).
        probability: `[B, I, T, H, W]`, as `embeddings.probabilities` gives it. No gradient passes
            through it.
        labels: int `[B, T, H, W]`, 0 = background, 1.. = instances.
        ignore: bool `[B, T, H, W]`, background that may hold objects nobody has labeled: its seed
            is free. Its pixels still count in the mean.
        valid: `[B, T, H, W]`; pixels at 0 do not count.

    Returns:
        `[B]`: the sum of the mean squares of the background and of each instance, divided by one
        more than the number of instances that are there.

    References:
        Athar et al. 2020, eq. 5.
    """
    check_shapes(
        seed=(seed, "B T H W"),
        probability=(probability, "B I T H W"),
        labels=(labels, "B T H W"),
        ignore=(ignore, "B T H W"),
        valid=(valid, "B T H W"),
    )
    seed, probability = promoted(seed, probability)
    probability = jax.lax.stop_gradient(probability)
    members = membership(labels, probability.shape[1], valid, seed.dtype)
    background = labels == 0 if valid is None else (labels == 0) & (valid > 0)
    pushed = background if ignore is None else background & ~(ignore > 0)
    pixels = jnp.sum(background, axis=(1, 2, 3))
    square = jnp.where(pushed, jnp.where(pushed, seed, 0) ** 2, 0)
    rest = jnp.sum(square, axis=(1, 2, 3)) / jnp.maximum(pixels, 1)
    inside = members > 0
    far = jnp.where(inside, jnp.where(inside, seed[:, None], 0) - probability, 0)
    size = jnp.sum(members, axis=(2, 3, 4))
    of_instances = jnp.sum(far**2, axis=(2, 3, 4)) / jnp.maximum(size, 1)
    present = jnp.sum(size > 0, axis=1)
    return (rest + jnp.sum(of_instances, axis=1)) / (present + 1)


def embedding_loss(
    embedding: jax.Array,
    log_bandwidth: jax.Array,
    seed: jax.Array,
    labels: jax.Array,
    num_instances: int,
    *,
    free_std: Sequence[float],
    ignore: jax.Array | None = None,
    valid: jax.Array | None = None,
    weights: tuple[float, float, float] = (1.0, 10.0, 1.0),
    bins: int | None = 1024,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss of instance embeddings: Lovász hinge, smoothness of the bandwidth, seediness.

    Args:
        embedding: `[B, T, H, W, E]`, coordinates included (`embeddings.mix`).
        log_bandwidth: `[B, T, H, W, E - F]`.
        seed: `[B, T, H, W]`, in (0, 1).
        labels: int `[B, T, H, W]`, 0 = background, 1.. = instances.
        num_instances: I, the largest label that is looked at.
        free_std: F standard deviations, of the free channels.
        ignore: bool `[B, T, H, W]`, background whose seed is free (`seediness`).
        valid: `[B, T, H, W]`; pixels at 0 do not count.
        weights: weights of the three parts.
        bins: number of bins of the Lovász hinge; None sorts.

    Returns:
        The loss `[B]`, and its parts by name, each `[B]`: ``lovasz``, ``smoothness``,
        ``seediness``.

    Raises:
        ValueError: for shapes that do not belong together.

    References:
        Athar et al. 2020, eq. 6.
    """
    check_embedding(embedding, log_bandwidth, labels, valid, free_std)
    embedding, log_bandwidth, seed = promoted(embedding, log_bandwidth, seed)
    if valid is not None:
        known = valid > 0
        embedding = jnp.where(known[..., None], embedding, 0)
        log_bandwidth = jnp.where(known[..., None], log_bandwidth, 0)
    found = instance_gaussians(
        embedding, log_bandwidth, labels, num_instances, free_std=free_std, valid=valid
    )
    probability = probabilities(embedding, found.mean, found.bandwidth)
    members = membership(labels, num_instances, valid, embedding.dtype)
    flat = (*members.shape[:2], -1)
    counted = None
    if valid is not None:
        counted = jnp.broadcast_to(valid[:, None], members.shape).reshape(flat)
    hinge = lovasz_hinge(
        (2 * probability - 1).reshape(flat), members.reshape(flat), valid=counted, bins=bins
    )
    parts = {
        "lovasz": _mean_of_present(hinge, found.size),
        "smoothness": bandwidth_smoothness(log_bandwidth, labels, num_instances, valid=valid),
        "seediness": seediness(seed, probability, labels, ignore=ignore, valid=valid),
    }
    total = sum(weight * part for weight, part in zip(weights, parts.values(), strict=True))
    return jnp.asarray(total), parts


def _mean_of_present(values: jax.Array, size: jax.Array) -> jax.Array:
    """The mean `[B]` of values `[B, I]` over the instances that are there; 0 for none."""
    present = size > 0
    total = jnp.sum(jnp.where(present, values, 0), axis=1)
    return total / jnp.maximum(jnp.sum(present, axis=1), 1)
