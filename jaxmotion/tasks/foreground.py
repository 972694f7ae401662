"""The task of supervised foreground: masks of what moves on its own, learned from labels.

Labels are those of procedural scenes, or of annotated videos. The second is the one method here
that a person's masks may teach.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion import losses
from jaxmotion.networks import Segmentation
from jaxmotion.tasks.foreground_config import ForegroundLossConfig
from jaxmotion.tasks.masks import MaskTask
from jaxmotion.tasks.pictures import instances_picture
from jaxmotion.tasks.task import Batch, Criterion, Output, Variables


@dataclass(frozen=True)
class ForegroundTask(MaskTask):
    """Trains a segmenter of two masks on labeled clips.

    Attributes:
        objective: the loss, as weights of its parts.
    """

    objective: ForegroundLossConfig = field(kw_only=True)

    criterion = Criterion("iou", higher_is_better=True)

    @property
    def spec(self) -> Mapping[str, str]:
        """The fields of a batch: flow, where it is known, and labels, above 0 where it moves."""
        return {"flow": "B T H W 2", "valid": "B T H W", "labels": "B T H W"}

    def loss(
        self, variables: Variables, batch: Batch, *, step: jax.Array, key: jax.Array | None
    ) -> Output:
        """Computes the loss of each clip; arguments as in `Task.loss`.

        Its parts are metrics, and so is the IoU of the foreground over all frames of a clip. A clip
        without flow counts nowhere.
        """
        observation, labels = self.observe_changed(batch, key)
        assert labels is not None, "spec asks for labels"
        valid, targets = observation.valid, labels > 0
        output = self.segment(variables["params"], observation, key)
        parts = self._parts(output, targets, valid, observation.flow)
        config = self.objective
        weights = {
            "cross_entropy": config.cross_entropy_weight,
            "lovasz": config.lovasz_weight,
            "consistency": config.consistency_weight,
            "regions": config.regions_weight,
        }
        total = sum((weights[name] * part for name, part in parts.items()), start=jnp.zeros(()))
        weight = jnp.any(valid > 0, axis=(1, 2, 3)).astype(total.dtype)
        metrics = {name: (weight * part, weight) for name, part in parts.items()}
        shared, union = _overlap(output.logits, targets, valid)
        metrics["iou"] = (weight * shared / jnp.maximum(union, 1), weight * (union > 0))
        return Output(total, weight, metrics)

    def _parts(
        self, output: Segmentation, targets: jax.Array, valid: jax.Array, flow: jax.Array
    ) -> dict[str, jax.Array]:
        """The parts of the loss by name, `[B]` each, before they are weighed."""
        apart = output.logits[..., 1] - output.logits[..., 0]
        pixels = (len(targets), -1)
        parts = {
            "cross_entropy": losses.balanced_cross_entropy(apart, targets, valid=valid),
            "lovasz": losses.lovasz_hinge(
                jnp.tanh(apart / 2).reshape(pixels),  # 2 p - 1
                targets.reshape(pixels),
                valid=valid.reshape(pixels),
            ),
        }
        if flow.shape[1] > 1:
            parts["consistency"] = losses.temporal_consistency(output.masks, flow, valid=valid)
        if output.attention is not None:
            regions = output.attention.regions
            side = self.network.reduction
            cells = _cells(targets & (valid > 0), side, regions.shape)
            parts["regions"] = losses.balanced_cross_entropy(
                jax.scipy.special.logit(jnp.clip(regions, 1e-6, 1 - 1e-6)),
                cells > 0,
                valid=_cells(valid > 0, side, regions.shape),
            )
        return parts

    def picture(self, variables: Variables, batch: Batch) -> np.ndarray:
        """Draws flow, probability, foreground and labels, a clip in each column."""
        output = jax.jit(self.segment)(variables["params"], self.observe(batch))
        found = output.masks[..., 1]
        arrays = (batch["flow"], found, (found > 0.5).astype(jnp.int32), batch["labels"])
        return instances_picture(*(np.asarray(array) for array in arrays))


def _overlap(
    logits: jax.Array, targets: jax.Array, valid: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Numbers of pixels of each clip that are in both foregrounds, and in either: `[B]` each."""
    found, axes = logits[..., 1] > logits[..., 0], (1, 2, 3)
    known = valid > 0
    shared = jnp.sum(found & targets & known, axis=axes, dtype=jnp.float32)
    return shared, jnp.sum((found | targets) & known, axis=axes, dtype=jnp.float32)


def _cells(pixels: jax.Array, side: int, shape: tuple[int, ...]) -> jax.Array:
    """Whether the cells of the bottleneck `[B, T, h, w]` hold one of the pixels `[B, T, H, W]`."""
    beyond = [(0, side * cells - size) for cells, size in zip(shape, pixels.shape, strict=True)]
    padded = jnp.pad(pixels.astype(jnp.float32), [(0, 0), (0, 0), *beyond[2:]])
    window = (1, 1, side, side)
    return jax.lax.reduce_window(padded, 0.0, jax.lax.max, window, window, "VALID")
