"""The state of a run and the two compiled functions that a run consists of."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from jaxmotion.data.loader import WIRE
from jaxmotion.tasks.task import Batch, Output, Params, Task, Variables
from jaxmotion.training.config import OptimizerConfig
from jaxmotion.training.optimizer import hold_frozen, learning_rate, make_optimizer

IN_FLIGHT = 2
"""Largest number of steps that the devices are given before the first of them is done: one that
they compute, and one behind it, so that they never wait for the host to hear of the first."""

Metrics = dict[str, jax.Array]

Sums = Mapping[str, tuple[jax.Array, jax.Array]]
"""Sums and counts by name, over clips; ``loss`` among them."""

Found = tuple[Sums, Mapping[str, Any], Params]
"""Sums and counts over a batch, the collections after it, the gradient of its summed loss."""


@flax.struct.dataclass
class TrainState:
    """The state of a run: everything that changes from step to step.

    Attributes:
        step: int32, number of training steps done.
        params: the parameters, which the optimizer moves.
        average: exponential moving average of the parameters, or None.
        collections: variables that the task keeps beside the parameters, by name; not averaged.
        optimizer: state of the optimizer.
        finite: bool, whether every loss and gradient so far was finite.
    """

    step: jax.Array
    params: Params
    average: Params | None
    collections: Mapping[str, Any]
    optimizer: Any
    finite: jax.Array

    @property
    def best_guess(self) -> Variables:
        """The variables to validate and keep: the average of the parameters where there is one."""
        params = self.params if self.average is None else self.average
        return {"params": params, **self.collections}


def init_state(task: Task, config: OptimizerConfig, batch: Batch, seed: int) -> TrainState:
    """Makes a fresh state; run it under jit with the shardings wanted.

    Args:
        task: the network and its loss.
        config: configuration of the optimizer.
        batch: clips, of which only the shapes count.
        seed: seed of the fresh parameters.
    """
    variables = dict(task.init(jax.random.key(seed), widened(batch)))
    params = variables.pop("params")
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        average=jax.tree.map(jnp.copy, params) if config.ema_decay > 0 else None,
        collections=variables,
        # The number of steps shapes no state.
        optimizer=make_optimizer(config, 1).init(params),
        finite=jnp.ones((), bool),
    )


def make_train_step(
    task: Task, config: OptimizerConfig, steps: int, seed: int, accumulate: int = 1
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Makes one step of training: the mean loss over a batch, its gradient, the update.

    With ``accumulate``, the gradients of that many parts of the batch are computed one after the
    other, each part augmented with a key of its own. The mean is over the whole batch. The state of
    the task passes from each part to the next, and the one after the last part is kept.

    Args:
        task: the network and its loss.
        config: configuration of the optimizer.
        steps: number of training steps in all, on which the learning rate depends.
        seed: seed of the randomness of every step.
        accumulate: number of parts of a batch; 1 takes the batch as a whole.

    Returns:
        A function from a state and a batch to the next state and the metrics. Among these is
        ``finite``, as the next state has it, which the step after that takes over.
    """
    optimizer, rate = make_optimizer(config, steps), learning_rate(config, steps)
    of_batch = partial(_sums_and_gradient, task, config)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        # The key is a function of the step alone, so a resumed run draws the same augmentations.
        step, batch = state.step, widened(batch)
        key = jax.random.fold_in(jax.random.key(seed), step)
        if accumulate == 1:
            sums, collections, gradient = of_batch(state, state.collections, batch, key)
        else:
            sums, collections, gradient = _accumulated(of_batch, accumulate, state, batch, key)
        count = _or_one(sums["loss"][1])
        gradient = jax.tree.map(lambda leaf: leaf / count, gradient)
        norm = optax.tree.norm(gradient)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if average is not None:
            # A short memory at the start: the initial parameters are no average of anything.
            decay = jnp.minimum(config.ema_decay, (1 + step) / (10 + step))
            # In this form what does not move stays as it is, to the last bit.
            average = jax.tree.map(lambda a, p: a + (1 - decay) * (p - a), average, params)
        means = {name: total / _or_one(count) for name, (total, count) in sums.items()}
        finite = state.finite & jnp.isfinite(means["loss"]) & jnp.isfinite(norm)
        state = TrainState(
            step=step + 1,
            params=params,
            average=average,
            collections=collections,
            optimizer=optimizer_state,
            finite=finite,
        )
        seen = {"gradient_norm": norm, "learning_rate": jnp.asarray(rate(step)), "finite": finite}
        return state, {**means, **seen}

    return train_step


