"""A U-net as a skeleton over six replaceable parts (thesis §3.4.1, fig. 3.7)."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxmotion.motion.shapes import check_shapes
from jaxmotion.networks.attention import Attention, gate
from jaxmotion.networks.norm import shrink
from jaxmotion.networks.parts import enlarge


class Part(Protocol):
    """Makes a part: a module with a given number of output channels and a name."""

    def __call__(self, features: int, *, name: str) -> nn.Module:
        """Down and transit may ignore ``features``."""
        ...


class Features(NamedTuple):
    """Output of a U-net.

    Attributes:
        pixels: features of the pixels, `[B, T, H, W, widths[0]]`.
        bottleneck: coarsest features, `[B, T, h, w, widths[-1]]`, with h and w the padded size over
            ``2**(levels - 1)``.
        known: share of each cell of the bottleneck that is known, `[B, T, h, w, 1]`; None for all.
        attention: weights of frames and regions that the transits were gated with; None without a
            gate.
    """

    pixels: jax.Array
    bottleneck: jax.Array
    known: jax.Array | None
    attention: Attention | None


class UNet(nn.Module):
    """The skeleton of a U-net, without its six parts.

    Level ``l`` has ``widths[l]`` channels at ``1 / 2**l`` of the size. The input passes the left
    part of level 0, then for each further level down and left. The middle part makes the bottleneck
    of it. From there, for each level up, the features are enlarged, concatenated with the transit
    of the left ones, and passed on to the right part. A new architecture is six part factories.

    Any H and W: the input is padded at the bottom and right, by its edge, to the next multiple
    that the levels need, and the output is cropped back.

    Attributes:
        widths: channels per level, finest first.
        down: halves H and W; its channels stay those of the finer level.
        left: transforms features on the way down; it is also given the known share of each pixel.
        transit: connects the left features of a level to its right side.
        right: transforms features on the way up; it is also given the known share.
        up: doubles H and W.
        middle: transforms the coarsest features, whose size and channels stay; it is also given the
            known share. None leaves them as they are.
        weigh: makes the module that weighs regions and frames, given the bottleneck and its known
            share; what passes the transits is multiplied by its weights. None for no weights.
    """

    widths: tuple[int, ...]
    down: Part
    left: Part
    transit: Part
    right: Part
    up: Part
    middle: Part | None = None
    weigh: Callable[..., nn.Module] | None = None

    @nn.compact
    def __call__(self, x: jax.Array, weight: jax.Array | None = None) -> Features:
        """Runs the network.

        Args:
            x: features `[B, T, H, W, C]`.
            weight: known share of each pixel, `[B, T, H, W, 1]`; None for all known.

        Returns:
            The `Features`.

        Raises:
            ValueError: for shapes that do not belong together, or a part that changes the size
                in another way than it should.
        """
        check_shapes(x=(x, "B T H W C"), weight=(weight, "B T H W 1"))
        height, width = x.shape[2:4]
        reduction = 2 ** (len(self.widths) - 1)
        x = pad_to_multiple(x, reduction)
        known = [None if weight is None else pad_to_multiple(weight, reduction)]
        known += [shrink(known[0], 2**level) for level in range(1, len(self.widths))]

        x = self.left(self.widths[0], name="left_0")(x, known[0])
        skips = []
        for level, features in enumerate(self.widths[1:], start=1):
            finer = self.widths[level - 1]
            skips.append(self.transit(finer, name=f"transit_{level - 1}")(x))
            y = self.down(finer, name=f"down_{level}")(x)
            _check_size("down", y, (x.shape[2] // 2, x.shape[3] // 2))
            x = self.left(features, name=f"left_{level}")(y, known[level])
        if self.middle is not None:
            y = self.middle(self.widths[-1], name="middle")(x, known[-1])
            _check_size("middle", y, x.shape[2:4])
            x = y
        bottleneck = x
        attention = None
        if self.weigh is not None:
            attention = self.weigh(name="gate")(bottleneck, known[-1])
        for level in reversed(range(len(self.widths) - 1)):
            skip, features = skips[level], self.widths[level]
            x = self.up(features, name=f"up_{level}")(x)
            _check_size("up", x, skip.shape[2:4])
            if attention is not None:
                weights = enlarge(attention.regions[..., None], reduction // 2**level)
                skip = gate(skip, weights, attention.frames)
            right = self.right(features, name=f"right_{level}")
            x = right(jnp.concatenate([skip, x], axis=-1), known[level])
        return Features(x[:, :, :height, :width], bottleneck, known[-1], attention)


def _check_size(part: str, x: jax.Array, expected: tuple[int, ...]) -> None:
    if x.shape[2:4] != expected:
        raise ValueError(f"{part} must give features of size {expected}, got {x.shape[2:4]}")


def pad_to_multiple(x: jax.Array, multiple: int) -> jax.Array:
    """Pads H and W of `[B, T, H, W, C]` at the end, by the edge, to a multiple.

    The other axes stay untouched: `jnp.pad` by the edge, even where it adds nothing to an axis,
    moves parts of it between devices in the backward pass.

    Args:
        x: features `[B, T, H, W, C]`.
        multiple: number that H and W become multiples of.
    """
    for axis in (2, 3):
        missing = -x.shape[axis] % multiple
        if missing:
            edge = jax.lax.slice_in_dim(x, x.shape[axis] - 1, None, axis=axis)
            x = jnp.concatenate([x, jnp.repeat(edge, missing, axis)], axis)
    return x
