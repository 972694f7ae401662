"""Segmentations that need no training, which a network must be measured against.

Every baseline maps the flow of a sequence to the foreground, frame by frame, as a probability in
[0, 1] whose level 0.5 is the decision. It stays at the size of the flow; like the masks of a
network it is upsampled before it is thresholded, so that neither side gains from the resizing.
Vectors that are unknown count in no motion and no threshold, and are background.
"""

from collections.abc import Callable
from functools import partial

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.baselines.classical_em import classical_em
from jaxmotion.data.transforms import Size, resize_masks
from jaxmotion.motion import MotionModel, fit, parametric_flow

QUADRATIC = MotionModel(spatial="quadratic", temporal="constant")
# Frames fitted in one jitted call: enough to fill the cores, small enough to stay in their caches.
FRAMES_PER_CALL = 8

ForegroundFunction = Callable[[np.ndarray, np.ndarray | None], np.ndarray]


def all_background(flow, valid=None) -> np.ndarray:
    """No foreground anywhere.

    Args:
        flow: `[T, h, w, 2]`, pixels per frame.
        valid: `[T, h, w]` in {0, 1}, where the flow is known; it does not matter here.

    Returns:
        float32 `[T, h, w]`, zeros.
    """
    return np.zeros(np.shape(flow)[:-1], np.float32)


def otsu(flow, valid=None) -> np.ndarray:
    """Otsu threshold on the residual norm of a robust global motion, frame by frame.

    One quadratic motion is fitted to all of a frame in the L1 sense: it follows the larger part,
    the background. What it leaves over is split in two where the two classes differ most.

    Args:
        flow: `[T, h, w, 2]`, pixels per frame.
        valid: `[T, h, w]` in {0, 1}, where the flow is known; None for everywhere.

    Returns:
        float32 `[T, h, w]`, foreground probability; 0.5 where the residual is at the threshold.

    References:
        Otsu, A threshold selection method from gray-level histograms, 1979.
    """
    residual = residual_norm(flow, valid)
    return _around_half(residual - otsu_thresholds(residual, valid)[:, None, None], valid)


def scaled_threshold(flow, factor: float, valid=None) -> np.ndarray:
    """Threshold at `factor` times the mean residual norm of a robust global motion.

    Args:
        flow: `[T, h, w, 2]`, pixels per frame.
        factor: threshold in units of each frame's mean residual norm; see `tune_threshold`.
        valid: `[T, h, w]` in {0, 1}, where the flow is known; None for everywhere.

    Returns:
        float32 `[T, h, w]`, foreground probability; 0.5 where the residual is at the threshold.
    """
    residual = residual_norm(flow, valid)
    mean = residual.mean(axis=(1, 2), keepdims=True)
    if valid is not None:  # the residual is zero where nothing is known
        mean /= np.maximum((valid > 0).mean(axis=(1, 2), keepdims=True), 1e-12)
    return _around_half(residual - factor * mean, valid)


def classical_em_foreground(
    flow, valid=None, *, num_starts: int = 10, alpha: float | None = 1e-2, seed: int = 0
) -> np.ndarray:
    """Classical EM with two segments (thesis 2.4.4); the smaller one is the foreground.

    Args:
        flow: `[T, h, w, 2]`, pixels per frame.
        valid: `[T, h, w]` in {0, 1}, where the flow is known; None for everywhere.
        num_starts: number of random initializations; the likelihood chooses among them, frame by
            frame.
        alpha: spread of the likelihood, as `classical_em` has it.
        seed: seed of the initializations.

    Returns:
        float32 `[T, h, w]`, posterior probability of the foreground.
    """
    masks, _ = classical_em(flow, 2, num_starts, valid=valid, alpha=alpha, seed=seed)
    known = np.ones(masks.shape[:-1], bool) if valid is None else valid > 0
    second = masks[..., 1]
    larger = ((second > 0.5) & known).sum(axis=(1, 2)) > 0.5 * known.sum(axis=(1, 2))
    return np.where(known, np.where(larger[:, None, None], 1 - second, second), 0)


def two_motion_upper_bound(flow, gt, valid=None) -> np.ndarray:
    """Segments by two motion models that know the object: an upper bound for K = 2.

    One quadratic motion is fitted (L1) to the ground truth and one to the rest; every pixel goes
    to the motion that explains it better.

    Args:
        flow: `[T, h, w, 2]`, pixels per frame.
        gt: `[T, h, w]` in [0, 1]: the share of each flow pixel that the object covers.
        valid: `[T, h, w]` in {0, 1}, where the flow is known; None for everywhere.

    Returns:
        float32 `[T, h, w]`, foreground probability; nothing in frames whose ground truth is empty.

    Raises:
        ValueError: `gt` has not the size of the flow.
    """
    flow, gt = np.asarray(flow, np.float32), np.asarray(gt, np.float32)
    if gt.shape != flow.shape[:-1]:
        raise ValueError(f"gt must be {flow.shape[:-1]} as the flow is, got {gt.shape}")
    residual = _residuals(flow, np.stack([1 - gt, gt], axis=-1), valid)
    distance = np.abs(residual).sum(axis=-1)  # in the norm that the motions were fitted in
    foreground = _around_half(distance[..., 0] - distance[..., 1], valid)
    return np.where(gt.any(axis=(1, 2), keepdims=True), foreground, 0)


# The baselines that see nothing but the flow, by the names that the commands use.
BASELINES: dict[str, ForegroundFunction] = {
    "all_background": all_background,
    "otsu": otsu,
    "em_1": partial(classical_em_foreground, num_starts=1),
    "em_10": partial(classical_em_foreground, num_starts=10),
}


