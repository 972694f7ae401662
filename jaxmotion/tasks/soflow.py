"""The task of SoFlow: flow that makes two frames alike, learned from frames alone (app. 7.4).

Each pair is seen both ways. The two flows tell together what is hidden in the other frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.losses import photometric
from jaxmotion.networks.soflow.config import SoFlowConfig
from jaxmotion.networks.soflow.network import SoFlow
from jaxmotion.optical_flow.colors import flow_to_color
from jaxmotion.tasks.soflow_config import PhotometricConfig
from jaxmotion.tasks.task import Batch, Output, Params, Task, Variables


class View(NamedTuple):
    """Pairs in both directions, and the parts of them that the network sees.

    Attributes:
        first: frames that the flow starts from, `[2B, H, W, 3]` in 0..1.
        second: frames that it goes to, `[2B, H, W, 3]` in 0..1.
        seen: the parts of the first, `[2B, h, w, 3]`.
        other: the parts of the second, at the same place.
        origin: place (x, y) of the parts, `[2B, 2]`.
    """

    first: jax.Array
    second: jax.Array
    seen: jax.Array
    other: jax.Array
    origin: jax.Array


@dataclass(frozen=True)
class SoFlowTask(Task):
    """Trains SoFlow on pairs of frames.

    Attributes:
        network: sizes of the network.
        objective: the loss.
    """

    network: SoFlowConfig
    objective: PhotometricConfig

    @property
    def spec(self) -> Mapping[str, str]:
        """The fields of a batch: two frames."""
        return {"frames": "B 2 H W 3"}

    @cached_property
    def module(self) -> SoFlow:
        """The linen module."""
        return SoFlow(self.network)

    def init(self, key: jax.Array, batch: Batch) -> Variables:
        """Draws fresh parameters; arguments as in `Task.init`."""
        image = jnp.zeros((1, 16, 16, 3))  # no size of a parameter follows from the frames
        return {"params": self.module.init(key, image, image)["params"]}

    def flows(self, params: Params, first: jax.Array, second: jax.Array) -> jax.Array:
        """All flows `[M + 1, B, H, W, 2]` between frames `[B, H, W, 3]` in 0..1."""
        images = (255.0 * first, 255.0 * second)
        found = self.module.apply({"params": params}, *images, method=SoFlow.all_flows)
        return cast(jax.Array, found)

    def loss(
        self, variables: Variables, batch: Batch, *, step: jax.Array, key: jax.Array | None
    ) -> Output:
        """Computes the loss of each pair; arguments as in `Task.loss`.

        In validation the whole frames are seen, and what is hidden is left out from the start. A
        hidden pixel costs 1, as two that have nothing in common: it has no gradient, but flows that
        disagree everywhere are not the best ones.
        """
        config = self.objective
        view = self._view(batch["frames"], key)
        flows = self.flows(variables["params"], view.seen, view.other)
        counted = jnp.ones(flows.shape[1:4])
        if config.occlusion == "consistency":
            ahead, back = jnp.split(flows[-1], 2)
            both = [photometric.visible(ahead, back), photometric.visible(back, ahead)]
            early = (step < config.occlusion_from) & (key is not None)
            counted = jnp.where(early, 1.0, jnp.concatenate(both))

        hidden = 1 - jnp.mean(counted, axis=(1, 2))

        def of_iteration(flow: jax.Array) -> tuple[jax.Array, jax.Array]:
            warped, inside = photometric.warp(view.second, flow, view.origin)
            likeness = self._likeness(view.seen, warped, inside * counted)
            likeness = (1 - hidden) * likeness + hidden
            prior = config.smoothness * photometric.smoothness(flow, view.seen, edge=config.edge)
            if config.sparsity:
                prior += config.sparsity * photometric.sparsity(
                    flow, view.seen, view.other, change=config.change
                )
            return likeness, prior

        likeness, prior = jax.vmap(of_iteration)(flows)
        total = _of_pairs(photometric.sequence(likeness + prior, config.decay))
        once = jnp.ones_like(total)
        metrics = {
            "likeness": (_of_pairs(likeness[-1]), once),
            "prior": (_of_pairs(prior[-1]), once),
            "hidden": (_of_pairs(hidden), once),
            "length": (_of_pairs(jnp.mean(jnp.linalg.norm(flows[-1], axis=-1), (1, 2))), once),
        }
        return Output(total, metrics=metrics)

    def predict(self, variables: Variables, batch: Batch) -> Mapping[str, jax.Array]:
        """Gives ``flow`` `[B, H, W, 2]`; arguments as in `Task.predict`."""
        images = batch["frames"].astype(jnp.float32)
        found = self.module.apply({"params": variables["params"]}, images[:, 0], images[:, 1])
        return {"flow": cast(jax.Array, found)}

    def picture(self, variables: Variables, batch: Batch) -> np.ndarray:
        """Draws the first frame and the flow of each pair, one column per pair."""
        flows = np.asarray(jax.jit(self.predict)(variables, batch)["flow"])
        columns = [
            np.concatenate([frame, flow_to_color(flow)])
            for frame, flow in zip(np.asarray(batch["frames"])[:, 0], flows, strict=True)
        ]
        return np.concatenate(columns, axis=1).astype(np.uint8)

    def _likeness(self, image: jax.Array, warped: jax.Array, valid: jax.Array) -> jax.Array:
        config = self.objective
        if config.likeness == "ssim":
            return photometric.ssim(image, warped, window=config.window, valid=valid)
        return photometric.census(
            image, warped, window=config.window, noise=config.noise, valid=valid
        )

    def _view(self, frames: jax.Array, key: jax.Array | None) -> View:
        """Pairs both ways; in training, of a random part at the same place in both frames."""
        ahead = jnp.concatenate([frames[:, 0], frames[:, 1]]).astype(jnp.float32) / 255.0
        back = jnp.concatenate([frames[:, 1], frames[:, 0]]).astype(jnp.float32) / 255.0
        batch, _, height, width, _ = frames.shape
        crop = self.objective.crop
        if key is None or not crop:
            return View(ahead, back, ahead, back, jnp.zeros((2 * batch, 2)))
        room = jnp.array([width - crop + 1, height - crop + 1])
        place = jnp.floor(jax.random.uniform(key, (batch, 2)) * room).astype(jnp.int32)
        place = jnp.tile(place, (2, 1))

        def part(image: jax.Array, corner: jax.Array) -> jax.Array:
            return jax.lax.dynamic_slice(image, (corner[1], corner[0], 0), (crop, crop, 3))

        seen, other = (jax.vmap(part)(images, place) for images in (ahead, back))
        return View(ahead, back, seen, other, place.astype(jnp.float32))


def _of_pairs(values: jax.Array) -> jax.Array:
    """The mean of both directions, `[2B]` to `[B]`."""
    ahead, back = jnp.split(values, 2)
    return (ahead + back) / 2