def _sums_and_gradient(
    task: Task,
    config: OptimizerConfig,
    state: TrainState,
    collections: Mapping[str, Any],
    batch: Batch,
    key: jax.Array,
) -> Found:
    """The loss of a batch or a part of it, with the collections as the part before left them."""

    def total_loss(params: Params) -> tuple[jax.Array, tuple[Sums, Mapping[str, Any]]]:
        variables = _variables(task, hold_frozen(config, params), state.average, collections)
        output = task.loss(variables, batch, step=state.step, key=key)
        sums = sum_output(output)
        return sums["loss"][0], (sums, {**collections, **(output.state or {})})

    (_, (sums, new)), gradient = jax.value_and_grad(total_loss, has_aux=True)(state.params)
    return sums, new, gradient


def _accumulated(
    of_batch: Callable[..., Found], count: int, state: TrainState, batch: Batch, key: jax.Array
) -> Found:
    """The same of a batch in so many parts, one after the other."""
    # Part n takes the clips n, n + count, …: some of every device, none of them moves.
    parts = {
        name: array.reshape(-1, count, *array.shape[1:]).swapaxes(0, 1)
        for name, array in batch.items()
    }

    def of_part(collections: Mapping[str, Any], n: jax.Array) -> Found:
        part = {name: array[n] for name, array in parts.items()}
        return of_batch(state, collections, part, jax.random.fold_in(key, n))

    def add(carry, n):
        collections, total = carry
        sums, collections, gradient = of_part(collections, n)
        return (collections, jax.tree.map(jnp.add, total, (sums, gradient))), None

    sums, _, gradient = jax.eval_shape(of_part, state.collections, state.step)
    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (sums, gradient))
    (collections, (sums, gradient)), _ = jax.lax.scan(
        add, (state.collections, zero), jnp.arange(count)
    )
    return sums, collections, gradient


def make_validation_step(
    task: Task,
) -> Callable[[TrainState, Batch, jax.Array], Sums]:
    """Makes the function that validates a batch: loss and metrics without augmentation.

    Args:
        task: the network and its loss.

    Returns:
        A function from a state, a batch, and an array `[B]` to sums and counts. The array is 1 for
        a clip that counts and 0 for one that only fills the batch up.
    """

    def validation_step(state: TrainState, batch: Batch, real: jax.Array) -> Sums:
        guess = dict(state.best_guess)
        variables = _variables(task, guess.pop("params"), state.average, guess)
        output = task.loss(variables, widened(batch), step=state.step, key=None)
        return sum_output(output, real)

    return validation_step


def widened(batch: Batch) -> Batch:
    """A batch in float32, as tasks take it, of one that came to the devices in half the bytes.

    Args:
        batch: the clips, by field; flow may be float16 and ``valid`` bool (`data.loader.narrowed`).
    """
    return {
        name: array.astype(jnp.float32) if name in WIRE else array for name, array in batch.items()
    }


def sum_output(output: Output, real: jax.Array | None = None) -> Sums:
    """Adds up the loss and the metrics of a task over the clips of a batch.

    Args:
        output: loss and metrics of each clip, from `Task.loss`.
        real: `[B]`, 1 for clips that count and 0 for those that do not; None for all.
    """
    loss = output.loss
    real = jnp.ones_like(loss) if real is None else real.astype(loss.dtype)
    weight = real if output.weight is None else real * output.weight

    def total(values: Any) -> jax.Array:
        # A clip that does not count may hold anything, NaN too.
        return jnp.sum(jnp.where(real > 0, jnp.broadcast_to(values, loss.shape), 0))

    sums = {name: (total(s), total(c)) for name, (s, c) in (output.metrics or {}).items()}
    weighted = jnp.where(weight > 0, weight * loss, 0)
    return {"loss": (jnp.sum(weighted), jnp.sum(weight)), **sums}


def _variables(
    task: Task, params: Params, average: Params | None, collections: Mapping[str, Any]
) -> Variables:
    variables = {"params": params, **collections}
    return variables | {"average": average} if task.needs_average else variables


def _or_one(count: jax.Array) -> jax.Array:
    return jnp.where(count > 0, count, 1)