def residual_norm(flow, valid=None) -> np.ndarray:
    """Norm of what a robust (L1) global quadratic motion leaves over.

    Args:
        flow: `[T, h, w, 2]`, pixels per frame.
        valid: `[T, h, w]` in {0, 1}, where the flow is known; None for everywhere.

    Returns:
        float32 `[T, h, w]`, zero where the flow is not valid.
    """
    flow = np.asarray(flow, np.float32)
    residual = _residuals(flow, np.ones((*flow.shape[:-1], 1), np.float32), valid)[..., 0, :]
    return np.linalg.norm(residual, axis=-1)


def upsample_foreground(foreground: np.ndarray, size: Size) -> np.ndarray:
    """Foreground at another size: bilinear, then above one half.

    Args:
        foreground: `[T, h, w]`, probability of the foreground.
        size: height and width of the result, bool `[T, H, W]`.
    """
    return resize_masks(foreground[..., None], size)[..., 0] > 0.5


def shrink_ground_truth(gt: np.ndarray, size: Size) -> np.ndarray:
    """Share of every pixel of a smaller grid that the object covers.

    Args:
        gt: bool `[T, H, W]`, the true foreground.
        size: height and width of the result, float32 `[T, h, w]`.
    """
    frames = (frame.astype(np.float32) for frame in gt)
    return np.stack([cv2.resize(f, size[::-1], interpolation=cv2.INTER_AREA) for f in frames])


def otsu_thresholds(values: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """The threshold of each frame that maximizes the variance between the two classes.

    Every gap between two neighboring values is tried, so that no histogram has to be chosen.

    Args:
        values: `[T, h, w]`, values to separate into two classes.
        valid: `[T, h, w]` in {0, 1}, values that count; None for all.

    Returns:
        float64 `[T]`; pixels above it are the upper class. The value itself where all are equal,
        zero where none counts.
    """
    if valid is not None:
        counted = [frame[known > 0] for frame, known in zip(values, valid, strict=True)]
        found = [otsu_thresholds(v[None, None])[0] if v.size else 0.0 for v in counted]
        return np.array(found, np.float64)
    ordered = np.sort(values.reshape(len(values), -1), axis=1).astype(np.float64)
    count = ordered.shape[1]
    if count < 2:
        return ordered[:, 0]
    below = np.arange(1, count)
    sums = np.cumsum(ordered, axis=1)
    mean_below = sums[:, :-1] / below
    mean_above = (sums[:, -1:] - sums[:, :-1]) / (count - below)
    between = below * (count - below) * (mean_above - mean_below) ** 2
    best = between.argmax(axis=1)
    frames = np.arange(len(values))
    return (ordered[frames, best] + ordered[frames, best + 1]) / 2


def tune_threshold(flows: np.ndarray, gt: np.ndarray) -> float:
    """Chooses the factor of `scaled_threshold` that has the highest mean Jaccard index.

    Args:
        flows: `[N, T, h, w, 2]`, clips to tune on; not those it is reported on.
        gt: bool `[N, T, h, w]`, the true foreground.

    Returns:
        The factor, one of 33 between 1/4 and 16.
    """
    residual = residual_norm(flows.reshape(-1, *flows.shape[2:]))
    scaled = residual / np.maximum(residual.mean(axis=(1, 2), keepdims=True), 1e-12)
    object_pixels = gt.reshape(scaled.shape)
    factors = 2.0 ** np.linspace(-2, 4, 33)

    def mean_jaccard(factor):
        found = scaled > factor
        union = (found | object_pixels).sum(axis=(1, 2))
        inter = (found & object_pixels).sum(axis=(1, 2))
        return np.where(union > 0, inter / np.maximum(union, 1), 1.0).mean()

    return float(max(factors, key=mean_jaccard))


def _around_half(margin: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Maps a margin to [0, 1], 0 to 0.5, by one linear map per frame; to 0 what is not valid.

    Linear, so that upsampling the probability and thresholding at 0.5 is the same as upsampling
    the residual and comparing it with the threshold.
    """
    if valid is not None:
        margin = np.where(valid > 0, margin, 0)
    largest = np.abs(margin).max(axis=(1, 2), keepdims=True)
    foreground = (0.5 + 0.5 * margin / np.where(largest > 0, largest, 1)).astype(np.float32)
    return foreground if valid is None else np.where(valid > 0, foreground, np.float32(0))


def _residuals(flow: np.ndarray, masks: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Residuals of the K motions fitted to the masks of every frame: [T, h, w, K, 2].

    Zero where the flow is not valid.
    """
    residuals = np.empty((*masks.shape, 2), np.float32)
    if valid is not None:
        flow, masks = (np.where(valid[..., None] > 0, a, np.float32(0)) for a in (flow, masks))
    for start in range(0, len(flow), FRAMES_PER_CALL):
        part = slice(start, min(start + FRAMES_PER_CALL, len(flow)))
        count = part.stop - part.start
        # The last frame fills up the last call: one shape, one compilation.
        fill = [(0, FRAMES_PER_CALL - count), *[(0, 0)] * 3]
        fitted = _fitted_residuals(
            np.pad(flow[part], fill, mode="edge"), np.pad(masks[part], fill, mode="edge")
        )
        residuals[part] = np.asarray(fitted)[:count]
    if valid is not None:
        residuals[~(valid > 0)] = 0
    return residuals


@jax.jit
def _fitted_residuals(flow: jax.Array, masks: jax.Array) -> jax.Array:
    shape = (1, *flow.shape[1:3])
    theta = fit(flow[:, None], masks[:, None], QUADRATIC, penalty="l1").theta
    parametric = parametric_flow(QUADRATIC, theta, shape)[:, :, 0]  # [N, K, h, w, 2]
    return jnp.moveaxis(flow[:, None] - parametric, 1, 3)
