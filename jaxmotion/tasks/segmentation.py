"""The task of motion segmentation: masks whose motion models explain the flow.

EM (thesis ch. 2), ST-MS (ch. 3) and LT-MS (ch. 4) are this task with other clips, motion models,
networks and weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion import losses
from jaxmotion.motion import fit, parametric_flow
from jaxmotion.tasks.masks import MaskTask
from jaxmotion.tasks.observation import Observation, observe
from jaxmotion.tasks.pictures import segmentation_picture
from jaxmotion.tasks.segmentation_config import ObjectiveConfig
from jaxmotion.tasks.task import Batch, Output, Params, Variables


@dataclass(frozen=True)
class SegmentationTask(MaskTask):
    """Trains a segmenter without labels.

    Attributes:
        objective: the loss, with the weights of its parts.
    """

    objective: ObjectiveConfig = field(kw_only=True)

    @property
    def spec(self) -> Mapping[str, str]:
        """The fields of a batch: flow, and where it is known."""
        return {"flow": "B T H W 2", "valid": "B T H W"}

    def observe(self, batch: Batch, seen: jax.Array | None = None) -> Observation:
        """Prepares clips for network and loss; arguments as in `MaskTask.observe`."""
        config = self.objective
        with_residual = config.remove_global_motion or config.normalisation == "residual"
        return observe(
            batch["flow"], batch["valid"], self.network, seen=seen, with_residual=with_residual
        )

    def loss(
        self, variables: Variables, batch: Batch, *, step: jax.Array, key: jax.Array | None
    ) -> Output:
        """Computes the loss of each clip (eq. 2.12, 3.7, 4.8); arguments as in `Task.loss`.

        The parts of the loss are metrics. A clip without flow counts nowhere.
        """
        observation, _ = self.observe_changed(batch, key)
        flow, valid = observation.flow, observation.valid
        masks = self.masks(variables["params"], observation, key)
        target, weights = self._target(observation)
        theta = self._fit(target, masks, valid, weights)
        parametric = parametric_flow(self.motion, theta, flow.shape[1:4], lengths=self.clip_length)

        config = self.objective
        coherence = losses.reconstruction(
            target, masks, parametric, penalty=config.penalty, valid=valid, weights=weights
        )
        entropy = losses.entropy(masks, valid=valid)
        prior = losses.background_prior(
            masks,
            foreground_cost=config.foreground_cost,
            border_cost=config.border_cost,
            valid=valid,
        )
        total = coherence - config.entropy_weight * entropy + prior
        parts = {
            "coherence": coherence,
            "entropy": entropy,
            "foreground": losses.background_prior(masks, foreground_cost=1, valid=valid),
        }
        if config.consistency_weight > 0 and flow.shape[1] > 1:
            consistency = losses.temporal_consistency(
                masks, flow, occlusion_quantile=config.occlusion_quantile, valid=valid
            )
            # Validation losses of all steps must be comparable, or the first would be the lowest.
            ramp = 1 if key is None else jnp.clip(step / max(config.consistency_ramp, 1), 0, 1)
            total = total + config.consistency_weight * ramp * consistency
            parts["consistency"] = consistency
        weight = jnp.any(valid > 0, axis=(1, 2, 3)).astype(total.dtype)
        metrics = {name: (weight * part, weight) for name, part in parts.items()}
        return Output(total, weight, metrics)

    def _target(self, observation: Observation) -> tuple[jax.Array, jax.Array]:
        """The flow to explain `[B, T, H, W, 2]`, and what each frame weighs `[B, T]`."""
        config = self.objective
        flow, valid, residual, _ = observation
        target = scale = flow
        if residual is not None:
            target = residual if config.remove_global_motion else flow
            scale = residual if config.normalisation == "residual" else flow
        if config.normalisation != "pixels":
            return target, losses.frame_weights(scale, valid=valid)
        pixels = jnp.sum(valid, axis=(2, 3))
        frames = jnp.sum(pixels > 0, axis=1, keepdims=True)
        return target, 1 / (jnp.maximum(pixels, 1) * jnp.maximum(frames, 1))

    def _fit(
        self, target: jax.Array, masks: jax.Array, valid: jax.Array, weights: jax.Array
    ) -> jax.Array:
        """The motion models `[B, K, P]` of the masks."""
        return fit(
            target,
            masks,
            self.motion,
            penalty=self.objective.penalty,
            valid=valid,
            frame_weights=weights,
            lengths=self.clip_length,
        ).theta

    def picture(self, variables: Variables, batch: Batch) -> np.ndarray:
        """Draws flow, segments and the flow of their motion models; arguments as in `Task.picture`.

        Each has a row, and each clip a column.
        """
        masks, parametric = self._explain(variables["params"], batch)
        return segmentation_picture(
            np.asarray(batch["flow"]), np.asarray(masks), np.asarray(parametric)
        )

    @cached_property
    def _explain(self):
        @jax.jit
        def explain(params: Params, batch: Batch) -> tuple[jax.Array, jax.Array]:
            observation = self.observe(batch)
            masks = self.masks(params, observation)
            target, weights = self._target(observation)
            theta = self._fit(target, masks, observation.valid, weights)
            shape = masks.shape[1:4]
            parametric = parametric_flow(self.motion, theta, shape, lengths=self.clip_length)
            best = jax.nn.one_hot(jnp.argmax(masks, axis=-1), masks.shape[-1])
            explained = jnp.einsum("bthwk,bkthwc->bthwc", best, parametric)
            return masks, explained + observation.flow - target

        return explain
