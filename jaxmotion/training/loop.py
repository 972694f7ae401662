"""The loop: steps, validation, checkpoints, log. It knows tasks, not methods."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jaxmotion.data.loader import HostBatch
from jaxmotion.errors import INTERRUPTED
from jaxmotion.options import to_json
from jaxmotion.tasks.task import Batch, Criterion, Task, Variables
from jaxmotion.training.checkpoints import Checkpoints
from jaxmotion.training.config import Config
from jaxmotion.training.distributed import AgreedEndError, anywhere, is_main, on_host
from jaxmotion.training.metrics import MetricsLog, SilentLog
from jaxmotion.training.program import HeldOut, RunProgram, build_program
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


class Start(NamedTuple):
    """A trained network that a run starts from.

    Attributes:
        variables: variables of the trained network, by collection.
        words: one line that says where they are from and what is taken of them.
    """

    variables: Variables
    words: str


Evaluate = Callable[[Variables], dict[str, float]]
"""From variables, whole on this process, to scores by name."""


@dataclass(frozen=True)
class Result:
    """The report of a finished run.

    Attributes:
        step: number of training steps done.
        validation_loss: validation loss of the kept parameters.
        criterion: value that they were chosen by, the lower the better; the loss unless the task
            says otherwise.
    """

    step: int
    validation_loss: float
    criterion: float


def train(
    config: Config,
    task: Task,
    clips: ClipIterator,
    validation: Sequence[HeldOut],
    workdir: Path,
    start: Start | None = None,
    evaluate: Evaluate | None = None,
) -> Result:
    """Trains to ``config.steps``, from the newest checkpoint in ``workdir`` where there is one.

    A checkpoint holds the state and the data position behind the batch of its last step. The
    randomness of a step follows from its number. So an interrupted run repeats no batch, skips
    none, and ends where an uninterrupted one would.

    Args:
        config: configuration of the experiment.
        task: the network and its loss.
        clips: training batches; of each, the clips that this process loads.
        validation: held-out batches, all of the training batches' shape.
        workdir: the run's folder, the same for all processes.
        start: trained network that a run without a checkpoint starts from; None for fresh
            variables.
        evaluate: function that scores the network every ``config.evals.every`` steps before the
            last; the main process calls it.

    Raises:
        NonFiniteLossError: on a loss or gradient that is not finite.
        InterruptedTrainingError: on SIGINT or SIGTERM.
    """
    checkpoints = Checkpoints(workdir, to_json(config))
    program = build_program(config, task, validation[0].batch)
    held_out = [program.put_held_out(batch) for batch in validation]
    pictured = _pictured(validation, task)
    state = _first_state(program, checkpoints, clips, start)
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
                    values = program.validate(state, held_out)
                    log.write(step, {f"validation_{name}": v for name, v in values.items()})
                    cost = _cost(task.criterion, values)
                    if cost < checkpoints.best.cost:
                        kept = {name: values[name] for name in ("loss", task.criterion.metric)}
                        other = None if cost == kept["loss"] else cost
                        checkpoints.best.save(step, state.best_guess, kept, other)
                if pause:
                    checkpoints.save(state, clips.get_state())
                scoring = evaluate is not None and _between(step, config.evals.every, config.steps)
                if scoring or due(config.picture_every):
                    variables = on_host(state.best_guess)
                    if is_main() and due(config.picture_every):
                        log.picture(step, task.picture(variables, pictured))
                    if is_main() and scoring and evaluate and (scores := evaluate(variables)):
                        log.write(step, scores)
                if stopping and step < config.steps:
                    raise InterruptedTrainingError(
                        f"interrupted; step {step} is stored, the same command continues from it"
                    )
        checkpoints.wait()
        return Result(step, checkpoints.best.loss, checkpoints.best.cost)
    finally:
        # What the disk refused has been raised by now; closing must not hide it.
        for closing in (log.close, checkpoints.close):
            with suppress(OSError, ValueError):
                closing()


def _between(step: int, every: int, steps: int) -> bool:
    """Whether a step that is not the last is one of every so many; of every 0 none is."""
    return every > 0 and step % every == 0 and step < steps


def _cost(criterion: Criterion, values: dict[str, float]) -> float:
    """The cost of parameters, of which the least is kept; infinite where it is no number."""
    value = values[criterion.metric]
    value = -value if criterion.higher_is_better else value
    return value if np.isfinite(value) else float("inf")


def _pictured(validation: Sequence[HeldOut], task: Task) -> Batch:
    """The first clip of batches from all over the held-out ones, as one batch."""
    shown = [held_out.batch for held_out in validation[:: -(-len(validation) // PICTURED_CLIPS)]]
    return {name: jnp.asarray(np.stack([batch[name][0] for batch in shown])) for name in task.spec}


def _first_state(
    program: RunProgram, checkpoints: Checkpoints, clips: ClipIterator, start: Start | None
) -> TrainState:
    """The newest stored state, with ``clips`` where it left them; or step 0, from ``start``."""
    state = program.fresh_state()
    restored = checkpoints.restore(state)
    if restored is not None:
        state, position = restored
        clips.set_state(position)
        _say(f"continuing from step {int(state.step)}")
    elif start is not None:
        state = program.started(state, jax.device_get(start.variables))
        _say(f"starting from {start.words}")
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
