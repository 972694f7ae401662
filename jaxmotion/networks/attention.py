"""Attention over space and time: cells look at each other, and gates weigh regions and frames."""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxmotion.motion.shapes import check_shapes
from jaxmotion.networks.config import AttentionConfig


class Attention(NamedTuple):
    """The weights that a gate gives to frames and regions; 1 and 0.5 where it says nothing.

    Attributes:
        frames: weight of each frame `[B, T]`, 1 on average over the frames with a known pixel.
        regions: weight of each cell of the bottleneck `[B, T, h, w]`, from 0 to 1.
    """

    frames: jax.Array
    regions: jax.Array


class SpaceTimeAttention(nn.Module):
    """Middle part: the cells of the bottleneck attend over time, then over space.

    Attention is divided: a cell looks at the same cell in all frames, then at all cells of its own
    frame, then an MLP follows. Each of them adds to its input, behind a layer norm, by a projection
    that starts at zero: a trained network stays itself when it gets this part. Over time nearness
    counts by a penalty linear in the distance, which holds for clips of any length (ALiBi); over
    space cells know their place from the convolutions.

    Attributes:
        features: number of channels, those of the bottleneck.
        config: number of layers and heads.
        dtype: compute type; norms and softmax are float32.

    References:
        Bertasius, Wang, Torresani, Is space-time attention all you need for video understanding?,
        ICML 2021.
        Press, Smith, Lewis, Train short, test long: attention with linear biases, ICLR 2022.
    """

    features: int
    config: AttentionConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        """Runs all layers.

        Args:
            x: coarsest features, `[B, T, h, w, D]`.
            weight: known share of each cell, `[B, T, h, w, 1]`; None for all known. Nothing looks
                at a cell of which nothing is known, and such a cell stays as it is.

        Returns:
            `[B, T, h, w, D]` in the type of ``x``.

        Raises:
            ValueError: for shapes that do not belong together.
        """
        check_shapes(x=(x, "B T h w D"), weight=(weight, "B T h w 1"))
        known = jnp.ones((*x.shape[:-1], 1), bool) if weight is None else weight > 0
        b, t, h, w, d = x.shape
        bias = time_bias(t, self.config.heads)
        y = x.astype(self.dtype)

        def add(change: jax.Array) -> jax.Array:
            return y + jnp.where(known, change, 0)

        for layer in range(self.config.layers):
            norm = partial(nn.LayerNorm, epsilon=1e-5, dtype=self.dtype)
            # [B, h, w, T, D]: each cell is a row of its own.
            over_time = norm(name=f"norm_time_{layer}")(y).transpose(0, 2, 3, 1, 4)
            seen = known[..., 0].transpose(0, 2, 3, 1)[..., None, None, :]
            change = self._attend(f"time_{layer}", over_time, seen, bias)
            y = add(change.transpose(0, 3, 1, 2, 4))
            over_space = norm(name=f"norm_space_{layer}")(y).reshape(b, t, h * w, d)
            seen = known.reshape(b, t, 1, 1, h * w)
            change = self._attend(f"space_{layer}", over_space, seen, None)
            y = add(change.reshape(b, t, h, w, d))
            hidden = norm(name=f"norm_feed_{layer}")(y)
            hidden = nn.gelu(nn.Dense(2 * d, dtype=self.dtype, name=f"feed_in_{layer}")(hidden))
            y = add(_from_zero(d, self.dtype, f"feed_out_{layer}")(hidden))
        return y.astype(x.dtype)

    def _attend(
        self, name: str, tokens: jax.Array, seen: jax.Array, bias: jax.Array | None
    ) -> jax.Array:
        """Self-attention over the second to last axis of `[..., N, D]`."""
        attention = nn.MultiHeadDotProductAttention(
            self.config.heads,
            dtype=self.dtype,
            out_kernel_init=nn.initializers.zeros,
            attention_fn=partial(nn.dot_product_attention, bias=bias),
            name=name,
        )
        return attention(tokens, mask=jnp.broadcast_to(seen, (*seen.shape[:-2], 1, seen.shape[-1])))


class RegionFrameGate(nn.Module):
    """Weights of regions and frames, read from the bottleneck, for what passes the transits.

    A region weighs the sigmoid of a linear map of its cell, a frame the softmax over time of one of
    the mean of its cells. Both maps start at zero, where all weigh alike and nothing changes.
    """

    @nn.compact
    def __call__(self, bottleneck: jax.Array, weight: jax.Array | None = None) -> Attention:
        """Weighs the cells and frames of a clip.

        Args:
            bottleneck: coarsest features, `[B, T, h, w, D]`.
            weight: known share of each cell, `[B, T, h, w, 1]`; None for all known. A frame of
                which nothing is known weighs 0.

        Returns:
            The `Attention`, float32.

        Raises:
            ValueError: for shapes that do not belong together.
        """
        check_shapes(bottleneck=(bottleneck, "B T h w D"), weight=(weight, "B T h w 1"))
        x = bottleneck.astype(jnp.float32)
        share = jnp.ones((*x.shape[:-1], 1)) if weight is None else weight
        regions = nn.sigmoid(_from_zero(1, jnp.float32, "regions")(x))[..., 0]
        total = jnp.sum(share, axis=(2, 3))
        means = jnp.sum(x * share, axis=(2, 3)) / jnp.maximum(total, 1e-6)
        logits = _from_zero(1, jnp.float32, "frames")(means)[..., 0]
        is_known = total[..., 0] > 0
        logits = jnp.where(is_known, logits, -jnp.inf)
        # Without any known frame all logits are -inf, of which a softmax would be NaN.
        largest = jnp.max(logits, axis=1, keepdims=True)
        powers = jnp.exp(logits - jnp.where(jnp.isfinite(largest), largest, 0))
        count = jnp.sum(is_known, axis=1, keepdims=True)
        frames = count * powers / jnp.maximum(jnp.sum(powers, axis=1, keepdims=True), 1e-30)
        return Attention(frames, regions)


def gate(skip: jax.Array, weights: jax.Array, frames: jax.Array) -> jax.Array:
    """Weighs the features of a transit.

    Args:
        skip: features `[B, T, H, W, C]`.
        weights: weights of the regions at that size, `[B, T, H, W, 1]`; 0.5 changes nothing.
        frames: weights of the frames, `[B, T]`; 1 changes nothing.
    """
    return skip * (2 * weights * frames[:, :, None, None, None]).astype(skip.dtype)


def time_bias(frames: int, heads: int) -> jax.Array:
    """What is added to the logits of attention over time: `[heads, T, T]`.

    Head i of H loses 2^(-8 (i + 1) / H) for each frame of distance, so that heads see near and far.

    Args:
        frames: T, number of frames.
        heads: number of heads.
    """
    slopes = 2.0 ** (-8 * jnp.arange(1, heads + 1) / heads)
    index = jnp.arange(frames)
    distance = jnp.abs(index[:, None] - index).astype(jnp.float32)
    return -slopes[:, None, None] * distance


def _from_zero(features: int, dtype: Any, name: str) -> nn.Dense:
    """A linear map that starts at zero."""
    return nn.Dense(features, kernel_init=nn.initializers.zeros, dtype=dtype, name=name)
