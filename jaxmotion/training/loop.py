"""The loop: steps, validation, checkpoints, log. It knows tasks, not methods."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jaxmotion.errors import INTERRUPTED
from jaxmotion.models.trained import Trained
from jaxmotion.networks.warm_start import match_params
from jaxmotion.options import to_json
from jaxmotion.tasks.task import Batch, Task
from jaxmotion.training.checkpoints import Checkpoints
from jaxmotion.training.config import Config
from jaxmotion.training.distributed import AgreedEndError, anywhere, is_main, on_host
from jaxmotion.training.metrics import MetricsLog, SilentLog
from jaxmotion.training.program import HostBatch, Program, build_program
from jaxmotion.training.step import TrainState

PICTURED_CLIPS = 6


class ClipIterator(Protocol):
    """An endless stream of batches whose position can be stored and set."""

    def __next__(self) -> HostBatch: ...

    def get_state(self) -> dict[str, Any]: ...  # noqa: D102

    def set_state(self, state: dict[str, Any]) -> None: ...  # noqa: D102


class NonFiniteLossError(AgreedEndError):
    """The loss or its gradient became NaN or infinite; the checkpoints before it are kept."""

    exit_status = 1


class InterruptedTrainingError(AgreedEndError):
    """SIGINT or SIGTERM came to one process; all have stored the state of the same step."""

    exit_status = INTERRUPTED


@dataclass(frozen=True)
class Result:
    """What a finished run reports.

    Attributes:
        step: steps done.
        validation_loss: the lowest one, that of the kept parameters.
    """

    step: int
    validation_loss: float


def train(
    config: Config,
    task: Task,
    clips: ClipIterator,
    validation: list[HostBatch],
    workdir: Path,
    trained: Trained | None = None,
) -> Result:
    """Trains to ``config.steps``, from the newest checkpoint in ``workdir`` where there is one.

    A checkpoint holds the state and the data position behind the batch of its last step, and the
    randomness of a step follows from its number, so an interrupted run repeats no batch, skips
    none, and ends where an uninterrupted one would.

    Args:
        config: the experiment.
        task: network and loss.
        clips: training batches; of each, the clips that this process loads.
        validation: held-out batches, all of the training batches' shape.
        workdir: the run's folder, the same for all processes.
        trained: what a run without a checkpoint starts from; fresh parameters if not given.

    Raises:
        NonFiniteLossError: on a loss or gradient that is not finite.
        InterruptedTrainingError: on SIGINT or SIGTERM.
    """
    checkpoints = Checkpoints(workdir, to_json(config))
    program = build_program(config, task, validation[0])
    held_out = [program.put(batch) for batch in validation]
    pictured = _pictured(validation)
    state = _first_state(program, checkpoints, clips, trained)
    step = int(state.step)
    log = MetricsLog(workdir, step) if is_main() else SilentLog()
    progress = tqdm(
        total=config.steps, initial=step, unit="step", dynamic_ncols=True, disable=not is_main()
    )

    def due(every: int) -> bool:
        return every > 0 and (step % every == 0 or step == config.steps)

    try:
        with stop_signal() as stop, progress:
            while step < config.steps:
                batch = program.put(next(clips))
                stopping = anywhere(stop.is_set)
                state, metrics = program.train_step(state, batch)
                step += 1
                if due(config.log_every):
                    values = {name: float(value) for name, value in metrics.items()}
                    log.write(step, values)
                    progress.set_postfix(loss=f"{values['loss']:.4f}", refresh=False)
                else:
                    # One step in flight: the bar stays honest, batches do not pile up.
                    jax.block_until_ready(metrics["loss"])
                progress.update()
                pause = due(config.checkpoint_every) or stopping
                if (pause or due(config.log_every)) and not bool(state.finite):
                    raise NonFiniteLossError(_not_finite(step, checkpoints.newest_step))
                if due(config.validate_every):
                    loss = program.validation_loss(state, held_out)
                    log.write(step, {"validation_loss": loss})
                    if loss < checkpoints.best_loss:
                        checkpoints.save_best(step, state.best_guess, loss)
                if pause:
                    checkpoints.save(state, clips.get_state())
                if due(config.picture_every):
                    params = on_host(state.best_guess)
                    if is_main():
                        log.picture(step, task.picture(params, pictured))
                if stopping and step < config.steps:
                    raise InterruptedTrainingError(
                        f"interrupted; step {step} is stored, the same command continues from it"
                    )
        checkpoints.wait()
        return Result(step, checkpoints.best_loss)
    finally:
        # What the disk refused has been raised by now; closing must not hide it.
        for closing in (log.close, checkpoints.close):
            with suppress(OSError, ValueError):
                closing()


def _pictured(validation: list[HostBatch]) -> Batch:
    """The first clip of batches from all over the held-out ones, as one batch."""
    shown = validation[:: -(-len(validation) // PICTURED_CLIPS)]
    return {name: jnp.asarray(np.stack([batch[name][0] for batch in shown])) for name in shown[0]}


def _first_state(
    program: Program, checkpoints: Checkpoints, clips: ClipIterator, trained: Trained | None
) -> TrainState:
    """The newest stored state, with ``clips`` where it left them; or step 0, from ``trained``."""
    state = program.fresh_state()
    restored = checkpoints.restore(state)
    if restored is not None:
        state, position = restored
        clips.set_state(position)
        _say(f"continuing from step {int(state.step)}")
    elif trained is not None:
        matched = match_params(state.params, trained.params).words
        state = program.started(state, jax.device_get(trained.params))
        _say(f"starting from the parameters of step {trained.step}; {matched}")
    return state


def _say(line: str) -> None:
    if is_main():
        print(line, file=sys.stderr)


def _not_finite(step: int, newest: int | None) -> str:
    kept = "no checkpoint was written before" if newest is None else f"checkpoint {newest} is kept"
    return (
        f"the loss or its gradient is not finite at step {step} ({kept}); "
        "a lower --optimizer.learning_rate or --optimizer.clip_norm may help"
    )


@dataclass
class Stop:
    """Whether a signal asked the run to end."""

    is_set: bool = False


@contextmanager
def stop_signal() -> Iterator[Stop]:
    """Turns the first SIGINT or SIGTERM into a flag; a second one acts at once, as ever."""
    stop = Stop()
    earlier = {}

    def ask(number: int, frame: object) -> None:
        stop.is_set = True
        for signal_number, handler in earlier.items():
            signal.signal(signal_number, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        earlier[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
