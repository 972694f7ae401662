"""Reconstructors: networks from the features of a clip to flow that they do not see."""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxmotion.networks import parts
from jaxmotion.networks.backbone import Backbone, BackboneOutput, build_backbone
from jaxmotion.networks.config import NetworkConfig

COEFFICIENTS = 12
"""Number of coefficients of the quadratic motion of a frame."""

_TRUST = 2.0  # logit of the share of the nearest residual at the start: most of it


class Latent(NamedTuple):
    """The Gaussian over the latent vector of a clip.

    Attributes:
        mean: `[B, Z]`.
        log_variance: `[B, Z]`.
    """

    mean: jax.Array
    log_variance: jax.Array


class Reconstruction(NamedTuple):
    """Output of a reconstructor, for T frames: those it saw, or those that follow.

    Attributes:
        residual: `[B, T, H, W, 2]` float32, flow without the motion of its frame.
        camera: `[B, T, 12]` float32, coefficients of the motion of each frame.
        latent: Gaussian that both are decoded from; None where they come from the features.
        share: `[B, T, H, W, 1]` in (0, 1), how much of the nearest residual that is seen is to be
            added at each pixel; None where nothing is seen of the frames.
    """

    residual: jax.Array
    camera: jax.Array
    latent: Latent | None = None
    share: jax.Array | None = None


class FlowHead(nn.Module):
    """Linear maps: of each pixel's features to flow, of the mean of a frame's to its motion.

    Attributes:
        stem: factor by which the features are smaller than the frames.
        horizon: number of frames that follow, which are read from the last frame's features; 0
            for the frames themselves.
    """

    stem: int
    horizon: int = 0

    @nn.compact
    def __call__(
        self, features: jax.Array, encoded: BackboneOutput, *, deterministic: bool = True
    ) -> Reconstruction:
        """Reads flow from features.

        Args:
            features: input of the backbone, `[B, T, H, W, C]`.
            encoded: output of the backbone for them.
            deterministic: nothing is drawn here in any case.

        Returns:
            The `Reconstruction`, at the size of the features.
        """
        del deterministic
        pixels, frames = encoded.pixels, frame_means(encoded.bottleneck, encoded.known)
        if self.horizon:
            pixels, frames = pixels[:, -1:], frames[:, -1:]
        ahead = max(self.horizon, 1)
        # From zero: at first a pixel moves much as the nearest that is seen, and the camera rests.
        linear = partial(nn.Dense, kernel_init=nn.initializers.zeros)
        flow = linear(2 * ahead, name="flow")(pixels)
        camera = linear(COEFFICIENTS * ahead, name="camera")(frames)
        if self.horizon:
            flow = flow.reshape(*flow.shape[:1], *flow.shape[2:4], ahead, 2)
            flow = jnp.moveaxis(flow, 3, 1)
            camera = camera.reshape(-1, ahead, COEFFICIENTS)
            return Reconstruction(_at_size(flow, self.stem, features.shape), camera)
        trust = linear(1, bias_init=nn.initializers.constant(_TRUST), name="share")(pixels)
        flow, trust = (_at_size(x, self.stem, features.shape) for x in (flow, trust))
        return Reconstruction(flow, camera, share=nn.sigmoid(trust))


class LatentHead(nn.Module):
    """One vector for a whole clip, and all its frames decoded from that.

    The vector is drawn from a Gaussian that moments of the bottleneck tell: its means over the
    clip, weighed by coordinates, so that place and time are not lost. The decoder spreads the
    vector over the cells of the bottleneck, beside their coordinates, and enlarges it level by
    level; it sees nothing else of the clip.

    Attributes:
        config: architecture of the backbone, whose sizes the decoder mirrors.
        size: Z, number of channels of the vector.
        frames: number of frames of the clips before padding; None for those there are.

    References:
        Kingma and Welling, Auto-encoding variational Bayes, ICLR 2014; Watters et al., Spatial
        broadcast decoder, 2019.
    """

    config: NetworkConfig
    size: int
    frames: int | None = None

    @nn.compact
    def __call__(
        self, features: jax.Array, encoded: BackboneOutput, *, deterministic: bool = True
    ) -> Reconstruction:
        """Encodes clips, and decodes them.

        Args:
            features: input of the backbone, `[B, T, H, W, C]`.
            encoded: output of the backbone for them.
            deterministic: whether the mean is decoded; otherwise the ``latent`` rng is needed.

        Returns:
            The `Reconstruction`, at the size of the features.
        """
        _, frames, height, width, _ = encoded.bottleneck.shape
        grid = coordinate_grid((frames, height, width), self.frames)
        # Padding is no part of the clip: no convolution over time may see what is decoded there.
        there = jnp.arange(frames) < (self.frames or frames)
        moments = clip_moments(encoded.bottleneck, encoded.known, grid)
        small = partial(nn.Dense, kernel_init=nn.initializers.normal(0.01))
        found = small(2 * self.size, name="latent")(moments)
        latent = Latent(*jnp.split(found, 2, axis=-1))
        vector = latent.mean
        if not deterministic:
            noise = jax.random.normal(self.make_rng("latent"), vector.shape)
            vector = vector + jnp.exp(0.5 * latent.log_variance) * noise
        widths, dtype = self.config.widths, jnp.dtype(self.config.compute_dtype)
        spread = nn.Dense(widths[-1], name="spread")(vector)[:, None, None, None]
        x = nn.relu(spread + nn.Dense(widths[-1], name="place")(grid))
        x = nn.relu(nn.Dense(widths[-1], name="mix")(x))
        camera = small(COEFFICIENTS, name="camera")(jnp.mean(x, axis=(2, 3)))
        for level, width in reversed(list(enumerate(widths[:-1]))):
            x = parts.ResizeUp(width, dtype, name=f"enlarge_{level}")(x)
            refine = partial(parts.DoubleConv, kernel=self.config.kernel, norm="none", dtype=dtype)
            inside = jnp.broadcast_to(there[:, None, None, None], (*x.shape[:4], 1))
            x = refine(width, name=f"refine_{level}")(x, inside.astype(x.dtype))
        flow = small(2, name="flow")(x.astype(jnp.float32))
        residual = _at_size(flow, self.config.stem, features.shape)
        return Reconstruction(residual, camera, latent)


