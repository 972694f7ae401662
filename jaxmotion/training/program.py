"""The compiled programs of a run, built once; no step compiles again."""

import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxmotion.data.held_out import HeldOut
from jaxmotion.data.loader import HostBatch
from jaxmotion.errors import InputError
from jaxmotion.tasks.task import Batch, Task, Variables
from jaxmotion.training.compilation_cache import quick_compilation
from jaxmotion.training.config import Config
from jaxmotion.training.distributed import is_main
from jaxmotion.training.shardings import (
    batch_shardings,
    make_mesh,
    process_share,
    put_batch,
    replicated,
    state_shardings,
)
from jaxmotion.training.step import (
    IN_FLIGHT,
    Metrics,
    Sums,
    TrainState,
    init_state,
    make_train_step,
    make_validation_step,
)


@dataclass(frozen=True)
class RunProgram:
    """The compiled functions of a run.

    Attributes:
        put: brings a batch from the host to the devices that hold its parts.
        put_held_out: brings a batch to validate on to the devices, with which clips are real.
        fresh_state: makes the state of step 0, with the shardings of all later ones.
        started: puts what `Task.transfer` takes of a trained network into a fresh state.
        train_step: maps a state, whose memory it takes over, and a batch to the next state and
            metrics.
        validation_step: maps a state, a batch and which clips are real to sums and counts.
        functions: the functions before they were compiled.
    """

    put: Callable[[HostBatch], Batch]
    put_held_out: Callable[[HeldOut], tuple[Batch, jax.Array]]
    fresh_state: Callable[[], TrainState]
    started: Callable[[TrainState, Variables], TrainState]
    train_step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    validation_step: Callable[[TrainState, Batch, jax.Array], Sums]
    functions: "RunFunctions"

    def validate(self, state: TrainState, held_out: Iterable[HeldOut]) -> dict[str, float]:
        """Computes the mean loss and the metrics over all held-out clips.

        The batches go to the devices as they come, and are kept no longer than they are needed.

        Args:
            state: the state whose best guess of the variables is validated.
            held_out: batches to validate on, in order.

        Returns:
            Means by name, ``loss`` among them.
        """
        found: list[Sums] = []
        for one in held_out:
            found.append(self.validation_step(state, *self.put_held_out(one)))
            if len(found) >= IN_FLIGHT:
                jax.block_until_ready(found[-IN_FLIGHT])
        totals = {
            name: [sum(float(sums[name][part]) for sums in found) for part in (0, 1)]
            for name in found[0]
        }
        return {name: total / (count or 1.0) for name, (total, count) in totals.items()}


@dataclass(frozen=True)
class RunFunctions:
    """The functions of a run with their shardings, not compiled yet.

    Attributes:
        mesh: the devices; the functions must be traced under it (`under_mesh`).
        batch: shapes and shardings of a batch.
        real: shape and sharding of the array that says which clips are real, `[B]`.
        state: shapes and shardings of the state.
        init: maps a batch to a fresh state.
        start: puts what `Task.transfer` takes of a trained network into a fresh state.
        train_step: maps a state and a batch to the next state and metrics.
        validation_step: maps a state, a batch and which clips are real to sums and counts.
    """

    mesh: Mesh
    batch: Batch
    real: Any
    state: TrainState
    init: Any
    start: Any
    train_step: Any
    validation_step: Any

    def lower_train_step(self) -> jax.stages.Lowered:
        """The training step, ready to be compiled."""
        with under_mesh(self.mesh):
            return self.train_step.lower(self.state, self.batch)


