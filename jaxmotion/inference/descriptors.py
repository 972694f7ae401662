"""Descriptors: what a trained network makes of the motion of a clip, a frame or a segment.

They are statistics of the features of its backbone, whatever it was trained for. Nothing is learned
here, so that a linear classifier on top tells what the features know (`evaluation.probe`).
"""

from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.data.transforms import resize_flow_and_valid, resize_masks
from jaxmotion.data.windows import LONG_VIDEO, InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.inference.fields import checked_flow
from jaxmotion.inference.instance_segmenter import InstanceSegmenter
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.inference.windows import ShapedFunction, each_frame_once, run_windows
from jaxmotion.networks import BackboneOutput, NetworkConfig, build_backbone
from jaxmotion.networks.inputs import mean_absolute
from jaxmotion.networks.norm import known_share, shrink
from jaxmotion.networks.unet import pad_to_multiple
from jaxmotion.networks.warm_start import backbone_params
from jaxmotion.tasks.observation import observe
from jaxmotion.training.config import Config

Level = Literal["clip", "frame", "segment"]

_LEAST_SPEED = 1e-3  # pixels per frame, below which flow counts as rest


class Described(Protocol):
    """A loaded network with a backbone: `Segmenter`, `InstanceSegmenter`, `FlowInpainter`."""

    config: Config
    inference: InferenceConfig
    params: Any

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """The size that the network works at for flow of a given size."""
        ...


class _Features(NamedTuple):
    """Features of a clip.

    Attributes:
        frames: `[..., F]`, statistics of each frame.
        pixels: `[..., h, w, E]`, and where they are known, `[..., h, w, 1]`, as the last channel.
        bottleneck: `[..., h', w', D]`, and where they are known as the last channel.
    """

    frames: Any
    pixels: Any
    bottleneck: Any


def describe(
    model: Described,
    flow: np.ndarray,
    valid: np.ndarray | None = None,
    level: Level = "clip",
    masks: np.ndarray | None = None,
) -> np.ndarray:
    """Describes the motion of a video by the features of a trained network.

    A frame is described by mean and standard deviation over the frame of the features of its pixels
    and of the bottleneck, and by the logarithms of its mean absolute flow and residual, of which
    the network's input knows nothing. A clip has mean and standard deviation of these over its
    frames. A segment has the mean features of its pixels, in all frames.

    Args:
        model: a loaded network, as `jaxmotion.load` gives it.
        flow: `[T, H, W, 2]`, pixels per frame; any T ≥ 1, any size.
        valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere.
        level: what is described, ``"clip"``, ``"frame"`` or ``"segment"``.
        masks: `[T, H, W, K]`, probabilities of the segments, or 0 and 1; those of the model where
            it is None.

    Returns:
        float32 `[D]` of the clip, `[T, D]` of its frames, or `[K, D]` of the segments, with zeros
        for one that is empty.

    Raises:
        InputError: on a network without a backbone, a level that is none, segments without masks,
            or flow that is none.
    """
    network = getattr(model.config.task, "network", None)
    if not isinstance(network, NetworkConfig) or not hasattr(model, "params"):
        raise InputError(
            f"a network trained for {model.config.task.kind}: expected one with a U-net, for "
            "segments, foreground, instances or masked flow"
        )
    if level not in ("clip", "frame", "segment"):
        raise InputError(f"level {level!r}: expected clip, frame or segment")
    flow, valid = checked_flow(flow, valid)
    if level == "segment":
        masks = _masks(model, flow, valid, masks)
    found = _features(model, network, flow, valid)
    if level == "frame":
        return found.frames
    if level == "clip":
        return np.concatenate([found.frames.mean(axis=0), found.frames.std(axis=0)])
    assert masks is not None
    return np.concatenate([_of_segments(x, masks) for x in (found.pixels, found.bottleneck)], 1)


