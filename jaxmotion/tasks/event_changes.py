"""Random changes of the numbers of tracks, and of their events with them."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.events import KINDS
from jaxmotion.events.features import FEATURES
from jaxmotion.tasks.events_config import EventChangesConfig

_BACKWARD = {"enter": "leave", "meet": "part", "approach": "recede"}
_BACKWARD |= {there: here for here, there in _BACKWARD.items()}
_REVERSED = np.array([KINDS.index(_BACKWARD.get(kind, kind)) for kind in KINDS])
_OPPOSITE = np.array(
    [-1 if f in ("right", "down", "growth", "turn", "closing") else 1 for f in FEATURES]
)
_MEASURED = np.array([0 if name in ("seen", "border") else 1 for name in FEATURES])


def reverse(
    features: jax.Array, events: jax.Array, clip_length: int
) -> tuple[jax.Array, jax.Array]:
    """The same tracks backward in time.

    Args:
        features: `[B, T, D]`, numbers of tracks, in order of `FEATURES`.
        events: `[B, E, 3]`, number of the kind, start and stop; below 0 for none.
        clip_length: number of frames; what is beyond stays.
    """
    frame = jnp.arange(features.shape[1])
    mirrored = jnp.where(frame < clip_length, clip_length - 1 - frame, frame)
    kind = events[..., 0].astype(jnp.int32)
    back = jnp.stack(
        [jnp.asarray(_REVERSED)[kind], clip_length - events[..., 2], clip_length - events[..., 1]],
        axis=-1,
    )
    return features[:, mirrored] * _OPPOSITE, jnp.where(kind[..., None] < 0, events, back)


def turn(features: jax.Array, angle: jax.Array, mirror: jax.Array) -> jax.Array:
    """The same tracks in a frame that is turned, and mirrored left to right before.

    Args:
        features: `[B, T, D]`, numbers of tracks, in order of `FEATURES`.
        angle: `[B]`, radians.
        mirror: bool `[B]`.
    """
    sign, names = jnp.where(mirror, -1.0, 1.0)[:, None], list(FEATURES)
    right, down = (names.index(name) for name in ("right", "down"))
    x, y = sign * features[..., right], features[..., down]
    cosine, sine = jnp.cos(angle)[:, None], jnp.sin(angle)[:, None]
    features = features.at[..., right].set(cosine * x - sine * y)
    features = features.at[..., down].set(sine * x + cosine * y)
    return features.at[..., names.index("turn")].multiply(sign)


def changed(
    key: jax.Array,
    features: jax.Array,
    events: jax.Array,
    clip_length: int,
    config: EventChangesConfig,
) -> tuple[jax.Array, jax.Array]:
    """Changes clips at random.

    Args:
        key: randomness.
        features: `[B, T, D]`, numbers of tracks, in order of `FEATURES`.
        events: `[B, E, 3]`, number of the kind, start and stop; below 0 for none.
        clip_length: number of frames before padding.
        config: how much changes.

    Returns:
        Features and events.
    """
    keys, (batch, frames, _) = jax.random.split(key, 7), features.shape
    backward = jax.random.bernoulli(keys[0], config.reverse, (batch, 1, 1))
    back = reverse(features, events, clip_length)
    features = jnp.where(backward, back[0], features)
    events = jnp.where(backward, back[1], events)
    if config.turn:
        angle = jax.random.uniform(keys[1], (batch,), maxval=2 * np.pi)
        features = turn(features, angle, jax.random.bernoulli(keys[2], 0.5, (batch,)))
    deviation = jax.random.uniform(keys[3], (batch, 1, 1), maxval=config.noise)
    noise = deviation * _MEASURED * jax.random.normal(keys[4], features.shape)
    share = jax.random.uniform(keys[5], (batch, 1), maxval=config.lost)
    kept = (jax.random.uniform(keys[6], (batch, frames)) >= share)[..., None]
    kept = kept & (features[..., :1] > 0)
    return jnp.where(kept, features + noise, 0), events
