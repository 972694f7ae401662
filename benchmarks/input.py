"""Whether the input pipeline keeps up with training.

    python benchmarks/input.py [--config quickstart] [--source scenes:default ...] [--steps 30]

A source is what ``--data.source`` of ``train.py`` takes. For each:

- opening: CPU seconds to look through the source, which for files reads all of them once and keeps
  in memory what fits (2 GB);
- a clip: CPU milliseconds that one thread then takes to make or read one;
- loader: clips a second from the loader alone, with nothing else to do;
- training: clips a second that the training step takes when it never waits, and the share of a real
  run (`training.loop.train`) that is spent waiting for the loader.

The pipeline keeps up where the loader is faster than training, and the share is near zero.
"""

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

from jaxmotion.configs import get_config
from jaxmotion.data import ClipSource, TrainLoader
from jaxmotion.experiments.experiment import open_clips, validation_batches
from jaxmotion.training.compilation_cache import enable_compilation_cache
from jaxmotion.training.config import Config
from jaxmotion.training.loop import train
from jaxmotion.training.program import HostBatch
from jaxmotion.training.shardings import make_mesh, process_share

COLUMNS = ("source", "opening, s", "a clip, ms", "loader clips/s", "training clips/s", "waiting")


class Waiting:
    """Batches of a loader, and when training asked for each and got it."""

    def __init__(self, loader: TrainLoader):
        self.loader = loader
        self.asked: list[float] = []
        self.got: list[float] = []

    def __next__(self) -> HostBatch:
        self.asked.append(time.perf_counter())
        batch = next(self.loader)
        self.got.append(time.perf_counter())
        return batch

    def get_state(self) -> dict[str, Any]:  # noqa: D102
        return self.loader.get_state()

    def set_state(self, state: dict[str, Any]) -> None:  # noqa: D102
        self.loader.set_state(state)

    def seconds(self) -> tuple[float, float]:
        """From the second batch to the last: all that passed, and what of it was waiting."""
        waited = sum(got - asked for asked, got in zip(self.asked[1:], self.got[1:], strict=True))
        return self.got[-1] - self.asked[1], waited


def cpu_milliseconds(source: ClipSource, count: int) -> float:
    start = time.process_time()
    for index in range(count):
        source[index]
    return 1e3 * (time.process_time() - start) / count


def loader_speed(source: ClipSource, config: Config, batches: int) -> float:
    loader = TrainLoader(source, config.batch_size, seed=1)
    next(loader)
    start = time.perf_counter()
    for _ in range(batches):
        next(loader)
    seconds = time.perf_counter() - start
    loader.close()
    return batches * config.batch_size / seconds


def real_run(source: ClipSource, held_out: ClipSource, config: Config) -> tuple[float, float]:
    """Clips a second of a run that never waits, and the share of a real one spent waiting."""
    share = process_share(make_mesh(config.mesh, config.batch_size), config.batch_size)
    task = config.task.build(config.data)
    loader = TrainLoader(source, config.batch_size, seed=config.seed)
    clips = Waiting(loader)
    with tempfile.TemporaryDirectory() as folder:
        validation = validation_batches(config, held_out, share, tuple(task.spec))
        train(config, task, clips, validation, Path(folder))
    loader.close()
    seconds, waited = clips.seconds()
    return (config.steps - 1) * config.batch_size / (seconds - waited), waited / seconds


def measure(spec: str, config: Config, count: int) -> list[str]:
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, source=spec))
    start = time.process_time()
    source, held_out = open_clips(config)
    opening = time.process_time() - start
    count = min(count, len(source))
    each = cpu_milliseconds(source, count)
    speed = loader_speed(source, config, max(count // config.batch_size, 2))
    need, waiting = real_run(source, held_out, config)
    shown = [f"{opening:.1f}", f"{each:.2f}", f"{speed:.0f}", f"{need:.0f}"]
    return [spec, *shown, f"{100 * waiting:.1f} %"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="quickstart")
    parser.add_argument("--source", nargs="+", default=["scenes:default"])
    parser.add_argument("--split", default="", help="of sources that have splits")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--clips", type=int, default=128)
    arguments = parser.parse_args()
    config = get_config(arguments.config)
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, split=arguments.split, validation_clips=1),
        steps=arguments.steps,
        validate_every=arguments.steps,
        checkpoint_every=arguments.steps,
        picture_every=0,
    )
    enable_compilation_cache()
    size = f"{config.data.clip_length} x {config.data.height} x {config.data.width}"
    print(f"{arguments.config}: batches of {config.batch_size} clips of {size}")
    print(f"{jax.device_count()} x {jax.devices()[0].device_kind}, {arguments.steps} steps\n")
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS))
    for spec in arguments.source:
        print("| " + " | ".join(measure(spec, config, arguments.clips)) + " |", flush=True)


if __name__ == "__main__":
    main()
