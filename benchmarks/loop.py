"""Whether the training loop hides the work of the host behind that of the devices.

    python benchmarks/loop.py [--config quickstart] [--rounds 10] [--block 10]

One real run (`training.loop.train`), whose batches are made beforehand. In turn they come at once
for a block of steps, and for the next each comes after a wait as long as a step took in the block
before. Waiting stands for reading and decoding. A device of a CPU shares its cores with the host
and with whatever else runs there. Without ``--config`` the step is a plain loop, which keeps one
core busy and is disturbed the least. Each pair of blocks gives

- step: time for a step where batches come at once;
- wait: time that each batch of the next block is waited for;
- together: time for a step of that block, and how many times the longer of the two that is. A loop
  that does one after the other needs the sum, 2.0 times.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.configs import get_config
from jaxmotion.data import HostBatch, TrainLoader
from jaxmotion.data.held_out import HeldOut
from jaxmotion.experiments.experiment import open_clips
from jaxmotion.tasks.task import Batch, Output, Task, Variables
from jaxmotion.training.compilation_cache import enable_compilation_cache
from jaxmotion.training.config import Config
from jaxmotion.training.loop import train

TURNS = 2000
"""Turns of the plain loop."""

SETTLING = 3
"""Steps at the start of a block that are not counted: those before are still in flight."""


class Loop(Task):
    """A task whose step keeps one core of a CPU busy, for a tenth of a second or so."""

    @property
    def spec(self) -> Mapping[str, str]:
        """A field of numbers."""
        return {"x": "B N"}

    def init(self, key: jax.Array, batch: Batch) -> Variables:
        """One parameter."""
        return {"params": {"a": jnp.ones(())}}

    def loss(
        self, variables: Variables, batch: Batch, *, step: jax.Array, key: jax.Array | None
    ) -> Output:
        """A loss that takes its time."""
        x = jax.lax.fori_loop(0, TURNS, lambda _, x: jnp.sin(x) + 1, batch["x"])
        return Output(jax.lax.stop_gradient(x).mean(axis=1) * variables["params"]["a"])


class Batches:
    """Batches that come at once or after a wait, by blocks of steps, and when they were asked for.

    Args:
        batches: batches, taken in turn.
        block: number of steps of a block.
    """

    def __init__(self, batches: list[HostBatch], block: int):
        self.batches, self.block = batches, block
        self.asked: list[float] = []
        self.waits: list[float] = []

    def __next__(self) -> HostBatch:
        step = len(self.asked)
        self.asked.append(time.perf_counter())
        number, place = divmod(step, self.block)
        if number % 2 and place == 0:
            self.waits.append(self.seconds(number - 1))
        if number % 2:
            time.sleep(self.waits[-1])
        return self.batches[step % len(self.batches)]

    def seconds(self, number: int) -> float:
        """Seconds for a step of a block, whose successor has begun."""
        asked = self.asked[number * self.block + SETTLING : (number + 1) * self.block + 1]
        return (asked[-1] - asked[0]) / (len(asked) - 1)

    def get_state(self) -> dict[str, Any]:  # noqa: D102
        return {}

    def set_state(self, state: dict[str, Any]) -> None:  # noqa: D102
        raise NotImplementedError


def real_batches(config: Config, task: Task, count: int) -> list[HostBatch]:
    """So many batches of the configuration's clips."""
    loader = TrainLoader(open_clips(config)[0], config.batch_size, fields=tuple(task.spec))
    batches = [next(loader) for _ in range(count)]
    loader.close()
    return batches


def measure(
    config: Config, task: Task, batches: list[HostBatch], rounds: int, block: int
) -> list[tuple[float, float, float]]:
    """Step, wait and together of each pair of blocks, after one pair to warm up."""
    steps = (2 * rounds + 2) * block + 1
    config = dataclasses.replace(
        config, steps=steps, validate_every=steps, checkpoint_every=steps, picture_every=0
    )
    clips = Batches(batches, block)
    validation = [HeldOut(batches[0], np.ones(config.batch_size))]
    with tempfile.TemporaryDirectory() as folder:
        train(config, task, clips, validation, Path(folder))
    pairs = range(1, rounds + 1)
    return [(clips.seconds(2 * n), clips.waits[n], clips.seconds(2 * n + 1)) for n in pairs]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", help="take the steps of this configuration")
    parser.add_argument("--rounds", type=int, default=10, help="pairs of blocks")
    parser.add_argument("--block", type=int, default=10, help="steps of a block")
    arguments = parser.parse_args()
    enable_compilation_cache()
    if arguments.config:
        config = get_config(arguments.config)
        task = config.task.build(config.data)
        batches, words = real_batches(config, task, 8), f"steps of {arguments.config}"
    else:
        config = Config(batch_size=4)
        task = Loop()
        batches, words = [{"x": np.ones((4, 4096), np.float32)}], "steps that are plain loops"
    rows = measure(config, task, batches, arguments.rounds, arguments.block)
    print(f"{words}, on {jax.device_count()} x {jax.devices()[0].device_kind}\n")
    print("| step, ms | wait, ms | together, ms | times the longer |\n| --- | --- | --- | --- |")
    ratios = [together / max(step, wait) for step, wait, together in rows]
    for row, ratio in zip(rows, ratios, strict=True):
        print("| " + " | ".join(f"{1e3 * seconds:.1f}" for seconds in row) + f" | {ratio:.2f} |")
    print(f"\nmedian {statistics.median(ratios):.2f}, worst {max(ratios):.2f}")


if __name__ == "__main__":
    main()
