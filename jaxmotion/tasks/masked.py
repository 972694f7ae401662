"""The task of masked flow modeling: flow that is hidden, from flow that is seen.

It needs no labels. What it learns serves three ends: features to start other networks from,
descriptors of motion, and fills of flow (`inference.inpainter`). As a masked autoencoder of flow it
follows VideoMAE (Tong et al. 2022), with tubes along the flow as MGMAE (Huang et al. 2023), and
masked convolutions as SparK (Tian et al. 2023): what is hidden is ``valid = 0`` for the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.data.augmentation import augment, known_only
from jaxmotion.losses import hidden_flow
from jaxmotion.motion import FRAME_MOTION, fit_global_motion, global_flow, nearest_known
from jaxmotion.networks import INPUT_CHANNELS, network_features
from jaxmotion.networks.inputs import mean_absolute
from jaxmotion.networks.reconstructors import (
    Reconstruction,
    UNetReconstructor,
    build_reconstructor,
)
from jaxmotion.networks.warm_start import match_params, warm_start
from jaxmotion.tasks.masked_config import MaskedConfig
from jaxmotion.tasks.pictures import fills_picture
from jaxmotion.tasks.task import Batch, Criterion, Output, Params, Task, Variables
from jaxmotion.tasks.tubes import draw_tubes


class View(NamedTuple):
    """What a network sees of clips.

    Attributes:
        features: `[B, S, H, W, C]`, its input; S frames, all or the first of them.
        visible: `[B, S, H, W]` float32 in {0, 1}, what is seen.
        nearest: `[B, S, H, W, 2]`, residual of the nearest pixel that is seen; 0 where the network
            fills nothing.
        residual_scale: `[B, S, 1]`, mean absolute residual of what is seen, pixels per frame.
        flow_scale: `[B, S, 1]`, the same of the flow.
    """

    features: jax.Array
    visible: jax.Array
    nearest: jax.Array
    residual_scale: jax.Array
    flow_scale: jax.Array


@dataclass(frozen=True)
class MaskedTask(Task):
    """Trains a network to reconstruct flow.

    Attributes:
        config: configuration of the task.
        clip_length: number of frames of the clips before padding.
    """

    config: MaskedConfig
    clip_length: int

    criterion = Criterion("unexplained")

    @property
    def spec(self) -> Mapping[str, str]:
        """The fields of a batch: flow, and where it is known."""
        return {"flow": "B T H W 2", "valid": "B T H W"}

    @property
    def horizon(self) -> int:
        """Number of frames at the end of a clip that are predicted; 0 where none are."""
        return self.clip_length // 2 if self.config.reconstruct == "predictive" else 0

    @cached_property
    def module(self) -> UNetReconstructor:
        """The linen module."""
        latent = self.config.latent.size if self.config.reconstruct == "variational" else 0
        return build_reconstructor(
            self.config.network, horizon=self.horizon, latent=latent, frames=self.clip_length
        )

    def init(self, key: jax.Array, batch: Batch) -> Variables:
        """Draws fresh parameters; arguments as in `Task.init`."""
        clip = (1, *batch["flow"].shape[1:4], INPUT_CHANNELS[self.config.network.input])
        return {"params": self.module.init(key, jnp.zeros(clip))["params"]}

    def hide(self, key: jax.Array, flow: jax.Array, valid: jax.Array) -> jax.Array:
        """Chooses what the network is to reconstruct.

        Args:
            key: randomness of the tubes.
            flow: `[B, T, H, W, 2]`, pixels per frame.
            valid: `[B, T, H, W]` in {0, 1}, where it is known.

        Returns:
            bool `[B, T, H, W]`.
        """
        match self.config.reconstruct:
            case "masked":
                hidden = draw_tubes(key, flow, valid, self.config.tubes)
            case "predictive":
                frame = jnp.arange(valid.shape[1]) >= self.clip_length - self.horizon
                hidden = jnp.broadcast_to(frame[:, None, None], valid.shape)
            case "variational":
                hidden = jnp.ones(valid.shape, bool)
        return hidden & (valid > 0)

    def view(self, flow: jax.Array, visible: jax.Array, theta: jax.Array) -> View:
        """Prepares clips for the network.

        Args:
            flow: `[B, S, H, W, 2]`, pixels per frame; what is not visible does not matter.
            visible: `[B, S, H, W]` in {0, 1}, what the network sees.
            theta: `[B, S, 12]`, the motion of each frame.
        """
        network = self.config.network
        flow, visible = known_only(flow, visible)
        motion = global_flow(theta, *flow.shape[2:4])
        residual, _ = known_only(flow - motion, visible)
        scales = (mean_absolute(f, visible, network.norm_frames) for f in (residual, flow))
        nearest, entering = jnp.zeros_like(flow), visible
        if self.config.reconstruct == "masked":
            nearest = residual = nearest_known(residual, visible)
            # A frame of which something is seen enters as a whole.
            some = jnp.any(visible > 0, axis=(2, 3), keepdims=True)
            flow, entering = known_only(motion + nearest, jnp.broadcast_to(some, visible.shape))
        features = network_features(
            flow, network.input, residual=residual, valid=entering, frames=network.norm_frames
        )
        return View(features, visible, nearest, *scales)

    def reconstruct(
        self, params: Params, view: View, key: jax.Array | None = None
    ) -> Reconstruction:
        """Applies the network.

        Args:
            params: parameters of the network.
            view: what it sees of the clips.
            key: randomness of the latent vector; None for its mean.

        Returns:
            The `Reconstruction` in pixels per frame, of the frames that are seen or of those that
            follow.
        """
        found = self.module.apply(
            {"params": params},
            view.features,
            view.visible,
            deterministic=key is None,
            rngs=None if key is None else {"latent": key},
        )
        found = cast(Reconstruction, found)
        scales = view.residual_scale, view.flow_scale
        if self.horizon:
            scales = tuple(scale[:, -1:] for scale in scales)
        residual = found.residual * scales[0][:, :, None, None]
        if found.share is not None:
            residual = residual + found.share * view.nearest
        return Reconstruction(residual, found.camera * scales[1], found.latent)

    def loss(
        self, variables: Variables, batch: Batch, *, step: jax.Array, key: jax.Array | None
    ) -> Output:
        """Computes the loss of each clip; arguments as in `Task.loss`.

        It is the mean absolute error of the hidden flow, over the mean absolute residual of the
        clip, and the same of the motion of frames, over the mean flow. What is hidden without
        `key` is always the same. ``unexplained`` is what the network leaves of the hidden
        residual: 1 for one that takes each frame to move as a whole. A clip of which nothing is
        hidden counts nowhere.
        """
        keys = jax.random.split(jax.random.key(0) if key is None else key, 3)
        flow, valid = known_only(batch["flow"], batch["valid"])
        if key is not None:
            config = self.config.augment
            changed = augment(keys[0], flow, valid, config, FRAME_MOTION, self.clip_length)
            flow, valid = changed.flow, changed.valid
        hidden = self.hide(keys[1], flow, valid)
        masked = self.config.reconstruct == "masked"
        visible = jnp.where(hidden, 0, valid) if masked else valid
        theta = fit_global_motion(flow, visible)
        before = self._before
        view = self.view(*(array[:, before] for array in (flow, visible, theta)))
        found = self.reconstruct(variables["params"], view, None if key is None else keys[2])
        if self.horizon:
            ahead = slice(before.stop, self.clip_length)
            flow, valid, hidden, theta = (x[:, ahead] for x in (flow, valid, hidden, theta))
        errors = hidden_flow.errors(found.residual, found.camera, flow, valid, hidden, theta)
        total = errors.flow + self.config.camera_weight * errors.camera
        weight = jnp.any(hidden, axis=(1, 2, 3)).astype(total.dtype)
        metrics = {name: (weight * getattr(errors, name), weight) for name in ("flow", "camera")}
        metrics["unexplained"] = (weight * errors.flow, weight * errors.unfilled)
        if found.latent is not None:
            latent = self.config.latent
            divergence = hidden_flow.divergences(*found.latent)
            cost = jnp.sum(jnp.maximum(divergence, latent.free_bits), axis=1)
            total = total + latent.weight * cost
            metrics["divergence"] = (weight * jnp.sum(divergence, axis=1), weight)
        return Output(total, weight, metrics)

    @property
    def _before(self) -> slice:
        """The frames that the network sees."""
        return slice(self.clip_length - self.horizon if self.horizon else None)

    def predict(self, variables: Variables, batch: Batch) -> Mapping[str, jax.Array]:
        """Gives ``flow`` `[B, T, H, W, 2]` in pixels per frame, of frames with all pixels.

        Of what is masked, the flow that is valid stays as it is. In ``"predictive"`` they are the
        frames that follow the clip.

        Args:
            variables: collections by name, as in `loss`.
            batch: the clips, by field.
        """
        flow = batch["flow"]
        flow, valid = known_only(flow, batch.get("valid", jnp.ones(flow.shape[:-1])))
        theta = fit_global_motion(flow, valid)
        found = self.reconstruct(variables["params"], self.view(flow, valid, theta))
        size = flow.shape[2:4]
        if self.config.reconstruct == "masked":
            filled = global_flow(theta, *size) + found.residual
            return {"flow": jnp.where(valid[..., None] > 0, flow, filled)}
        return {"flow": global_flow(found.camera, *size) + found.residual}

    def transfer(self, fresh: Variables, trained: Variables) -> tuple[Variables, str]:
        """Takes the backbone of another network, and its heads if it has them; `Task.transfer`."""
        here, there = fresh["params"], trained["params"]
        return {"params": warm_start(here, there)}, match_params(here, there).words

    def picture(self, variables: Variables, batch: Batch) -> np.ndarray:
        """Draws what is seen, what the network makes of it, and the truth, a clip in each column.

        Of a clip whose last half is predicted they are the last frame that is seen, and the first
        one that is not.
        """
        arrays = self._drawn(variables, {name: batch[name] for name in ("flow", "valid")})
        return fills_picture(*(np.asarray(array) for array in arrays))

    @cached_property
    def _drawn(self):
        @jax.jit
        def drawn(variables: Variables, batch: Batch) -> tuple[jax.Array, ...]:
            flow, valid = known_only(batch["flow"], batch["valid"])
            hidden = self.hide(jax.random.split(jax.random.key(0), 3)[1], flow, valid)
            masked = self.config.reconstruct == "masked"
            visible = jnp.where(hidden, 0, valid) if masked else valid
            seen = {"flow": flow[:, self._before], "valid": visible[:, self._before]}
            found = self.predict(variables, seen)["flow"]
            if self.horizon:
                return seen["flow"][:, -1], found[:, 0], flow[:, self._before.stop]
            middle = flow.shape[1] // 2
            shown = jnp.where(visible[..., None] > 0, flow, jnp.nan)
            return shown[:, middle], found[:, middle], flow[:, middle]

        return drawn
