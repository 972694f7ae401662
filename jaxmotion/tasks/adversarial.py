"""The task of adversarial saliency (thesis ch. 6): hide as little as makes a classifier say no.

A segmenter marks what is salient, the motion of the rest fills it, and a frame classifier that is
trained already looks at the result. The segmenter descends the area that it marks plus what is left
of the classifier's yes, times a multiplier that climbs while the classifier still says yes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmotion import losses
from jaxmotion.data.augmentation import known_only, random_flip
from jaxmotion.errors import InputError
from jaxmotion.motion import MotionModel, fit, inpaint, parametric_flow
from jaxmotion.tasks.adversarial_config import AdversarialConfig
from jaxmotion.tasks.classification import ClassificationTask
from jaxmotion.tasks.classification_config import ClassificationConfig
from jaxmotion.tasks.segmentation import SegmentationTask
from jaxmotion.tasks.task import Batch, Output, Params, Task, Variables

_FILL = MotionModel(spatial="quadratic")
_LEAST_SUPPORT = 0.2  # of the weight of a pixel in a fill, whatever the background's mask says
_PRICE = 10.0  # of a mean violation of 1 in validation, in areas of the frame


class Judge(NamedTuple):
    """A trained frame classifier, a constant of the loss.

    Attributes:
        task: the task that it was trained for.
        params: its parameters.
    """

    task: ClassificationTask
    params: Params

    @classmethod
    def of(cls, trained: Any, name: str) -> "Judge":
        """The judge that a trained network is.

        Args:
            trained: the trained network (`models.trained.Trained`).
            name: path or name of it, for errors.

        Raises:
            InputError: where it is of another task, or gives no gradient by the flow.
        """
        config = trained.config.task
        if not isinstance(config, ClassificationConfig):
            raise InputError(
                f"{name}: a network trained for {config.kind}, expected one that classifies frames"
            )
        if config.network.input != "directions":
            raise InputError(
                f"{name}: sees {config.network.input!r}, through which no gradient passes; "
                "expected network.input 'directions'"
            )
        return cls(config.build(trained.config.data), trained.params)


class Hidden(NamedTuple):
    """Frames without what is salient.

    Attributes:
        masks: `[B, T, H, W, K]`, as the segmenter gives them.
        salient: `[B, T, H, W]`, share of each pixel that was filled.
        flow: `[B, T, H, W, 2]`, the filled flow (ω, eq. 6.8 and 6.10).
    """

    masks: jax.Array
    salient: jax.Array
    flow: jax.Array


@dataclass(frozen=True)
class AdversarialTask(Task):
    """Trains a segmenter against a frame classifier.

    Attributes:
        config: options of the loss.
        segmenter: the segmenter, a task of its own.
        judge: the frame classifier; None where the task is only to predict.
    """

    config: AdversarialConfig
    segmenter: SegmentationTask
    judge: Judge | None = None

    @property
    def spec(self) -> Mapping[str, str]:
        """The fields of a batch: flow, and where it is known."""
        return self.segmenter.spec

    def init(self, key: jax.Array, batch: Batch) -> Variables:
        """Draws fresh parameters, and the multiplier; arguments as in `Task.init`."""
        multiplier = {"value": jnp.float32(self.config.constraint.start)}
        variables = self.segmenter.init(key, batch)
        if self.config.constraint.multiplier == "shared":
            return {"params": {**variables["params"], "multiplier": multiplier}}
        return {**variables, "multiplier": multiplier}

    def loss(
        self, variables: Variables, batch: Batch, *, step: jax.Array, key: jax.Array | None
    ) -> Output:
        """Computes the area plus the multiplier times the violation; arguments as in `Task.loss`.

        In validation the multiplier, which differs from step to step, gives way to a fixed price.
        A clip without flow counts nowhere.
        """
        assert self.judge is not None, "a task that is only to predict has no loss"
        flow, valid = known_only(batch["flow"], batch["valid"])
        if key is not None:
            flow, valid = random_flip(key, flow, valid, self.config.augment)
        hidden = self.hidden(variables["params"], flow, valid)
        before, after = (
            self.judge.task.logits(self.judge.params, frames, valid)
            for frames in (jax.lax.stop_gradient(flow), hidden.flow)
        )
        area = jnp.sum(hidden.salient * valid, axis=(1, 2, 3))
        area /= jnp.maximum(jnp.sum(valid, axis=(1, 2, 3)), 1)
        violation = jnp.mean(self.violation(after), axis=1)
        known = jnp.any(valid > 0, axis=(1, 2, 3)).astype(jnp.float32)
        multiplier, state = self._multiplier(variables, violation, known)
        total = area + (_PRICE if key is None else multiplier) * violation
        if self.config.reconstruction:
            total += self.config.reconstruction * _misfit(flow, hidden.masks, valid)
        called = (before > 0).astype(jnp.float32) * known[:, None]
        flipped = called * (after < 0)
        metrics = {
            "area": (area * known, known),
            "violation": (violation * known, known),
            "salient": (jnp.mean(called, axis=1), known),
            "flipped": (jnp.sum(flipped, axis=1), jnp.sum(called, axis=1)),
            "multiplier": (multiplier, 1),
        }
        return Output(total, known, metrics, state)

    def violation(self, logits: jax.Array) -> jax.Array:
        """How much filled frames violate the constraint, of their logits, of the same shape."""
        constraint = self.config.constraint
        if constraint.violation == "sigma":
            return losses.sigma(jax.nn.sigmoid(logits))
        return losses.hinge(logits, -constraint.margin)

    def hidden(self, params: Params, flow: jax.Array, valid: jax.Array) -> Hidden:
        """Fills what the segmenter marks as salient with the motion of the rest.

        Args:
            params: parameters of the segmenter.
            flow: `[B, T, H, W, 2]`, pixels per frame.
            valid: `[B, T, H, W]` in {0, 1}, where it is known.
        """
        config = self.config
        masks = self.masks(params, {"flow": flow, "valid": valid})
        salient = jnp.sum(masks[..., list(config.salient)], axis=-1)
        if config.hard:
            won = jnp.isin(jnp.argmax(masks, axis=-1), jnp.array(config.salient))
            salient = salient + jax.lax.stop_gradient(won - salient)
        support = 1 - salient
        if masks.shape[-1] > 2:
            support *= jnp.maximum(masks[..., 0], _LEAST_SUPPORT)
        filled = inpaint(flow, salient, _FILL, support=support, valid=valid, adjoint=config.adjoint)
        return Hidden(masks, salient, jnp.where(valid[..., None] > 0, filled, 0))

    def masks(self, params: Params, batch: Batch) -> jax.Array:
        """Masks `[B, T, H, W, K]` of clips.

        Args:
            params: parameters of the segmenter.
            batch: flow `[B, T, H, W, 2]`, and ``valid`` `[B, T, H, W]`, by name.
        """
        own = {name: leaf for name, leaf in params.items() if name != "multiplier"}
        return self.segmenter.masks(own, self.segmenter.observe(batch))

    def predict(self, variables: Variables, batch: Batch) -> Mapping[str, jax.Array]:
        """Gives ``masks`` `[B, T, H, W, K]`; arguments as in `Task.predict`."""
        return {"masks": self.masks(variables["params"], batch)}

    def transfer(self, fresh: Variables, trained: Variables) -> tuple[Variables, str]:
        """Takes what segmentation would take of a segmenter; see `Task.transfer`."""
        extra = {name: leaf for name, leaf in fresh["params"].items() if name == "multiplier"}
        here, there = (
            {"params": {name: leaf for name, leaf in v["params"].items() if name != "multiplier"}}
            for v in (fresh, trained)
        )
        taken, words = self.segmenter.transfer(here, there)
        return {**fresh, "params": {**taken["params"], **extra}}, words

    def _multiplier(
        self, variables: Variables, violation: jax.Array, known: jax.Array
    ) -> tuple[jax.Array, Mapping[str, Mapping[str, jax.Array]] | None]:
        """The multiplier, and its next value where it is no parameter."""
        constraint = self.config.constraint
        if constraint.multiplier == "shared":
            return variables["params"]["multiplier"]["value"], None
        value = variables["multiplier"]["value"]
        mean = jax.lax.stop_gradient(jnp.sum(violation * known) / jnp.maximum(jnp.sum(known), 1))
        new = losses.ascended(value, mean - constraint.tolerance, constraint.rate)
        return value, {"multiplier": {"value": new}}


def _misfit(flow: jax.Array, masks: jax.Array, valid: jax.Array) -> jax.Array:
    """The misfit `[B]` of the motion models of all masks (eq. 6.11, 6.12)."""
    weights = losses.frame_weights(flow, valid=valid)
    theta = fit(flow, masks, _FILL, valid=valid, frame_weights=weights).theta
    parametric = parametric_flow(_FILL, theta, masks.shape[1:4])
    return losses.reconstruction(flow, masks, parametric, valid=valid, weights=weights)
