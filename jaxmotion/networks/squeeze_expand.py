"""The published decoder of instance embeddings: features of four sizes, squeezed in time."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

_BRANCHES = (3, 2, 1, 1)  # convolutions of each branch, coarsest first
_FRAMES = {2: 0, 4: 1, 8: 2, 16: 3, 24: 3, 32: 3}  # of a clip, with how often it may be halved


class SqueezeExpandDecoder(nn.Module):
    """Features of four sizes to features of the finest one.

    Each branch is convolved over space and time, and squeezed: between its convolutions the mean
    over three frames and 3×3 pixels is taken at every second frame. From the coarsest size on the
    features are then enlarged in space and time, and joined with those of the next finer branch.

    As published, zeros beyond the border count in these means, and so do frames that fill a clip
    up.

    Attributes:
        widths: channels of the four branches, coarsest first.
        groups: number of groups of channels that share the statistics of a norm.

    References:
        Athar et al. 2020, section 3.5 and fig. 3.
    """

    widths: Sequence[int] = (256, 256, 128, 128)
    groups: int = 32

    @nn.compact
    def __call__(self, features: Sequence[jax.Array]) -> jax.Array:
        """Decodes clips.

        Args:
            features: four arrays `[B, T, h, w, C]`, coarsest first, each of twice the height and
                width of the one before.

        Returns:
            Features `[B, T, H, W, widths[3]]` of the size of the last array.

        Raises:
            ValueError: on another number of frames than 2, 4, 8, 16, 24 or 32, or shapes that do
                not belong together.
        """
        frames, (height, width) = features[0].shape[1], features[0].shape[2:4]
        for factor, x in zip((1, 2, 4, 8), features, strict=True):
            if x.ndim != 5 or x.shape[1:4] != (frames, factor * height, factor * width):
                raise ValueError(f"features of shape {x.shape}: expected four sizes, each doubled")
        if frames not in _FRAMES:
            raise ValueError(f"clips of {frames} frames: expected 2, 4, 8, 16, 24 or 32")
        halvings = [min(pools, _FRAMES[frames]) for pools in (3, 2, 1, 0)]
        branches = [
            self._branch(f"branch_{index}", x, index, halvings[index])
            for index, x in enumerate(features)
        ]
        found = branches[0]
        for index in (1, 2, 3):
            grow = 2 ** (halvings[index - 1] - halvings[index])
            found = expand(found, (grow, 2, 2))
            found = jnp.concatenate([found, branches[index]], axis=-1)
            found = nn.Dense(self.widths[index], use_bias=False, name=f"join_{index}")(found)
        return found

    def _branch(self, name: str, x: jax.Array, index: int, halvings: int) -> jax.Array:
        for step in range(_BRANCHES[index]):
            conv = nn.Conv(self.widths[index], (3, 3, 3), padding=1, name=f"{name}_conv_{step}")
            norm = nn.GroupNorm(self.groups, epsilon=1e-5, name=f"{name}_norm_{step}")
            x = nn.relu(norm(conv(x)))
            if step < halvings:
                x = squeeze(x)
        return x


def squeeze(x: jax.Array) -> jax.Array:
    """Means over 3×3×3 frames and pixels at every second frame, zeros beyond the border.

    Args:
        x: features `[B, T, H, W, C]`.

    Returns:
        `[B, (T + 1) // 2, H, W, C]`.
    """
    border = ((1, 1),) * 3
    return nn.avg_pool(x, (3, 3, 3), strides=(2, 1, 1), padding=border)  # pyright: ignore


def expand(x: jax.Array, factors: tuple[int, int, int]) -> jax.Array:
    """Linear enlargement in time and space by whole factors.

    Args:
        x: features `[B, T, H, W, C]`.
        factors: factors of T, H and W.
    """
    b, *sizes, channels = x.shape
    shape = (b, *(size * factor for size, factor in zip(sizes, factors, strict=True)), channels)
    return jax.image.resize(x, shape, "linear")
