"""The input of a network and its loss, prepared once for a batch of clips."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmotion.data.augmentation import known_only
from jaxmotion.motion import global_residual
from jaxmotion.networks import NetworkConfig, needs_residual, network_features


class Observation(NamedTuple):
    """A batch of clips as network and loss see it. What is not known is 0 everywhere.

    Attributes:
        flow: `[B, T, H, W, 2]`, pixels per frame; what the loss explains.
        valid: `[B, T, H, W]` float32 in {0, 1}; where the flow is known.
        residual: `[B, T, H, W, 2]`, the flow minus its global motion; None where neither network
            nor loss asks for it.
        features: `[B, T, H, W, C]`, what the network sees.
    """

    flow: jax.Array
    valid: jax.Array
    residual: jax.Array | None
    features: jax.Array


def observe(
    flow: jax.Array,
    valid: jax.Array | None,
    network: NetworkConfig,
    *,
    seen: jax.Array | None = None,
    with_residual: bool = False,
) -> Observation:
    """Prepares clips for a network and its loss. No gradient passes through it.

    The robust fit of the global motion takes most of the time. It runs once where network or loss
    needs the residual, and not at all where neither does.

    Args:
        flow: `[B, T, H, W, 2]`, pixels per frame; what it holds where it is not valid does not
            matter.
        valid: `[B, T, H, W]` in {0, 1}, where the flow is known; None for everywhere.
        network: configuration of the network, which says what its input channels are.
        seen: `[B, T, H, W, 2]`, what the network sees instead of the flow, such as the flow with
            noise; None, or the array of the flow itself, lets it see the flow.
        with_residual: whether the loss needs the residual of the flow.

    Returns:
        The `Observation`.

    Raises:
        ValueError: for shapes that do not belong together.
    """
    if valid is None:
        valid = jnp.ones(flow.shape[:-1], jnp.float32)
    sees_residual = needs_residual(network.input)
    if seen is None or seen is flow:
        flow, valid = known_only(flow, valid)
        seen = flow
        residual = seen_residual = None
        if sees_residual or with_residual:
            residual = seen_residual = global_residual(flow, valid)
    else:
        (flow, _), (seen, valid) = known_only(flow, valid), known_only(seen, valid)
        if sees_residual and with_residual:  # in one fit
            both = jnp.stack([flow, seen])
            residual, seen_residual = jax.vmap(global_residual, (0, None))(both, valid)
        else:
            residual = global_residual(flow, valid) if with_residual else None
            seen_residual = global_residual(seen, valid) if sees_residual else None
    features = network_features(
        seen, network.input, residual=seen_residual, valid=valid, frames=network.norm_frames
    )
    return Observation(flow, valid, residual, features)
