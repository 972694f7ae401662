"""The compiled programs of a run, built once; no step compiles again."""

import dataclasses
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxmotion.errors import InputError
from jaxmotion.networks.warm_start import warm_start
from jaxmotion.tasks.task import Batch, Params, Task
from jaxmotion.training.config import Config
from jaxmotion.training.distributed import is_main
from jaxmotion.training.optimizer import learning_rate, make_optimizer
from jaxmotion.training.shardings import (
    batch_sharding,
    make_mesh,
    put_batch,
    replicated,
    state_shardings,
)
from jaxmotion.training.step import (
    Metrics,
    TrainState,
    init_state,
    make_train_step,
    make_validation_step,
)

HostBatch = dict[str, np.ndarray]


@dataclass(frozen=True)
class Program:
    """What runs on the devices.

    Attributes:
        put: brings a batch from the host to the devices that want it.
        fresh_state: makes the state of step 0, laid out as all later ones.
        started: a fresh state with the parameters of a trained network in it (`warm_start`).
        train_step: state (consumed) and batch to the next state and metrics.
        validation_step: parameters, batch and step to the summed loss and the number of clips.
    """

    put: Callable[[HostBatch], Batch]
    fresh_state: Callable[[], TrainState]
    started: Callable[[TrainState, Params], TrainState]
    train_step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    validation_step: Callable[[Params, Batch, jax.Array], Metrics]

    def validation_loss(self, state: TrainState, batches: list[Batch]) -> float:
        """The mean loss over the clips of the held-out batches."""
        sums = [self.validation_step(state.best_guess, batch, state.step) for batch in batches]
        clips = sum(float(s["clips"]) for s in sums)
        return sum(float(s["loss"]) for s in sums) / max(clips, 1.0)


@dataclass(frozen=True)
class Jitted:
    """The functions of a run with their shardings, not compiled yet.

    Attributes:
        mesh: the devices; the functions must be traced under it (`under_mesh`).
        batch: shapes and shardings of a batch.
        state: of the state.
        init: from a batch to a fresh state.
        start: see `Program.started`.
        train_step: see `Program`.
        validation_step: see `Program`.
    """

    mesh: Mesh
    batch: Batch
    state: TrainState
    init: Any
    start: Any
    train_step: Any
    validation_step: Any

    def lower_train_step(self) -> jax.stages.Lowered:
        """The training step, ready to be compiled."""
        with under_mesh(self.mesh):
            return self.train_step.lower(self.state, self.batch)


def jit_program(config: Config, task: Task, mesh: Mesh, shapes: Mapping[str, Any]) -> Jitted:
    """The functions of a run.

    Args:
        config: the experiment.
        task: network and loss.
        mesh: the devices.
        shapes: a batch over all processes, or its shapes, frames padded as `put_batch` does.

    Raises:
        InputError: on a number of parts that does not divide the batch.
    """
    check_parts(config, mesh)
    everywhere, split = replicated(mesh), batch_sharding(mesh)
    optimizer = make_optimizer(config.optimizer, config.steps)
    rate = learning_rate(config.optimizer, config.steps)
    decay = config.optimizer.ema_decay

    def init(batch: Batch) -> TrainState:
        return init_state(task, optimizer, batch, config.seed, averaged=decay > 0)

    def start(state: TrainState, trained: Params) -> TrainState:
        params = warm_start(state.params, trained)
        average = None if state.average is None else jax.tree.map(jnp.copy, params)
        return dataclasses.replace(state, params=params, average=average)

    batch: Any = {
        name: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=split)
        for name, array in shapes.items()
    }
    state = jax.eval_shape(init, batch)
    of_state = state_shardings(mesh, state, fsdp=config.mesh.fsdp)
    state = jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        state,
        of_state,
    )
    return Jitted(
        mesh=mesh,
        batch=batch,
        state=state,
        init=jax.jit(init, out_shardings=of_state),
        start=jax.jit(start, out_shardings=of_state),
        train_step=jax.jit(
            make_train_step(task, optimizer, rate, config.seed, decay, config.accumulate),
            in_shardings=(of_state, split),
            out_shardings=(of_state, everywhere),
            donate_argnums=0,
        ),
        validation_step=jax.jit(
            make_validation_step(task),
            in_shardings=(of_state.params, split, everywhere),
            out_shardings=everywhere,
        ),
    )


def check_parts(config: Config, mesh: Mesh) -> None:
    """Raises InputError on a number of parts of a batch that does not divide it."""
    if config.batch_size % (config.accumulate * mesh.shape["data"]):
        raise InputError(
            f"--batch_size {config.batch_size} --accumulate {config.accumulate}: expected parts "
            f"that divide evenly over the {mesh.shape['data']} devices along data"
        )


def build_program(config: Config, task: Task, example: HostBatch) -> Program:
    """Compiles training for batches shaped like ``example``, and says how long it took."""
    mesh = make_mesh(config.mesh, config.batch_size)
    put = partial(put_batch, mesh)
    batch = put(example)
    jitted = jit_program(config, task, mesh, batch)
    state = jitted.state
    with under_mesh(mesh):
        init = compile_ahead("initial state", jitted.init, batch)
        return Program(
            put=put,
            fresh_state=partial(init, batch),
            started=jitted.start,
            train_step=compile_ahead("training step", jitted.train_step, state, batch),
            validation_step=compile_ahead(
                "validation step", jitted.validation_step, state.best_guess, batch, state.step
            ),
        )


def under_mesh(mesh: Mesh) -> Any:
    """The context that tells what is traced in it about the devices (`motion.mesh`)."""
    return jax.set_mesh(mesh)


def compile_ahead(name: str, function: Any, *args: Any) -> jax.stages.Compiled:
    """Compiles a jitted function for arguments like these; the main process says how long it took.

    A program compiled ahead cannot compile again: another shape raises instead of stalling a step.
    """
    start = time.perf_counter()
    if is_main():
        print(f"compiling the {name} …", end=" ", file=sys.stderr, flush=True)
    compiled = function.lower(*args).compile()
    if is_main():
        print(f"{time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
    return compiled
