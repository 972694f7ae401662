"""Mask decoders: from the bottleneck of a clip to a descriptor of each of its K segments."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxmotion.motion.shapes import check_shapes
from jaxmotion.networks.config import DecoderConfig
from jaxmotion.networks.slot_attention import SlotAttention


class Queries(nn.Module):
    """The descriptors of K segments, read from the bottleneck by attention (thesis §4.2.3).

    Attributes:
        config: options of the decoder; its kind is not "linear".
        num_masks: K, number of segments.
        dtype: compute type of the large products.
    """

    config: DecoderConfig
    num_masks: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, bottleneck: jax.Array, weight: jax.Array | None, deterministic: bool
    ) -> jax.Array:
        """Reads the space-time volume.

        Args:
            bottleneck: coarsest features of the clip, `[B, T, h, w, D]`.
            weight: known share of each cell, `[B, T, h, w, 1]`; None for all.
            deterministic: whether dropout is off.

        Returns:
            Descriptors of the segments, float32 `[B, K, D]`.

        Raises:
            ValueError: for shapes that do not belong together.
        """
        check_shapes(bottleneck=(bottleneck, "B T h w D"), weight=(weight, "B T h w 1"))
        b, t, h, w, d = bottleneck.shape
        places = nn.Dense(d, dtype=self.dtype, name="places")(cell_places(bottleneck, weight))
        tokens = (bottleneck + places).reshape(b, t * h * w, d)
        shares = None if weight is None else weight.reshape(b, t * h * w)
        if self.config.kind == "slots":
            slots = SlotAttention(
                num_slots=self.num_masks,
                width=d,
                iterations=self.config.iterations,
                hidden=self.config.feed_forward,
                differentiation=self.config.differentiation,
                dtype=self.dtype,
                name="slots",
            )
            return slots(tokens, shares)
        start = self.param("queries", nn.initializers.normal(1.0), (self.num_masks, d))
        queries = jnp.broadcast_to(start, (b, self.num_masks, d)).astype(self.dtype)
        for layer in range(self.config.layers):
            decode = DecoderLayer(self.config, self.dtype, name=f"layer_{layer}")
            queries = decode(queries, tokens, shares, deterministic)
        return queries.astype(jnp.float32)


class DecoderLayer(nn.Module):
    """Self-attention of the queries, cross-attention to the tokens, feed-forward; norms after."""

    config: DecoderConfig
    dtype: Any

    @nn.compact
    def __call__(
        self,
        queries: jax.Array,
        tokens: jax.Array,
        shares: jax.Array | None,
        deterministic: bool,
    ) -> jax.Array:
        """Maps queries `[B, K, D]` and tokens `[B, N, D]` with shares `[B, N]` to queries."""
        known = None if shares is None else (shares > 0)[:, None, None, :]
        drop = nn.Dropout(self.config.dropout, deterministic=deterministic)

        def attend(name: str, source: jax.Array, mask: jax.Array | None) -> jax.Array:
            attention = nn.MultiHeadDotProductAttention(
                self.config.heads,
                dropout_rate=self.config.dropout,
                deterministic=deterministic,
                dtype=self.dtype,
                name=name,
            )
            return drop(attention(queries, source, mask=mask))

        def norm(name: str, x: jax.Array) -> jax.Array:
            return nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name=name)(x)

        queries = norm("norm_self", queries + attend("self", queries, None))
        queries = norm("norm_cross", queries + attend("cross", tokens, known))
        hidden = nn.Dense(self.config.feed_forward, dtype=self.dtype, name="feed_in")(queries)
        change = nn.Dense(queries.shape[-1], dtype=self.dtype, name="feed_out")(
            drop(nn.relu(hidden))
        )
        return norm("norm_feed", queries + drop(change))


def cell_places(features: jax.Array, weight: jax.Array | None) -> jax.Array:
    """``(t, y, x)`` of every cell, each in [0, 1]: `[B, T, h, w, 3]`.

    t is 0 at the first frame and 1 at the last one with a known pixel, whatever the padding.

    Args:
        features: features of the cells, `[B, T, h, w, D]`, of which the sizes matter alone.
        weight: known share of each cell, `[B, T, h, w, 1]`; None for all.
    """
    b, t, h, w, _ = features.shape
    index = jnp.arange(t, dtype=jnp.float32)
    if weight is None:
        last = jnp.full((b, 1), t - 1.0)
    else:
        known = jnp.any(weight > 0, axis=(2, 3, 4))
        last = jnp.max(jnp.where(known, index, 0), axis=1, keepdims=True)
    time = jnp.broadcast_to((index / jnp.maximum(last, 1))[:, :, None, None], (b, t, h, w))
    y, x = (jnp.linspace(0, 1, n) if n > 1 else jnp.zeros(1, jnp.float32) for n in (h, w))
    grid = jnp.broadcast_to(jnp.stack(jnp.meshgrid(y, x, indexing="ij"), -1), (b, t, h, w, 2))
    return jnp.concatenate([time[..., None], grid], axis=-1)
