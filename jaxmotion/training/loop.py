"""The loop: steps, validation, checkpoints, log. It knows tasks, not methods."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
from tqdm import tqdm

from jaxmotion.data.held_out import HeldOut
from jaxmotion.options import to_json
from jaxmotion.tasks.task import Task, Variables
from jaxmotion.training.checkpoints import Checkpoints
from jaxmotion.training.config import Config, chosen_steps
from jaxmotion.training.distributed import gather, is_main
from jaxmotion.training.flights import Flights
from jaxmotion.training.metrics import MetricsLog, SilentLog
from jaxmotion.training.operations import step_operations
from jaxmotion.training.profiling import Profile
from jaxmotion.training.program import RunProgram, build_program
from jaxmotion.training.run import ClipIterator, Evaluate, Run
from jaxmotion.training.step import TrainState
from jaxmotion.training.stopping import stop_signal
from jaxmotion.training.watch import Watch


class Start(NamedTuple):
    """A trained network that a run starts from.

    Attributes:
        variables: variables of the trained network, by collection.
        words: one line that says where they are from and what is taken of them.
    """

    variables: Variables
    words: str


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

    The devices are given a step while they compute the one before; its batch is read and on its way
    by then. What a step gave is fetched when it is logged.

    Args:
        config: configuration of the experiment.
        task: the network and its loss.
        clips: training batches; of each, the clips that this process loads.
        validation: held-out batches, all of the training batches' shape, gone through at each
            validation.
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
    state = _first_state(program, checkpoints, clips, start)
    step = int(state.step)
    log = MetricsLog(workdir, step) if is_main() else SilentLog()
    operations = step_operations(config, task, program) if is_main() else None
    watch = Watch(config.batch_size, config.data.clip_length, operations, workdir, step)
    traced = chosen_steps(config.profile_steps if is_main() else "")
    profile = Profile(traced, log.board)
    flights = Flights()
    progress = tqdm(
        total=config.steps, initial=step, unit="step", dynamic_ncols=True, disable=not is_main()
    )
    run = Run(
        config=config,
        task=task,
        clips=clips,
        validation=validation,
        evaluate=evaluate,
        program=program,
        checkpoints=checkpoints,
        log=log,
        watch=watch,
        profile=profile,
        flights=flights,
        progress=progress,
    )
    gather(0)  # the first step would not wait long for a process that is still compiling
    try:
        with stop_signal() as stop, progress:
            run.take_steps(state, stop)
        checkpoints.wait()
        return Result(max(step, config.steps), checkpoints.best.loss, checkpoints.best.cost)
    finally:
        flights.close()
        profile.stop()
        # What the disk refused has been raised by now; closing must not hide it.
        for closing in (log.close, checkpoints.close):
            with suppress(OSError, ValueError):
                closing()


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
