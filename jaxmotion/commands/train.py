"""``jaxmotion train [CONFIG] [--workdir DIR] [--FIELD VALUE ...]``: trains a segmenter."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from jaxmotion.commands.parsing import parse_options
from jaxmotion.configs import CONFIGS, get_config
from jaxmotion.data import SceneSource
from jaxmotion.experiments.experiment import run_experiment
from jaxmotion.experiments.scenes import scene_scores
from jaxmotion.experiments.seeds import run_seeds
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.options import Meta, check_fields
from jaxmotion.training.config import Config
from jaxmotion.training.distributed import Processes, is_main, joined
from jaxmotion.training.loop import Result
from jaxmotion.training.metrics import write_json

# Scenes that no run trains on: those of training have the run's seed.
TEST_SEED, TUNING_SEED = 1_000_001, 1_000_002
TEST_FRAMES, TUNING_FRAMES = 100, 50


@dataclass(frozen=True)
class Arguments:
    """What the command line says.

    Attributes:
        config: the experiment.
        workdir: folder for checkpoints, log and pictures; a run that is in it is continued.
            By default ``runs/CONFIG``.
        seeds: train from so many seeds, and keep the run of the lowest validation loss.
        baselines: on scenes, score the baselines beside the network, which takes minutes.
        processes: the processes that train together.
    """

    config: Annotated[Config, tyro.conf.arg(name="")]
    workdir: Path
    seeds: Annotated[int, Meta(ge=1, le=1_000)] = 1
    baselines: bool = True
    processes: Annotated[Processes, tyro.conf.arg(name="")] = field(default_factory=Processes)

    def __post_init__(self) -> None:
        check_fields(self)


def main(argv: Sequence[str], prog: str = "jaxmotion train") -> None:
    """Trains, then says how good the kept parameters are.

    Args:
        argv: the experiment and its options.
        prog: the command as it was typed.
    """
    arguments = parse(argv, prog)
    config, workdir = arguments.config, arguments.workdir
    start = time.perf_counter()
    with joined(arguments.processes):
        result, losses = _train(arguments)
    if not is_main():
        return
    minutes = (time.perf_counter() - start) / 60
    if losses:
        print(", ".join(f"{name} {loss:.4f}" for name, loss in losses.items()))
    summary = {
        "steps": result.step,
        "validation_loss": result.validation_loss,
        "minutes": round(minutes, 2),
    }
    print(f"step {result.step}, validation loss {result.validation_loss:.4f}, {minutes:.1f} min")
    if config.data.source.startswith("scenes:") and "," not in config.data.source:
        summary |= test_on_scenes(config, Segmenter.load(workdir), arguments.baselines)
    write_json(workdir / "summary.json", summary)
    print(f"{workdir}: summary.json, metrics.jsonl, pictures, checkpoints")


def _train(arguments: Arguments) -> tuple[Result, dict[str, float]]:
    """The kept run, and the validation losses of all seeds where there are several."""
    if arguments.seeds > 1:
        return run_seeds(arguments.config, arguments.workdir, arguments.seeds)
    return run_experiment(arguments.config, arguments.workdir), {}


def parse(argv: Sequence[str], prog: str = "jaxmotion train") -> Arguments:
    """The experiment that the command line asks for."""
    name = "quickstart"
    if argv and not argv[0].startswith("-"):
        name, argv = argv[0], argv[1:]
    return parse_options(
        Arguments,
        argv,
        default=Arguments(get_config(name), Path("runs") / name),
        prog=f"{prog} {name}",
        description=f"Experiments: {', '.join(CONFIGS)}.",
    )


def test_on_scenes(config: Config, segmenter: Segmenter, baselines: bool) -> dict[str, float]:
    """Scores the network, and baselines, on scenes it has not seen, and prints the table."""
    level = config.data.source.partition(":")[2]
    size = (config.data.height, config.data.width)
    length = config.data.clip_length
    samples, tuning = (
        list(_clips(SceneSource(level, length, size, seed, -(-frames // length))))
        for seed, frames in ((TEST_SEED, TEST_FRAMES), (TUNING_SEED, TUNING_FRAMES))
    )
    scores = scene_scores(segmenter, samples, tuning if baselines else None)
    print(f"\nforeground IoU on {len(samples)} held-out scenes ({level})")
    for name, score in scores.items():
        print(f"  {name:24s} {score:.3f}")
    return {"foreground_iou": scores.pop("network"), **scores}


def _clips(source: SceneSource):
    return (source[index] for index in range(len(source)))
