"""How many operations a training step takes, by the compiler's own count."""

from collections.abc import Mapping
from typing import Any

import jax

from jaxmotion.tasks.task import Task
from jaxmotion.training.config import Config, MeshConfig
from jaxmotion.training.program import RunProgram, jit_functions
from jaxmotion.training.shardings import make_mesh


def step_operations(config: Config, task: Task, program: RunProgram) -> float | None:
    """Operations of a training step on one device; None where there is no count.

    XLA counts the body of a loop once, so this is no more than the step takes. The loop over the
    parts of a batch is made up for.

    Args:
        config: configuration of the experiment.
        task: the network and its loss.
        program: the compiled functions of the run.
    """
    if jax.default_backend() == "gpu":
        count = _before_compilation(config, task, program)
    else:
        assert isinstance(program.train_step, jax.stages.Compiled)
        count = _flops(program.train_step.cost_analysis())
    return None if count is None else count * config.accumulate


def _before_compilation(config: Config, task: Task, program: RunProgram) -> float | None:
    """The same of the step before it is compiled, of all devices together, as if for a CPU.

    In what is compiled for a GPU, convolutions and products are calls of libraries, which XLA does
    not count; and before, it counts nothing for devices that come as a plugin.
    """
    try:
        host = jax.local_devices(backend="cpu")[:1]
    except RuntimeError:  # JAX was told to leave the CPU alone
        return None
    mesh = make_mesh(MeshConfig(), config.batch_size, host)
    functions = jit_functions(config, task, mesh, program.functions.batch)
    count = _flops(functions.lower_train_step().cost_analysis())
    return None if count is None else count / jax.device_count()


def _flops(analysis: Any) -> float | None:
    return analysis.get("flops") if isinstance(analysis, Mapping) else None
