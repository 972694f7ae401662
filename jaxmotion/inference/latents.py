"""The per-pixel features of a network, by segment: latent vectors, similarity, PCA map.

Thesis §3.3.4 and app. 7.2.3. The features are those before the masks (`Segmentation.embedding`).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxmotion.data.pictures import write_image
from jaxmotion.data.transforms import resize_flow, resize_labels, resize_masks
from jaxmotion.files import atomic_path
from jaxmotion.motion.shapes import check_shapes
from jaxmotion.optical_flow.colors import color_labels, flow_to_color

NUM_COMPONENTS = 3
NUM_FRAMES = 5
TILE_WIDTH = 240
GAP = 2


class SegmentLatents(NamedTuple):
    """The motion of the segments of a clip, in the network's own terms.

    Attributes:
        vectors: `[K, E]`, χ of each segment: the mean of its normalized latent vectors; zero for an
            empty segment.
        similarity: `[K, K]`, the dot products of the vectors.
    """

    vectors: np.ndarray
    similarity: np.ndarray


class LatentMap(NamedTuple):
    """The principal components of the latent vectors of a clip.

    Attributes:
        projections: `[T, h, w, 3]` float32 on the first three components, which are those of the
            whole clip. A component has no sign of its own: the one taken makes the third moment of
            its projections positive, so that a small part of the clip that differs from the rest,
            as a moving object does, is on the positive side.
        softmax: `[T, h, w, 3]` float32, of the projections.
        foreground: bool `[T, h, w]`, where the first component's softmax is above the threshold.
        explained: `[3]`, the share of the variance in each component.
    """

    projections: np.ndarray
    softmax: np.ndarray
    foreground: np.ndarray
    explained: np.ndarray


def normalize_latents(embedding: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """Gives each feature zero mean and unit variance over a clip; a constant one becomes zero.

    Args:
        embedding: `[T, h, w, E]`, a latent vector per site.
        valid: `[T, h, w]` in {0, 1}; unknown sites count in no statistic and become zero.

    Returns:
        float32 `[T, h, w, E]`.

    Raises:
        ValueError: on another shape.
    """
    embedding, valid = _checked(embedding, valid)
    known, count = valid[..., None], max(valid.sum(), 1)
    if not valid.all():  # not a product alone: 0 * NaN is NaN
        embedding = np.where(known > 0, embedding, 0)
    # Frame by frame, so that float64 is held of one frame at a time only.
    mean, variance = np.zeros(embedding.shape[-1]), np.zeros(embedding.shape[-1])
    for frame, weight in zip(embedding, known, strict=True):
        mean += (frame * weight).sum((0, 1)) / count
    for frame, weight in zip(embedding, known, strict=True):
        variance += ((frame - mean) ** 2 * weight).sum((0, 1)) / count
    deviation = np.sqrt(variance)
    # What is left of a constant after rounding is not to be blown up to variance one.
    scale = np.where(deviation > 1e-6 * np.abs(mean) + 1e-12, deviation, np.inf)
    result = np.empty(embedding.shape, np.float32)
    for frame, weight, out in zip(embedding, known, result, strict=True):
        out[...] = (frame - mean) / scale * weight
    return result


def segment_latents(
    embedding: np.ndarray, masks: np.ndarray, valid: np.ndarray | None = None
) -> SegmentLatents:
    """Computes the latent motion of each segment, and how alike two segments move.

    Args:
        embedding: `[T, h, w, E]`, latent vectors of the network.
        masks: `[T, H, W, K]`, probabilities or 0 and 1, at any size.
        valid: `[T, h, w]` in {0, 1}, where the flow is known; None for everywhere.

    Returns:
        The `SegmentLatents`.

    Raises:
        ValueError: on shapes that do not belong together.

    References:
        Thesis §3.3.4: χ(S) is the mean of the latent vectors, normalized in mean and variance, of
        the sites of S; the similarity of two segments is the dot product of theirs.
    """
    latents = normalize_latents(embedding, valid)
    if masks.ndim != 4 or len(masks) != len(latents):
        raise ValueError(f"masks of shape {masks.shape}: expected [{len(latents)}, H, W, K]")
    weights = resize_masks(masks, latents.shape[1:3]).astype(np.float64)
    if valid is not None:
        weights = np.where(valid[..., None] > 0, weights, 0)
    total = np.einsum("thwk,thwe->ke", weights, latents, optimize=True)
    size = weights.sum((0, 1, 2))
    vectors = total / np.where(size > 1e-6, size, np.inf)[:, None]
    return SegmentLatents(vectors.astype(np.float32), (vectors @ vectors.T).astype(np.float32))


def latent_map(
    embedding: np.ndarray, valid: np.ndarray | None = None, *, threshold: float = 0.7
) -> LatentMap:
    """Principal components of the normalized latent vectors, one analysis for the whole clip.

    Args:
        embedding: `[T, h, w, E]`, latent vectors of the network; E ≥ 3.
        valid: `[T, h, w]` in {0, 1}; unknown sites project to zero.
        threshold: value that the softmax over the three projections is compared with.

    Returns:
        The `LatentMap`.

    Raises:
        ValueError: on another shape, or fewer than three features.

    References:
        Thesis app. 7.2.3, fig. 7.4.
    """
    latents = normalize_latents(embedding, valid)
    num_features = latents.shape[-1]
    if num_features < NUM_COMPONENTS:
        raise ValueError(f"{num_features} features: {NUM_COMPONENTS} components need as many")
    covariance = np.zeros((num_features, num_features))
    for frame in latents:
        vectors = frame.reshape(-1, num_features).astype(np.float64)
        covariance += vectors.T @ vectors
    variances, components = np.linalg.eigh(covariance)
    components = components[:, ::-1][:, :NUM_COMPONENTS]
    projections = latents @ components.astype(np.float32)
    third_moment = np.sum(projections.astype(np.float64) ** 3, axis=(0, 1, 2))
    projections = projections * np.where(third_moment < 0, -1, 1).astype(np.float32)

    powers = np.exp(projections - projections.max(axis=-1, keepdims=True))
    softmax = powers / powers.sum(axis=-1, keepdims=True)
    return LatentMap(
        projections=projections,
        softmax=softmax,
        foreground=softmax[..., 0] > threshold,
        explained=variances[::-1][:NUM_COMPONENTS] / max(variances.sum(), 1e-12),
    )


def latent_picture(flow: np.ndarray, masks: np.ndarray, latents: LatentMap) -> np.ndarray:
    """Draws the frames of a clip side by side: flow, segments, components, foreground, downward.

    Args:
        flow: `[T, H, W, 2]`, shown in the usual colors, each frame to its own scale.
        masks: `[T, H', W', K]`, probabilities of the segments.
        latents: the map of the same frames; the softmax of its three components is shown as red,
            green and blue, its foreground in white.

    Returns:
        uint8 `[rows, columns, 3]`.

    Raises:
        ValueError: on shapes that do not belong together.
    """
    check_shapes(
        flow=(flow, "T H W 2"), masks=(masks, "T H' W' K"), foreground=(latents.foreground, "T h w")
    )
    num_frames, height, width = flow.shape[:3]
    size = (max(1, round(TILE_WIDTH * height / width)), TILE_WIDTH)
    columns = []
    for t in np.unique(np.linspace(0, num_frames - 1, NUM_FRAMES).round().astype(int)):
        labels = resize_masks(masks[t], size).argmax(axis=-1)
        binary = resize_labels(latents.foreground[t].astype(np.uint8), size)
        tiles = [
            flow_to_color(resize_flow(flow[t], size)),
            color_labels(labels, masks.shape[-1]),
            np.rint(255 * np.clip(resize_masks(latents.softmax[t], size), 0, 1)).astype(np.uint8),
            np.repeat(255 * binary[..., None], 3, axis=-1),
        ]
        framed = [
            np.pad(tile, [(GAP, GAP), (GAP, GAP), (0, 0)], constant_values=255) for tile in tiles
        ]
        columns.append(np.concatenate(framed, axis=0))
    return np.concatenate(columns, axis=1)


def write_latents(
    out: Path,
    flow: np.ndarray,
    masks: np.ndarray,
    embedding: np.ndarray,
    valid: np.ndarray | None = None,
) -> SegmentLatents:
    """Writes ``latents.npz`` and ``latents.png`` of a video.

    The ``.npz`` holds ``vectors`` `[K, E]`, ``similarity`` `[K, K]` (`SegmentLatents`),
    ``foreground`` `[T, h, w]` and ``explained`` `[3]` (`LatentMap`); the picture is that of
    `latent_picture`.

    Args:
        out: folder to write to.
        flow: `[T, H, W, 2]`, pixels per frame.
        masks: `[T, H', W', K]`, probabilities of the segments.
        embedding: `[T, h, w, E]`, latent vectors of the network.
        valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere.

    Returns:
        What was written of the segments.

    Raises:
        InputError: it cannot be written there.
    """
    sites = None
    if valid is not None:
        flow = np.where(valid[..., None] > 0, flow, np.nan)  # to be drawn as unknown
        known = (valid > 0).astype(np.float32)[..., None]
        sites = resize_masks(known, embedding.shape[1:3])[..., 0] >= 0.5
    segments, components = segment_latents(embedding, masks, sites), latent_map(embedding, sites)
    with atomic_path(out / "latents.npz") as temporary:
        np.savez(
            temporary,
            **segments._asdict(),
            foreground=components.foreground,
            explained=components.explained,
        )
    write_image(out / "latents.png", latent_picture(flow, masks, components))
    return segments


def _checked(embedding: np.ndarray, valid: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    embedding = np.asarray(embedding)
    if embedding.ndim != 4 or 0 in embedding.shape:
        raise ValueError(f"embedding of shape {embedding.shape}: expected [T, h, w, E]")
    if valid is None:
        return embedding, np.ones(embedding.shape[:3])
    if valid.shape != embedding.shape[:3]:
        raise ValueError(f"valid of shape {valid.shape}: expected {embedding.shape[:3]}")
    return embedding, (np.asarray(valid) > 0).astype(np.float64)
