"""The task of frame classification: does anything in a flow field move on its own?

NIMS (thesis ch. 5) reads what moves from such a classifier. It learns from frames that say by
themselves which they are: procedural scenes, and flow of videos with the labels that a network of
this project gave it (`experiments.own_labels`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

from jaxmotion.data.augmentation import known_only, random_flip
from jaxmotion.data.config import AugmentConfig
from jaxmotion.motion import MotionModel, global_residual, inpaint
from jaxmotion.networks.classifier import (
    CHANNELS,
    FlowClassifier,
    build_classifier,
    classifier_features,
)
from jaxmotion.networks.classifier_config import ClassifierConfig
from jaxmotion.tasks.classification_config import FillConfig
from jaxmotion.tasks.task import Batch, Criterion, Output, Params, Task, Variables

_FILL = MotionModel(spatial="quadratic")
_BLOB_AREA = (0.01, 0.25)  # least and greatest, as shares of the frame


class Example(NamedTuple):
    """Frames to learn from.

    Attributes:
        flow: `[B, T, H, W, 2]`, pixels per frame.
        valid: `[B, T, H, W]` float32 in {0, 1}; where the flow is known.
        moving: bool `[B, T, H, W]`, what moves on its own.
    """

    flow: jax.Array
    valid: jax.Array
    moving: jax.Array


@dataclass(frozen=True)
class ClassificationTask(Task):
    """Trains a frame classifier on labeled frames, by the cross entropy.

    Attributes:
        network: architecture of the classifier.
        least_area: share of a frame that what moves has to cover.
        fill: parts of training frames that are filled.
        augment: random changes of a training frame.
    """

    network: ClassifierConfig
    least_area: float
    fill: FillConfig
    augment: AugmentConfig

    criterion = Criterion("accuracy", higher_is_better=True)

    @property
    def spec(self) -> Mapping[str, str]:
        """The fields of a batch: flow, where it is known, and labels, above 0 where it moves."""
        return {"flow": "B T H W 2", "valid": "B T H W", "labels": "B T H W"}

    @cached_property
    def module(self) -> FlowClassifier:
        """The linen module."""
        return build_classifier(self.network)

    def init(self, key: jax.Array, batch: Batch) -> Variables:
        """Draws fresh parameters; arguments as in `Task.init`."""
        clip = (1, *batch["flow"].shape[1:4], CHANNELS[self.network.input])
        return {"params": self.module.init(key, jnp.zeros(clip))["params"]}

    def features(self, flow: jax.Array, valid: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        """Prepares frames for the network.

        The global motion of a frame is a constant to the gradient by the flow.

        Args:
            flow: `[B, T, H, W, 2]`, pixels per frame.
            valid: `[B, T, H, W]` in {0, 1}, where it is known; None for everywhere.

        Returns:
            Features `[B, T, H, W, C]`, and valid as float32.
        """
        if valid is None:
            valid = jnp.ones(flow.shape[:-1], jnp.float32)
        flow, valid = known_only(flow, valid)
        motion = jax.lax.stop_gradient(flow - global_residual(flow, valid))
        return classifier_features(flow, flow - motion, self.network.input, valid), valid

    def logits(self, params: Params, flow: jax.Array, valid: jax.Array | None) -> jax.Array:
        """Logits `[B, T]` of frames, with the arguments of `features`."""
        found = self.module.apply({"params": params}, *self.features(flow, valid))
        return cast(jax.Array, found)

    def loss(
        self, variables: Variables, batch: Batch, *, step: jax.Array, key: jax.Array | None
    ) -> Output:
        """Computes the cross entropy of each clip; arguments as in `Task.loss`.

        In training salient frames and others weigh the same in each batch, however many there are
        of each. In validation every clip is seen twice: as it is, and without what moves in it.
        What counts is the accuracy over both. A clip without flow counts nowhere.
        """
        moving = batch["labels"] > 0
        example = Example(*known_only(batch["flow"], batch["valid"]), moving)
        if key is not None:
            views = [self._changed(key, example)]
        else:
            views = [example, self._without(example, self._widened(example.moving))]
        known = jnp.any(example.valid > 0, axis=(1, 2, 3)).astype(jnp.float32)
        total, right = jnp.zeros(len(moving)), jnp.zeros(len(moving))
        salient = jnp.zeros(len(moving))
        for view in views:
            logits = self.logits(variables["params"], view.flow, view.valid)
            truth = self.is_salient(view.moving, view.valid)
            total += jnp.mean(optax.sigmoid_binary_cross_entropy(logits, truth), axis=1)
            right += jnp.mean((logits > 0) == (truth > 0), axis=1, dtype=jnp.float32)
            salient += jnp.mean(truth, axis=1)
        count = len(views) * known
        metrics = {"accuracy": (right * known, count), "salient": (salient * known, count)}
        weight = known if key is None else _balanced(salient, known)
        return Output(total / len(views), weight, metrics)

    def is_salient(self, moving: jax.Array, valid: jax.Array) -> jax.Array:
        """Whether frames show something that moves, float32 `[B, T]` in {0, 1}.

        Args:
            moving: bool `[B, T, H, W]`, what moves on its own.
            valid: `[B, T, H, W]` in {0, 1}, where the flow is known.
        """
        area = jnp.mean(moving & (valid > 0), axis=(2, 3), dtype=jnp.float32)
        return (area >= max(self.least_area, 1e-9)).astype(jnp.float32)

    def predict(self, variables: Variables, batch: Batch) -> Mapping[str, jax.Array]:
        """Gives ``logits`` `[B, T]`; arguments as in `Task.predict`."""
        return {"logits": self.logits(variables["params"], batch["flow"], batch.get("valid"))}

    def _changed(self, key: jax.Array, example: Example) -> Example:
        """A frame as training sees it: mirrored, and with parts filled."""
        flip_key, hide_key, other_key, blob_key = jax.random.split(key, 4)
        moving = example.moving.astype(jnp.float32)
        flow, valid = random_flip(flip_key, example.flow, example.valid, self.augment)
        _, moving = random_flip(flip_key, example.flow, moving, self.augment)  # the same flips
        example = Example(flow, valid, moving > 0)
        config, batch = self.fill, len(flow)
        hidden, other = (
            jax.random.bernoulli(key, probability, (batch, 1, 1, 1))
            for key, probability in (
                (hide_key, config.hide_probability),
                (other_key, config.other_probability),
            )
        )
        elsewhere = jnp.roll(example.moving, 1, axis=0)
        blob = random_blobs(blob_key, example.moving.shape)
        there = jnp.any(elsewhere, axis=(2, 3), keepdims=True)
        elsewhere = jnp.where(there, self._widened(elsewhere), blob)
        return self._without(
            example, (hidden & self._widened(example.moving)) | (other & elsewhere)
        )

    def _without(self, example: Example, mask: jax.Array) -> Example:
        """The frames with a part `[B, T, H, W]` filled by the motion of what does not move."""
        still = 1.0 - (mask | self._widened(example.moving))
        flow = inpaint(
            example.flow,
            mask.astype(jnp.float32),
            _FILL,
            support=still,
            valid=example.valid,
        )
        flow = jnp.where(example.valid[..., None] > 0, flow, 0)
        return Example(flow, example.valid, example.moving & ~mask)

    def _widened(self, moving: jax.Array) -> jax.Array:
        """What is at most the margin away from what moves."""
        side = 2 * self.fill.margin + 1
        window = (1, 1, side, side)
        return jax.lax.reduce_window(moving, False, jax.lax.bitwise_or, window, (1,) * 4, "SAME")


def _balanced(salient: jax.Array, known: jax.Array) -> jax.Array:
    """Weights `[B]` with which both kinds of clips have the same share of a batch.

    Args:
        salient: `[B]`, share of the frames of each clip that are salient.
        known: `[B]` in {0, 1}; clips at 0 weigh nothing.
    """
    share = jnp.sum(salient * known) / jnp.maximum(jnp.sum(known), 1)
    kinds = (salient / jnp.maximum(share, 1e-6), (1 - salient) / jnp.maximum(1 - share, 1e-6))
    return 0.5 * known * (kinds[0] + kinds[1])


def random_blobs(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Draws one ellipse with a wavy outline for each clip.

    Args:
        key: PRNG key of the random draws.
        shape: shape `[B, T, H, W]` of the frames.

    Returns:
        bool `[B, T, H, W]`, the same in all frames of a clip.
    """
    batch, _, height, width = shape
    keys = jax.random.split(key, 5)
    y, x = jnp.meshgrid(jnp.arange(height) + 0.5, jnp.arange(width) + 0.5, indexing="ij")
    center = jax.random.uniform(keys[0], (2, batch, 1, 1))
    turn = jax.random.uniform(keys[1], (batch, 1, 1), maxval=jnp.pi)
    low, high = jnp.log(jnp.array(_BLOB_AREA))
    share = jnp.exp(jax.random.uniform(keys[2], (batch, 1, 1), minval=low, maxval=high))
    stretch = jnp.exp(jax.random.uniform(keys[3], (batch, 1, 1)))
    dx, dy = x - width * center[0], y - height * center[1]
    along = (jnp.cos(turn) * dx + jnp.sin(turn) * dy) / stretch
    across = (jnp.cos(turn) * dy - jnp.sin(turn) * dx) * stretch
    angle, waves = jnp.arctan2(across, along), 0.2 * jax.random.normal(keys[4], (2, batch, 1, 1))
    wavy = 1 + waves[0] * jnp.sin(2 * angle) + waves[1] * jnp.cos(3 * angle)
    inside = jnp.hypot(along, across) < jnp.sqrt(height * width * share / jnp.pi) * wavy
    return jnp.broadcast_to(inside[:, None], shape)
