"""Events of a track from its numbers: a pyramid over time, whose every place proposes events.

At each level a place looks at those around it, and says of each kind of event whether one is under
way there of about the length that its level is for, and how far its two ends are.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.shapes import check_shapes
from jaxmotion.networks.event_head_config import EventHeadConfig

_PRIOR = 0.01  # probability of an event, before anything is learned


class Proposals(NamedTuple):
    """What the P places of all levels say of the K kinds of events.

    Attributes:
        logits: `[B, P, K]`, above 0 for an event.
        spans: `[B, P, K, 2]`, its start and stop, frames.
    """

    logits: jax.Array
    spans: jax.Array


def places(num_frames: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of all levels, from the finest on.

    Args:
        num_frames: T, number of frames.
        levels: number of levels.

    Returns:
        The middle of each in frames, `[P]`, and the frames from one to the next, `[P]`. Frame t
        lasts from t to t + 1.
    """
    strides = 2 ** np.arange(levels)
    counts = [-(-num_frames // stride) for stride in strides]
    middles = [0.5 + stride * np.arange(n) for stride, n in zip(strides, counts, strict=True)]
    return np.concatenate(middles).astype(np.float32), np.repeat(strides, counts)


class EventHead(nn.Module):
    """The network.

    Attributes:
        config: its sizes.
        num_kinds: K, number of kinds of events.

    References:
        Zhang, Wu and Li, ActionFormer, ECCV 2022; Shi et al., TriDet, CVPR 2023.
    """

    config: EventHeadConfig
    num_kinds: int

    @nn.compact
    def __call__(self, features: jax.Array, known: jax.Array | None = None) -> Proposals:
        """Proposes events.

        Args:
            features: `[B, T, D]`, numbers of tracks.
            known: `[B, T]`, above 0 for the frames that there are; None for all. What the others
                hold has no influence.

        Returns:
            The `Proposals` of the `places` of T frames.

        Raises:
            ValueError: for shapes that do not belong together.
        """
        check_shapes(features=(features, "B T D"), known=(known, "B T"))
        config, (batch, frames, _) = self.config, features.shape
        mask = jnp.ones((batch, frames), bool) if known is None else known > 0
        beyond = -frames % 2 ** (config.levels - 1)
        x = jnp.pad(features, ((0, 0), (0, beyond), (0, 0)))
        mask = jnp.pad(mask, ((0, 0), (0, beyond)))
        x = _Convolutions(config.channels, name="stem")(x, mask)
        x = _Block(config, name="block_0")(x, mask)
        levels, masks = [], []
        for level in range(config.levels):
            if level:
                x, mask = _halve(f"halve_{level}", config.channels)(x), mask[:, ::2]
                x = jnp.where(mask[..., None], x, 0)
            x = _Block(config, name=f"block_{level + 1}")(x, mask)
            levels.append(nn.LayerNorm(name=f"norm_{level}")(x))
            masks.append(mask)
        # All levels in a row share the heads; what is not known lies between them.
        row, there, where = _row(levels, masks, frames)
        logits = nn.Conv(
            self.num_kinds,
            (3,),
            bias_init=nn.initializers.constant(np.log(_PRIOR / (1 - _PRIOR))),
            name="logits",
        )(_Convolutions(config.channels, name="classes")(row, there))
        reaches = nn.Conv(2 * self.num_kinds, (3,), name="reaches")(
            _Convolutions(config.channels, name="ends")(row, there)
        )
        middles, strides = places(frames, config.levels)
        # Ends are two to four strides away, and less at the finest level.
        scale = self.param("scales", nn.initializers.constant(np.log(3)), (config.levels,))
        scale = jnp.exp(scale)[np.log2(strides).astype(int)] * strides
        ends = nn.softplus(reaches[:, where]).reshape(batch, len(where), self.num_kinds, 2)
        ends = scale[:, None, None] * ends
        spans = jnp.asarray(middles)[:, None, None] + ends * jnp.array([-1.0, 1.0])
        return Proposals(logits[:, where], spans)


def _row(
    levels: list[jax.Array], masks: list[jax.Array], num_frames: int
) -> tuple[jax.Array, jax.Array, np.ndarray]:
    """The levels one after the other, with a gap of one time.

    Returns:
        `[B, R, C]`; where something is known, bool `[B, R]`; and which of them are the P places.
    """
    where, begin = [], 0
    for level, x in enumerate(levels):
        where.append(begin + np.arange(-(-num_frames // 2**level)))
        begin += x.shape[1] + 1
    row = jnp.concatenate([jnp.pad(x, ((0, 0), (0, 1), (0, 0))) for x in levels], axis=1)
    there = jnp.concatenate([jnp.pad(mask, ((0, 0), (0, 1))) for mask in masks], axis=1)
    return row, there, np.concatenate(where)


class _Convolutions(nn.Module):
    """Two convolutions over three times, with norm and ReLU; what is not known stays 0."""

    channels: int

    @nn.compact
    def __call__(self, x: jax.Array, known: jax.Array) -> jax.Array:
        for layer in range(2):
            x = nn.Conv(self.channels, (3,), name=f"conv_{layer}")(
                jnp.where(known[..., None], x, 0)
            )
            x = nn.relu(nn.LayerNorm(name=f"norm_{layer}")(x))
        return jnp.where(known[..., None], x, 0)


def _halve(name: str, channels: int) -> nn.Conv:
    """Every other time, from itself and its two neighbors, each channel by itself."""
    return nn.Conv(
        channels, (3,), strides=2, padding=((1, 1),), feature_group_count=channels, name=name
    )


class _Block(nn.Module):
    """Attention to the times around, then an MLP, both added."""

    config: EventHeadConfig

    @nn.compact
    def __call__(self, x: jax.Array, known: jax.Array) -> jax.Array:
        config = self.config
        y = nn.LayerNorm(name="norm_attention")(x)
        attention = LocalAttention(config.channels, config.heads, config.reach, name="attention")
        x = x + attention(y, known)
        y = nn.LayerNorm(name="norm_feed")(x)
        y = nn.gelu(nn.Dense(config.expansion * config.channels, name="feed_in")(y))
        x = x + nn.Dense(config.channels, name="feed_out")(y)
        return jnp.where(known[..., None], x, 0)


class LocalAttention(nn.Module):
    """Self-attention of each time to those at most `reach` before and after.

    Time is cut into parts of that length. A part looks at itself and its two neighbors, so memory
    and time are linear in the number of frames. How much a distance counts is learned.

    Attributes:
        channels: number of channels.
        heads: number of heads.
        reach: number of times before and after.
    """

    channels: int
    heads: int
    reach: int

    @nn.compact
    def __call__(self, x: jax.Array, known: jax.Array) -> jax.Array:
        """Attends.

        Args:
            x: `[B, T, C]`.
            known: bool `[B, T]`; nothing looks at the others.

        Returns:
            `[B, T, C]`.
        """
        batch, frames, _ = x.shape
        r, size = self.reach, self.channels // self.heads
        parts = -(-frames // r)
        x = jnp.pad(x, ((0, 0), (0, parts * r - frames), (0, 0)))
        shape = (batch, parts, r, self.heads, size)
        query, key, value = (
            nn.Dense(self.channels, name=name)(x).reshape(shape)
            for name in ("query", "key", "value")
        )
        there = jnp.pad(known, ((0, 0), (0, parts * r - frames))).reshape(batch, parts, r)
        key, value, there = (_with_neighbors(array) for array in (key, value, there))
        distance = np.arange(-r, 2 * r)[None] - np.arange(r)[:, None]  # [r, 3r]
        bias = self.param("bias", nn.initializers.zeros, (self.heads, 2 * r + 1))
        bias = bias[:, np.clip(distance + r, 0, 2 * r)]  # [heads, r, 3r]
        logits = jnp.einsum("bpihd,bpjhd->bphij", query, key) / np.sqrt(size) + bias
        seen = there[:, :, None, None, :] & (np.abs(distance) <= r)
        weights = nn.softmax(jnp.where(seen, logits, -1e9))
        found = jnp.einsum("bphij,bpjhd->bpihd", weights, value)
        found = found.reshape(batch, parts * r, self.channels)[:, :frames]
        return nn.Dense(self.channels, name="out")(found)


def _with_neighbors(parts: jax.Array) -> jax.Array:
    """Each of the parts `[B, n, r, ...]` between the one before and the one after."""
    padded = jnp.pad(parts, ((0, 0), (1, 1), *[(0, 0)] * (parts.ndim - 2)))
    return jnp.concatenate([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], axis=2)
