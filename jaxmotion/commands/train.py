"""``jaxmotion train [CONFIG] [--workdir DIR] [--FIELD VALUE ...]``: trains a network."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from jaxmotion.commands.parsing import parse_options
from jaxmotion.configs import CONFIGS, get_config
from jaxmotion.options import Meta, check_fields
from jaxmotion.stores import run_place
from jaxmotion.training.config import Config, Processes

if TYPE_CHECKING:
    from jaxmotion.training.loop import Result


@dataclass(frozen=True)
class Arguments:
    """The arguments of the command line.

    Attributes:
        config: configuration of the experiment.
        workdir: folder for checkpoints, log and pictures, or gs://BUCKET/FOLDER; a run that is in
            it is continued. By default ``runs/CONFIG``.
        seeds: number of seeds to train from; the run that does best in validation is kept.
        baselines: score the baselines beside the network (``--evals``), which takes minutes.
        processes: the processes that train together.
    """

    config: Annotated[Config, tyro.conf.arg(name="")]
    workdir: str
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
    from jaxmotion.experiments.evals import final_scores
    from jaxmotion.training.distributed import is_main, joined
    from jaxmotion.training.metrics import write_json

    workdir = run_place(arguments.workdir)
    start = time.perf_counter()
    with joined(arguments.processes):
        result, losses = _train(arguments, workdir)
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
    scores = final_scores(workdir, baselines=arguments.baselines)
    on_videos = {name: score for name, score in scores.items() if name.endswith("_mean")}
    if on_videos:
        words = ", ".join(f"{name} {score:.3f}" for name, score in on_videos.items())
        print(f"{arguments.config.evals.data}: {words}")
    on_scenes = {name: score for name, score in scores.items() if name not in on_videos}
    if on_scenes:
        iou = "foreground IoU " if "foreground_iou" in scores else ""
        print(f"\n{iou}on scenes it has not seen")
    for name, score in on_scenes.items():
        print(f"  {'network' if name == 'foreground_iou' else name:24s} {score:.3f}")
    summary |= scores
    write_json(workdir / "summary.json", summary)
    print(f"{workdir}: summary.json, metrics.jsonl, pictures, checkpoints")


def _train(arguments: Arguments, workdir: Path) -> "tuple[Result, dict[str, float]]":
    """The kept run, and the validation losses of all seeds where there are several."""
    from jaxmotion.experiments.experiment import run_experiment
    from jaxmotion.experiments.seeds import run_seeds

    if arguments.seeds > 1:
        return run_seeds(arguments.config, workdir, arguments.seeds)
    return run_experiment(arguments.config, workdir), {}


def parse(argv: Sequence[str], prog: str = "jaxmotion train") -> Arguments:
    """Parses the experiment that the command line asks for.

    Args:
        argv: the arguments: the name of an experiment, "quickstart" if it is left out, and options.
        prog: the command as it was typed.
    """
    name = "quickstart"
    if argv and not argv[0].startswith("-"):
        name, argv = argv[0], argv[1:]
    return parse_options(
        Arguments,
        argv,
        default=Arguments(get_config(name), f"runs/{name}"),
        prog=f"{prog} {name}",
        description=f"Experiments: {', '.join(CONFIGS)}.",
    )
