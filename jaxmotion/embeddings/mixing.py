"""Mixing functions: place and time added to what a network says of each pixel."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.embeddings.modes import MODES, Mode, num_dimensions
from jaxmotion.motion.shapes import check_shapes, promoted


def coordinate_grid(
    shape: tuple[int, int, int], mode: Mode, time_scale: float = 1.0, frames: int | None = None
) -> np.ndarray:
    """The coordinates that are added to the channels of an embedding.

    Channels come in the order t, y, x, free. The shorter side of a frame goes from -1 to 1 and the
    longer one further in proportion, ends included; free channels get 0.

    Args:
        shape: T, H, W.
        mode: name of the channels.
        time_scale: greatest coordinate of time, that of the last frame.
        frames: number of frames of which time goes from one end to the other; T where it is None.
            Frames behind them, which fill a clip up, are beyond the end.

    Returns:
        float64 `[T, H, W, E]`.

    Raises:
        ValueError: on an unknown mode, or a size below 1.

    References:
        Athar et al. 2020, section 3.2.
    """
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}: expected one of {', '.join(MODES)}")
    if min(shape) < 1:
        raise ValueError(f"shape {shape}: expected sizes of at least 1")
    length, height, width = shape
    frames = length if frames is None else frames
    step = 2 * time_scale / (frames - 1) if frames > 1 else 0.0
    t = -time_scale + step * np.arange(length)
    y = np.linspace(-1, 1, height) * max(1, height / width)
    x = np.linspace(-1, 1, width) * max(1, width / height)
    t, y, x = np.meshgrid(t, y, x, indexing="ij")
    channels = [t] if "t" in mode else []
    channels += [y, x] if "x" in mode else []
    channels += [np.zeros_like(t)] * mode.count("f")
    return np.stack(channels, axis=-1)


def mix(
    raw: jax.Array, mode: Mode, *, time_scale: float = 1.0, frames: int | None = None
) -> jax.Array:
    """Makes an embedding of what a network gives: tanh(raw / 4) plus the coordinates.

    Args:
        raw: `[B, T, H, W, E]`, any numbers.
        mode: name of the channels.
        time_scale: greatest coordinate of time, that of the last frame.
        frames: number of frames of the clips before they were filled up; T where it is None.

    Returns:
        `[B, T, H, W, E]`.

    Raises:
        ValueError: on an unknown mode, or another number of channels than it has.

    References:
        Athar et al. 2020, section 3.2.
    """
    check_shapes(raw=(raw, f"B T H W {num_dimensions(mode)}"))
    (raw,) = promoted(raw)
    _, length, height, width, _ = raw.shape
    grid = coordinate_grid((length, height, width), mode, time_scale, frames)
    return jnp.tanh(raw / 4) + jnp.asarray(grid, raw.dtype)
