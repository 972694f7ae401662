"""The task of instances: embeddings that part the pixels of a clip into objects (STEm-Seg).

It learns from clips with labels, as procedural scenes have them. `segmentation` asks what moves
alike; this asks which object a pixel is of, whether others move like it or not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.data.augmentation import augment
from jaxmotion.embeddings import Clusters, cluster, mix, num_dimensions, num_free, probabilities
from jaxmotion.embeddings.gaussians import BASE_BANDWIDTH
from jaxmotion.losses import embedding_loss
from jaxmotion.motion import MotionModel
from jaxmotion.networks import INPUT_CHANNELS
from jaxmotion.networks.embedders import Embedded, UNetEmbedder, build_embedder
from jaxmotion.networks.warm_start import match_params, warm_start
from jaxmotion.tasks.instances_config import InstancesConfig
from jaxmotion.tasks.observation import observe
from jaxmotion.tasks.pictures import instances_picture
from jaxmotion.tasks.task import Batch, Criterion, Output, Params, Task, Variables

_CAMERA = MotionModel(spatial="quadratic")


class Found(NamedTuple):
    """The objects of clips.

    Attributes:
        labels: int32 `[B, T, H, W]`, 0 = background, 1.. = objects.
        probability: `[B, I, T, H, W]`, of each pixel's embedding under the Gaussian of each object;
            0 where the seed says background.
        seed: `[B, I]`, seediness of each object's seed; 0 for objects that are not there.
    """

    labels: jax.Array
    probability: jax.Array
    seed: jax.Array


@dataclass(frozen=True)
class InstancesTask(Task):
    """Trains embeddings on labeled clips, by the loss of STEm-Seg.

    Attributes:
        config: configuration of the task.
        clip_length: number of frames of the clips before padding, where devices share frames and
            need more behind them; None where there is no padding.
    """

    config: InstancesConfig
    clip_length: int | None = None

    criterion = Criterion("quality", higher_is_better=True)

    @property
    def spec(self) -> Mapping[str, str]:
        """The fields of a batch: flow, where it is known, and which object each pixel is of."""
        return {"flow": "B T H W 2", "valid": "B T H W", "labels": "B T H W"}

    @cached_property
    def module(self) -> UNetEmbedder:
        """The linen module."""
        embedding = self.config.embedding
        mode, widths = embedding.mode, embedding.decoder_widths
        widths = widths if embedding.decoder == "squeeze_expand" else ()
        return build_embedder(self.config.network, num_dimensions(mode), num_free(mode), widths)

    @property
    def free_std(self) -> tuple[float, ...]:
        """Standard deviations of the free channels."""
        return (self.config.embedding.free_std,) * num_free(self.config.embedding.mode)

    def init(self, key: jax.Array, batch: Batch) -> Variables:
        """Draws fresh parameters; arguments as in `Task.init`."""
        clip = (1, *batch["flow"].shape[1:4], INPUT_CHANNELS[self.config.network.input])
        return {"params": self.module.init(key, jnp.zeros(clip))["params"]}

    def embed(
        self, params: Params, flow: jax.Array, valid: jax.Array | None
    ) -> tuple[jax.Array, Embedded]:
        """Applies the network.

        Args:
            params: parameters of the network.
            flow: `[B, T, H, W, 2]`, pixels per frame.
            valid: `[B, T, H, W]` in {0, 1}, where it is known; None for everywhere.

        Returns:
            The embedding `[B, T, H, W, E]` with its coordinates, and what the network said.
        """
        seen = observe(flow, valid, self.config.network)
        output = self.module.apply({"params": params}, seen.features, seen.valid)
        embedded = cast(Embedded, output)
        mode, scale = self.config.embedding.mode, self.config.embedding.time_scale
        return mix(embedded.raw, mode, time_scale=scale, frames=self.clip_length), embedded

    def loss(
        self, variables: Variables, batch: Batch, *, step: jax.Array, key: jax.Array | None
    ) -> Output:
        """Computes the loss of each clip (Athar et al. 2020, eq. 6); arguments as in `Task.loss`.

        Its parts are metrics. In validation there is the panoptic quality of the objects as well.
        A clip without flow counts nowhere.
        """
        flow, valid, labels = batch["flow"], batch["valid"], batch["labels"]
        if key is not None:
            changed = augment(
                key, flow, valid, self.config.augment, _CAMERA, self.clip_length, labels
            )
            flow, valid, labels = changed.network_input, changed.valid, changed.labels
            assert labels is not None
        labels = labels.astype(jnp.int32)
        config = self.config.objective
        embedding, said = self.embed(variables["params"], flow, valid)
        total, parts = embedding_loss(
            embedding,
            said.log_bandwidth,
            said.seed,
            labels,
            config.most_instances,
            free_std=self.free_std,
            valid=valid,
            weights=(config.lovasz_weight, config.smoothness_weight, config.seediness_weight),
            bins=config.bins or None,
        )
        weight = jnp.any(valid > 0, axis=(1, 2, 3)).astype(total.dtype)
        metrics = {name: (weight * part, weight) for name, part in parts.items()}
        if key is None:
            found = self.find(embedding, said, valid)
            found = found.labels * (valid > 0)
            sizes = (config.most_instances, self.config.clustering.max_instances)
            matched, count = panoptic_quality(labels * (valid > 0), found, *sizes)
            metrics["quality"] = (weight * matched, weight * count)
        return Output(total, weight, metrics)

    def find(self, embedding: jax.Array, said: Embedded, valid: jax.Array | None = None) -> Found:
        """Parts clips into objects.

        Args:
            embedding: `[B, T, H, W, E]`, with its coordinates.
            said: what the network said of the clips.
            valid: `[B, T, H, W]`; pixels at 0 are of no object.
        """
        config = self.config.clustering
        width = BASE_BANDWIDTH * jnp.exp(said.log_bandwidth)
        free = 1 / jnp.square(jnp.asarray(self.free_std, width.dtype))
        free = jnp.broadcast_to(free, (*width.shape[:-1], len(self.free_std)))
        width = jnp.concatenate([width, free], axis=-1)
        candidate = said.seed > config.least_seed
        if valid is not None:
            candidate &= valid > 0

        def of_clip(embedding, width, seed, candidate) -> Clusters:
            points = embedding.reshape(-1, embedding.shape[-1])
            return cluster(
                points,
                width.reshape(points.shape),
                seed.reshape(-1),
                foreground=candidate.reshape(-1),
                primary=config.primary,
                secondary=config.secondary,
                min_seed=config.min_seed,
                max_instances=config.max_instances,
                covered=config.covered,
                rule=config.rule,
            )

        found = jax.vmap(of_clip)(embedding, width, said.seed, candidate)
        there = jnp.arange(config.max_instances) < found.count[:, None]
        probability = probabilities(embedding, found.mean, found.bandwidth)
        probability *= (candidate[:, None] & there[..., None, None, None]).astype(width.dtype)
        return Found(found.labels.reshape(candidate.shape), probability, found.seed)

    def predict(self, variables: Variables, batch: Batch) -> Mapping[str, jax.Array]:
        """Gives the fields of `Found`, and ``seediness`` `[B, T, H, W]`; see `Task.predict`."""
        valid = batch.get("valid")
        embedding, said = self.embed(variables["params"], batch["flow"], valid)
        return self.find(embedding, said, valid)._asdict() | {"seediness": said.seed}

    def transfer(self, fresh: Variables, trained: Variables) -> tuple[Variables, str]:
        """Takes the backbone of another network, and its heads if it has them; `Task.transfer`."""
        here, there = fresh["params"], trained["params"]
        return {"params": warm_start(here, there)}, match_params(here, there).words

    def picture(self, variables: Variables, batch: Batch) -> np.ndarray:
        """Draws flow, seediness, objects and true objects, a clip in each column."""
        found = self._predict(variables, {name: batch[name] for name in ("flow", "valid")})
        arrays = (batch["flow"], found["seediness"], found["labels"], batch["labels"])
        return instances_picture(*(np.asarray(array) for array in arrays))

    @cached_property
    def _predict(self):
        return jax.jit(self.predict)


def panoptic_quality(
    truth: jax.Array, found: jax.Array, most_true: int, most_found: int
) -> tuple[jax.Array, jax.Array]:
    """Panoptic quality of clips: the IoU of objects that are found, less those that are not.

    Objects are volumes, over all frames of a clip. Two of them belong together where their IoU is
    above 0.5, which at most one object of the other kind can have.

    Args:
        truth: int `[B, T, H, W]`, 0 = background, 1.. = objects.
        found: int `[B, T, H, W]`, the same of what was found.
        most_true: largest true label that is looked at.
        most_found: largest found label that is looked at.

    Returns:
        Two arrays `[B]`, of which the quotient is the quality: the sum of IoU over the pairs, and
        half the number of objects of both kinds.

    References:
        Kirillov et al., Panoptic Segmentation, 2019; Kim et al., Video Panoptic Segmentation, 2020.
    """
    sides = []
    for labels, most in ((truth, most_true), (found, most_found)):
        one_hot = labels[:, None] == jnp.arange(1, most + 1)[:, None, None, None]
        sides.append(one_hot.astype(jnp.float32))
    shared = jnp.einsum("bithw,bjthw->bij", *sides, precision=jax.lax.Precision.HIGHEST)
    a, b = (jnp.sum(side, axis=(2, 3, 4)) for side in sides)
    union = a[:, :, None] + b[:, None] - shared
    iou = shared / jnp.maximum(union, 1)
    matched = jnp.sum(jnp.where(iou > 0.5, iou, 0), axis=(1, 2))
    return matched, 0.5 * (jnp.sum(a > 0, axis=1) + jnp.sum(b > 0, axis=1))