class UNetReconstructor(nn.Module):
    """Features of a clip to flow, by a U-net and a head.

    The names of both parts' parameters stand side by side, as if they were one module.

    Attributes:
        backbone: module that makes features of the pixels.
        head: module that makes flow of them.
    """

    backbone: Backbone
    head: FlowHead | LatentHead

    def setup(self) -> None:
        """Puts the parameters of both into the scope of this module."""
        nn.share_scope(self, self.backbone)
        nn.share_scope(self, self.head)

    def __call__(
        self, features: jax.Array, valid: jax.Array | None = None, *, deterministic: bool = True
    ) -> Reconstruction:
        """Reconstructs clips of any length and size.

        Args:
            features: `[B, T, H, W, C]`, as `networks.network_features` gives them.
            valid: `[B, T, H, W]` in {0, 1}, where the flow is seen; None for everywhere. Frames at
                the end of a clip that are nowhere valid are padding: they change nothing in the
                others.
            deterministic: whether nothing is drawn.

        Raises:
            ValueError: for shapes that do not belong together.
        """
        encoded = self.backbone(features, valid)
        return self.head(features, encoded, deterministic=deterministic)


def build_reconstructor(
    config: NetworkConfig, *, horizon: int = 0, latent: int = 0, frames: int | None = None
) -> UNetReconstructor:
    """The linen module of a backbone with a head that gives flow.

    Args:
        config: architecture of the backbone; what it says of masks is of no meaning here.
        horizon: number of frames that follow the clip, which are to be predicted; 0 for the clip.
        latent: number of channels of the one vector that a clip is decoded from; 0 for none.
        frames: number of frames of the clips before padding; None for those there are.
    """
    head = LatentHead(config, latent, frames) if latent else FlowHead(config.stem, horizon)
    return UNetReconstructor(build_backbone(config), head)


def frame_means(cells: jax.Array, known: jax.Array | None) -> jax.Array:
    """The mean of the features of each frame.

    Args:
        cells: features `[B, T, h, w, D]`.
        known: share of each cell that is known, `[B, T, h, w, 1]`; None for all of each.

    Returns:
        `[B, T, D]` float32; zero for a frame of which nothing is known.
    """
    share = jnp.ones((*cells.shape[:-1], 1)) if known is None else known
    total = jnp.sum(cells.astype(jnp.float32) * share, axis=(2, 3))
    return total / jnp.maximum(jnp.sum(share, axis=(2, 3)), 1e-6)


def clip_moments(cells: jax.Array, known: jax.Array | None, grid: jax.Array) -> jax.Array:
    """Means of the features of each clip, weighed by 1, by each coordinate, and by their products.

    Args:
        cells: features `[B, T, h, w, D]`.
        known: share of each cell that is known, `[B, T, h, w, 1]`; None for all of each.
        grid: coordinates `[T, h, w, 3]`.

    Returns:
        `[B, 7 D]` float32.
    """
    t, y, x = jnp.moveaxis(grid, -1, 0)
    basis = jnp.stack([jnp.ones_like(t), t, y, x, t * y, t * x, y * x], axis=-1)
    share = jnp.ones((*cells.shape[:-1], 1)) if known is None else known
    weighed = cells.astype(jnp.float32) * share
    exact = jax.lax.Precision.HIGHEST
    total = jnp.einsum("bthwd,thwc->bcd", weighed, basis, precision=exact)
    count = jnp.maximum(jnp.sum(share, axis=(1, 2, 3, 4)), 1e-6)
    return (total / count[:, None, None]).reshape(len(cells), -1)


def coordinate_grid(shape: tuple[int, int, int], frames: int | None = None) -> jax.Array:
    """Coordinates t, y, x of the cells of a clip, from -1 to 1: `[T, h, w, 3]`.

    Args:
        shape: number of frames, rows and columns.
        frames: number of frames of which the last one is at 1; T where it is None.
    """
    last = [max(size - 1, 1) for size in (frames or shape[0], *shape[1:])]
    axes = [2 * jnp.arange(size) / end - 1 for size, end in zip(shape, last, strict=True)]
    return jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1)


def _at_size(flow: jax.Array, stem: int, shape: tuple[int, ...]) -> jax.Array:
    """Flow behind the stem at the size of the frames, `[B, T, H, W, C]`."""
    flow = flow.astype(jnp.float32)
    flow = parts.enlarge(flow, stem) if stem > 1 else flow
    return flow[:, :, : shape[2], : shape[3]]
