"""What every task that trains a segmenter shares, whatever its loss is."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import jax
import jax.numpy as jnp

from jaxmotion.data.augmentation import augment
from jaxmotion.data.config import AugmentConfig
from jaxmotion.motion import MotionModel
from jaxmotion.networks import (
    INPUT_CHANNELS,
    NetworkConfig,
    Segmentation,
    UNetSegmenter,
    build_segmenter,
)
from jaxmotion.networks.warm_start import match_params, warm_start
from jaxmotion.tasks.observation import Observation, observe
from jaxmotion.tasks.task import Batch, Params, Task, Variables


@dataclass(frozen=True)
class MaskTask(Task):
    """A segmenter to train.

    ``valid`` is in {0, 1}. Where it is 0 nothing counts, whatever ``flow`` holds there.

    Attributes:
        network: architecture of the segmenter.
        motion: motion model of a segment.
        augment: random changes of a training clip.
        clip_length: number of frames of the clips before padding, where devices share frames and
            need more behind them; None where there is no padding.
    """

    network: NetworkConfig
    motion: MotionModel
    augment: AugmentConfig
    clip_length: int | None = None

    @cached_property
    def module(self) -> UNetSegmenter:
        """The linen module."""
        return build_segmenter(self.network)

    def init(self, key: jax.Array, batch: Batch) -> Variables:
        """Draws fresh parameters; arguments as in `Task.init`."""
        clip = (1, *batch["flow"].shape[1:4], INPUT_CHANNELS[self.network.input])
        return {"params": self.module.init(key, jnp.zeros(clip))["params"]}

    def observe(self, batch: Batch, seen: jax.Array | None = None) -> Observation:
        """Prepares clips for network and loss.

        Args:
            batch: flow `[B, T, H, W, 2]` and ``valid`` `[B, T, H, W]`, by name.
            seen: `[B, T, H, W, 2]`, what the network sees instead of the flow; None for the flow.
        """
        return observe(batch["flow"], batch["valid"], self.network, seen=seen)

    def observe_changed(
        self, batch: Batch, key: jax.Array | None
    ) -> tuple[Observation, jax.Array | None]:
        """Prepares clips of a step: changed at random in training, as they are in validation.

        Args:
            batch: as in `observe`; ``labels`` `[B, T, H, W]`, where it has them, change along.
            key: randomness of the changes; None for none.

        Returns:
            The observation, and the labels; None without.
        """
        labels = batch.get("labels")
        if key is None:
            return self.observe(batch), labels
        changed = augment(
            key,
            batch["flow"],
            batch["valid"],
            self.augment,
            self.motion,
            self.clip_length,
            labels,
        )
        clips = {"flow": changed.flow, "valid": changed.valid}
        return self.observe(clips, changed.network_input), changed.labels

    def segment(
        self, params: Params, observation: Observation, key: jax.Array | None = None
    ) -> Segmentation:
        """Applies the network.

        Args:
            params: parameters of the network.
            observation: the clips, as `observe` prepares them.
            key: randomness of the step, for the network's dropout; None for no dropout.
        """
        output = self.module.apply(
            {"params": params},
            observation.features,
            observation.valid,
            deterministic=key is None,
            # Not the key of the changes that the clips went through.
            rngs=None if key is None else {"dropout": jax.random.fold_in(key, 1)},
        )
        return cast(Segmentation, output)

    def masks(
        self, params: Params, observation: Observation, key: jax.Array | None = None
    ) -> jax.Array:
        """Masks `[B, T, H, W, K]` that sum to 1 over K; arguments as in `segment`."""
        return self.segment(params, observation, key).masks

    def predict(self, variables: Variables, batch: Batch) -> Mapping[str, jax.Array]:
        """Gives ``masks`` `[B, T, H, W, K]`; arguments as in `Task.predict`."""
        return {"masks": self.masks(variables["params"], self.observe(batch))}

    def transfer(self, fresh: Variables, trained: Variables) -> tuple[Variables, str]:
        """Takes what `networks.warm_start` takes of another network; see `Task.transfer`."""
        here, there = fresh["params"], trained["params"]
        return {"params": warm_start(here, there)}, match_params(here, there).words
