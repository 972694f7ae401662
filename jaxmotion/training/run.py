"""The steps of a run, and what is done between them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jaxmotion.data.held_out import HeldOut
from jaxmotion.data.loader import HostBatch
from jaxmotion.tasks.task import Batch, Criterion, Task, Variables
from jaxmotion.training.checkpoints import Checkpoints
from jaxmotion.training.config import Config
from jaxmotion.training.distributed import is_main, on_host
from jaxmotion.training.flights import Flights
from jaxmotion.training.metrics import MetricsLog, SilentLog
from jaxmotion.training.profiling import Profile
from jaxmotion.training.program import RunProgram
from jaxmotion.training.step import IN_FLIGHT, TrainState, widened
from jaxmotion.training.stopping import InterruptedTrainingError, NonFiniteLossError
from jaxmotion.training.watch import Watch

PICTURED_CLIPS = 6


class ClipIterator(Protocol):
    """An endless stream of batches whose position can be stored and set."""

    def __next__(self) -> HostBatch: ...

    def get_state(self) -> dict[str, Any]: ...  # noqa: D102

    def set_state(self, state: dict[str, Any]) -> None: ...  # noqa: D102


Evaluate = Callable[[Variables], dict[str, float]]
"""From variables, whole on this process, to scores by name."""


@dataclass
class Run:
    """What the steps of a run have to do with, beside its state."""

    config: Config
    task: Task
    clips: ClipIterator
    validation: Sequence[HeldOut]
    evaluate: Evaluate | None
    program: RunProgram
    checkpoints: Checkpoints
    log: MetricsLog | SilentLog
    watch: Watch
    profile: Profile
    flights: Flights
    progress: tqdm
    unchecked: list[tuple[int, jax.Array]] = field(default_factory=list)
    """The steps of which it is not known yet whether all was finite."""

    def take_steps(self, state: TrainState, stop: Callable[[], bool]) -> None:
        """Takes the steps that are left, or those until a signal."""
        step = int(state.step)
        self.flights.resume()
        while step < self.config.steps:
            if self.profile.begins(step + 1):
                self.land(0)
                self.profile.start()
            asked = time.perf_counter()
            batch = self.program.put(next(self.clips))
            got = time.perf_counter()
            stopping = stop()
            self.land(IN_FLIGHT - 1)
            step += 1
            started = time.perf_counter()
            with jax.profiler.StepTraceAnnotation("train", step_num=step):
                state, metrics = self.program.train_step(state, batch)
            self.flights.add(step, metrics, asked, got, started)
            if stopping or self.has_pause(step):
                # The next batch is taken after all of this: a checkpoint has the position before.
                self.land(0)
                self.pause(step, state, stopping)
                self.flights.resume()

    def due(self, every: int, step: int) -> bool:
        """Whether what is done every so many steps, and at the end, is done at this one."""
        return every > 0 and (step % every == 0 or step == self.config.steps)

    def scores(self, step: int) -> bool:
        """Whether the network is scored at this step, which is not the last."""
        every = self.config.evals.every
        scored = every > 0 and step % every == 0 and step < self.config.steps
        return scored and self.evaluate is not None

    def has_pause(self, step: int) -> bool:
        """Whether more is done at this step than to log it."""
        config = self.config
        often = (config.checkpoint_every, config.validate_every, config.picture_every)
        due = any(self.due(every, step) for every in often)
        return due or self.scores(step) or self.profile.ends(step)

    def land(self, most: int) -> None:
        """Waits until at most so many steps are in flight, and logs those that are done."""
        for landed in self.flights.land(most):
            self.progress.update()
            self.watch.add(landed)
            self.unchecked.append((landed.step, landed.metrics.pop("finite")))
            if self.due(self.config.log_every, landed.step):
                fetched = jax.device_get(landed.metrics)
                values = {name: float(value) for name, value in fetched.items()}
                watched = self.watch.take()
                self.log.write(landed.step, values | watched)
                self.progress.set_postfix(shown(values["loss"], watched), refresh=False)
                self.check()

    def check(self) -> None:
        """Fetches what says whether all was finite.

        Raises:
            NonFiniteLossError: it names the first step at which something was not.
        """
        steps, flags = zip(*self.unchecked, strict=True) if self.unchecked else ((), ())
        self.unchecked = []
        for step, finite in zip(steps, jax.device_get(flags), strict=True):
            if not finite:
                raise NonFiniteLossError(_not_finite(step, self.checkpoints.newest_step))

    def pause(self, step: int, state: TrainState, stopping: bool) -> None:
        """Does what is due after a step that is done, while no other is in flight."""
        config, checkpoints = self.config, self.checkpoints
        self.check()
        if self.profile.ends(step):
            self.profile.stop()
        if self.due(config.validate_every, step):
            values = self.program.validate(state, self.validation)
            self.log.write(step, {f"validation_{name}": v for name, v in values.items()})
            cost = _cost(self.task.criterion, values)
            if cost < checkpoints.best.cost:
                kept = {name: values[name] for name in ("loss", self.task.criterion.metric)}
                other = None if cost == kept["loss"] else cost
                checkpoints.best.save(step, state.best_guess, kept, other)
        if self.due(config.checkpoint_every, step) or stopping:
            checkpoints.save(state, self.clips.get_state())
            self.watch.save(step)
        if self.scores(step) or self.due(config.picture_every, step):
            self.look(step, on_host(state.best_guess))
        if stopping and step < config.steps:
            raise InterruptedTrainingError(
                f"interrupted; step {step} is stored, the same command continues from it"
            )

    def look(self, step: int, variables: Variables) -> None:
        """Draws and scores what the network makes of clips, in the main process."""
        if is_main() and self.due(self.config.picture_every, step):
            self.log.picture(step, self.task.picture(variables, self.pictured))
        scoring = is_main() and self.scores(step)
        if scoring and self.evaluate and (scores := self.evaluate(variables)):
            self.log.write(step, scores)

    @cached_property
    def pictured(self) -> Batch:
        """The first clip of batches from all over the held-out ones, as one batch."""
        count = len(self.validation)
        shown = [self.validation[n].batch for n in range(0, count, -(-count // PICTURED_CLIPS))]
        clips = {name: np.stack([batch[name][0] for batch in shown]) for name in self.task.spec}
        return widened({name: jnp.asarray(array) for name, array in clips.items()})


def shown(loss: float, watched: Mapping[str, float]) -> dict[str, str]:
    """What the progress bar says beside the step.

    Args:
        loss: loss of a step.
        watched: figures of `Watch.take`.
    """
    words = {"loss": f"{loss:.4f}"}
    if "watch/clips_per_second" in watched:
        words["clips/s"] = f"{watched['watch/clips_per_second']:.3g}"
        words["waiting"] = f"{watched['watch/input_wait']:.0%}"
    if "watch/flop_utilization" in watched:
        words["MFU"] = f"{watched['watch/flop_utilization']:.0%}"
    return words


def _cost(criterion: Criterion, values: dict[str, float]) -> float:
    """The cost of parameters, of which the least is kept; infinite where it is no number."""
    value = values[criterion.metric]
    value = -value if criterion.higher_is_better else value
    return value if np.isfinite(value) else float("inf")


def _not_finite(step: int, newest: int | None) -> str:
    kept = "no checkpoint was written before" if newest is None else f"checkpoint {newest} is kept"
    return (
        f"the loss or its gradient is not finite at step {step} ({kept}); "
        "a lower --optimizer.learning_rate or --optimizer.clip_norm may help"
    )
