"""The state of a run and the two compiled functions that a run consists of."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from jaxmotion.tasks.task import Batch, Params, Task

Metrics = dict[str, jax.Array]


@flax.struct.dataclass
class TrainState:
    """All that changes from step to step.

    Attributes:
        step: int32, training steps done.
        params: the parameters.
        average: their exponential moving average, or None.
        optimizer: state of the optimiser.
        finite: False once a loss or gradient was not finite, and from then on.
    """

    step: jax.Array
    params: Params
    average: Params | None
    optimizer: Any
    finite: jax.Array

    @property
    def best_guess(self) -> Params:
        """The parameters to validate and keep: the average where there is one."""
        return self.params if self.average is None else self.average


def init_state(
    task: Task,
    optimizer: optax.GradientTransformation,
    batch: Batch,
    seed: int,
    *,
    averaged: bool,
) -> TrainState:
    """A fresh state; run it under jit with the shardings wanted."""
    params = task.init(jax.random.key(seed), batch)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        average=jax.tree.map(jnp.copy, params) if averaged else None,
        optimizer=optimizer.init(params),
        finite=jnp.ones((), bool),
    )


def make_train_step(
    task: Task,
    optimizer: optax.GradientTransformation,
    rate: optax.Schedule,
    seed: int,
    ema_decay: float,
    accumulate: int = 1,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """One step of training: the mean loss over the clips of a batch, its gradient, the update.

    With ``accumulate``, the gradient is the mean of those of as many parts of the batch, one after
    the other, each augmented with a key of its own.
    """

    def loss_and_gradient(
        params: Params, batch: Batch, step: jax.Array, key: jax.Array
    ) -> tuple[tuple[jax.Array, Metrics], Params]:
        def mean_loss(params: Params) -> tuple[jax.Array, Metrics]:
            loss, parts = task.loss(params, batch, step, key)
            return jnp.mean(loss), parts

        return jax.value_and_grad(mean_loss, has_aux=True)(params)

    def accumulated(
        params: Params, batch: Batch, step: jax.Array, key: jax.Array
    ) -> tuple[tuple[jax.Array, Metrics], Params]:
        # Part n takes the clips n, n + accumulate, …: some of every device, none of them moves.
        parts = {
            name: array.reshape(-1, accumulate, *array.shape[1:]).swapaxes(0, 1)
            for name, array in batch.items()
        }

        def of_part(n: jax.Array):
            part = {name: array[n] for name, array in parts.items()}
            return loss_and_gradient(params, part, step, jax.random.fold_in(key, n))

        def add(total, n):
            return jax.tree.map(jnp.add, total, of_part(n)), None

        zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(of_part, step))
        total, _ = jax.lax.scan(add, zero, jnp.arange(accumulate))
        return jax.tree.map(lambda x: x / accumulate, total)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        # The key is a function of the step alone, so a resumed run draws the same augmentations.
        step = state.step
        key = jax.random.fold_in(jax.random.key(seed), step)
        compute = loss_and_gradient if accumulate == 1 else accumulated
        (loss, parts), gradient = compute(state.params, batch, step, key)
        norm = optax.tree.norm(gradient)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if average is not None:
            # A short memory at the start: the initial parameters are no average of anything.
            decay = jnp.minimum(ema_decay, (1 + step) / (10 + step))
            average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)
        state = TrainState(
            step=step + 1,
            params=params,
            average=average,
            optimizer=optimizer_state,
            finite=state.finite & jnp.isfinite(loss) & jnp.isfinite(norm),
        )
        metrics = {"loss": loss, "gradient_norm": norm, "learning_rate": rate(step), **parts}
        return state, metrics

    return train_step


def make_validation_step(task: Task) -> Callable[[Params, Batch, jax.Array], Metrics]:
    """The loss of a batch without augmentation, as a sum over real clips and their count.

    A clip that is padding (``valid`` all 0) counts in neither.
    """

    def validation_step(params: Params, batch: Batch, step: jax.Array) -> Metrics:
        loss, _ = task.loss(params, batch, step, None)
        real = jnp.any(batch["valid"] > 0, axis=tuple(range(1, batch["valid"].ndim)))
        return {"loss": jnp.sum(jnp.where(real, loss, 0)), "clips": jnp.sum(real)}

    return validation_step