def jit_functions(
    config: Config, task: Task, mesh: Mesh, shapes: Mapping[str, Any]
) -> RunFunctions:
    """Makes the functions of a run with their shardings, without compiling them.

    Args:
        config: configuration of the experiment.
        task: the network and its loss.
        mesh: the devices, from `make_mesh`.
        shapes: a batch over all processes, or its shapes by field; frames are padded as `put_batch`
            does.

    Raises:
        InputError: on a number of parts that does not divide the batch, a group without a
            parameter, or a task that needs an average where there is none.
    """
    check_parts(config, mesh)
    if task.needs_average and not config.optimizer.ema_decay:
        raise InputError("--optimizer.ema_decay 0: this task needs an average of the parameters")
    everywhere, split = replicated(mesh), batch_shardings(mesh, task.spec)
    of_clips = batch_shardings(mesh, {"real": "B"})["real"]

    def init(batch: Batch) -> TrainState:
        return init_state(task, config.optimizer, batch, config.seed)

    def start(state: TrainState, trained: Variables) -> TrainState:
        fresh = {"params": state.params, **state.collections}
        variables = dict(task.transfer(fresh, trained)[0])
        params = variables.pop("params")
        average = None if state.average is None else jax.tree.map(jnp.copy, params)
        return dataclasses.replace(state, params=params, average=average, collections=variables)

    batch: Any = {
        name: jax.ShapeDtypeStruct(shapes[name].shape, shapes[name].dtype, sharding=sharding)
        for name, sharding in split.items()
    }
    clips = next(iter(batch.values())).shape[0]
    state = jax.eval_shape(init, batch)
    of_state = state_shardings(mesh, state, fsdp=config.mesh.fsdp)
    state = jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        state,
        of_state,
    )
    return RunFunctions(
        mesh=mesh,
        batch=batch,
        real=jax.ShapeDtypeStruct((clips,), np.float32, sharding=of_clips),
        state=state,
        init=jax.jit(
            init,
            out_shardings=of_state,
            compiler_options=quick_compilation(mesh.devices.flat[0].platform),
        ),
        start=jax.jit(start, out_shardings=of_state),
        train_step=jax.jit(
            make_train_step(task, config.optimizer, config.steps, config.seed, config.accumulate),
            in_shardings=(of_state, split),
            out_shardings=(of_state, everywhere),
            donate_argnums=0,
        ),
        validation_step=jax.jit(
            make_validation_step(task),
            in_shardings=(of_state, split, of_clips),
            out_shardings=everywhere,
        ),
    )


def check_parts(config: Config, mesh: Mesh) -> None:
    """Checks that the batch divides evenly into its parts and over the devices.

    Args:
        config: the experiment, with the batch size and the number of accumulated parts.
        mesh: the devices, from `make_mesh`.

    Raises:
        InputError: where it does not.
    """
    if config.batch_size % (config.accumulate * mesh.shape["data"]):
        raise InputError(
            f"--batch_size {config.batch_size} --accumulate {config.accumulate}: expected parts "
            f"that divide evenly over the {mesh.shape['data']} devices along data"
        )


def build_program(config: Config, task: Task, example: HostBatch) -> RunProgram:
    """Compiles the functions of a run, and says how long that took.

    Args:
        config: configuration of the experiment.
        task: the network and its loss.
        example: clips of this process with the shapes of every batch to come.

    Raises:
        InputError: as `make_mesh`, `put_batch` and `jit_functions`.
    """
    mesh = make_mesh(config.mesh, config.batch_size)
    share = process_share(mesh, 0)
    put = partial(put_batch, mesh, task.spec, share=share)
    batch = put(example)
    functions = jit_functions(config, task, mesh, batch)
    state = functions.state

    def put_held_out(held_out: HeldOut) -> tuple[Batch, jax.Array]:
        real = held_out.real.astype(np.float32)
        flags = put_batch(mesh, {"real": "B"}, {"real": real}, share=share)
        return put(held_out.batch), flags["real"]

    with under_mesh(mesh):
        init = compile_ahead("initial state", functions.init, batch)
        return RunProgram(
            put=put,
            put_held_out=put_held_out,
            fresh_state=partial(init, batch),
            started=functions.start,
            train_step=compile_ahead("training step", functions.train_step, state, batch),
            validation_step=compile_ahead(
                "validation step", functions.validation_step, state, batch, functions.real
            ),
            functions=functions,
        )


def under_mesh(mesh: Mesh) -> Any:
    """The context that tells what is traced in it about the devices (`motion.sharding`)."""
    return jax.set_mesh(mesh)


def compile_ahead(name: str, function: Any, *args: Any) -> jax.stages.Compiled:
    """Compiles a jitted function ahead; the main process says how long it took.

    A program compiled ahead cannot compile again: another shape raises instead of stalling a step.

    Args:
        name: name of the function in the message.
        function: the jitted function.
        *args: arguments, or their shapes and shardings, to compile it for.
    """
    start = time.perf_counter()
    if is_main():
        print(f"compiling the {name} …", end=" ", file=sys.stderr, flush=True)
    compiled = function.lower(*args).compile()
    if is_main():
        print(f"{time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
    return compiled