def _masks(
    model: Described, flow: np.ndarray, valid: np.ndarray, masks: np.ndarray | None
) -> np.ndarray:
    """Masks `[T, H, W, K]`, given or of the model."""
    if masks is None and isinstance(model, Segmenter):
        masks = model(flow, valid)
    elif masks is None and isinstance(model, InstanceSegmenter):
        masks = model(flow, valid).probabilities
    if masks is None:
        raise InputError("masks None: expected masks of the segments, which this network has none")
    masks = np.asarray(masks, np.float32)
    if masks.ndim != 4 or masks.shape[:3] != flow.shape[:3] or not np.isfinite(masks).all():
        raise InputError(f"masks of shape {masks.shape}: expected {(*flow.shape[:3], 'K')}, finite")
    return masks


def _features(
    model: Described, network: NetworkConfig, flow: np.ndarray, valid: np.ndarray
) -> _Features:
    flow, valid = resize_flow_and_valid(flow, valid, model.working_size(*flow.shape[1:3]))
    program, params = _program(network), backbone_params(model.params)
    windows = InferenceConfig(window=model.inference.window or LONG_VIDEO.window)
    clips = run_windows(
        lambda *clip: program(params, *clip), zip(flow, valid, strict=True), windows, bucketed=True
    )
    parts = zip(*each_frame_once(clips), strict=True)
    return _Features(*(np.stack(part) for part in parts))


@lru_cache(maxsize=8)
def _program(network: NetworkConfig) -> ShapedFunction:
    return ShapedFunction(partial(_encode, network))


def _encode(network: NetworkConfig, params: Any, flow: jax.Array, valid: jax.Array) -> _Features:
    """Features of clips `[N, T, h, w, 2]`."""
    seen = observe(flow, valid, network, with_residual=True)
    found = build_backbone(network).apply({"params": params}, seen.features, seen.valid)
    encoded, weight = cast(BackboneOutput, found), known_share(seen.valid)
    assert weight is not None
    assert encoded.known is not None
    pixels = shrink(pad_to_multiple(weight, network.stem), network.stem)
    maps = [(encoded.pixels, pixels), (encoded.bottleneck.astype(jnp.float32), encoded.known)]
    assert seen.residual is not None
    speeds = [mean_absolute(field, seen.valid, 1) for field in (seen.flow, seen.residual)]
    logs = [jnp.log(jnp.maximum(speed, _LEAST_SPEED)) for speed in speeds]
    statistics = [part for map in maps for part in _statistics(*map)]
    joined = (jnp.concatenate(map, axis=-1) for map in maps)
    return _Features(jnp.concatenate([*statistics, *logs], axis=-1), *joined)


def _statistics(features: jax.Array, known: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation over each frame, `[N, T, C]` each; 0 where nothing is known."""
    count = jnp.maximum(jnp.sum(known, axis=(2, 3)), 1e-6)
    mean = jnp.sum(features * known, axis=(2, 3)) / count
    squared = jnp.square(features - mean[:, :, None, None]) * known
    return mean, jnp.sqrt(jnp.sum(squared, axis=(2, 3)) / count)


def _of_segments(features: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Mean features of each segment, `[K, C]`, of features with where they are known."""
    features, known = features[..., :-1], features[..., -1:]
    height, width = features.shape[1:3]
    weights = resize_masks(masks, (height, width)) * known
    total = np.einsum("thwk,thwc->kc", weights, features, dtype=np.float64, optimize=True)
    size = weights.sum(axis=(0, 1, 2), dtype=np.float64)
    return (total / np.where(size > 1e-6, size, np.inf)[:, None]).astype(np.float32)


def nearest_neighbors(descriptors: np.ndarray) -> np.ndarray:
    """The descriptor that is most like each, of the others.

    Each number is standardized over the descriptors first; alike is by the angle.

    Args:
        descriptors: `[N, D]`, N ≥ 2.

    Returns:
        int `[N]`.
    """
    deviation = descriptors.std(axis=0)
    centered = descriptors - descriptors.mean(axis=0)
    scaled = np.divide(centered, deviation, out=np.zeros_like(centered), where=deviation > 1e-8)
    length = np.linalg.norm(scaled, axis=1, keepdims=True)
    unit = scaled / np.maximum(length, 1e-12)
    alike = unit @ unit.T
    np.fill_diagonal(alike, -np.inf)
    return alike.argmax(axis=1)
