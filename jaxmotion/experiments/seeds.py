"""Several runs that differ in their seed, of which the best is kept (thesis app. 7.3.2)."""

import shutil
import uuid
from dataclasses import replace
from pathlib import Path

from jaxmotion.errors import InputError
from jaxmotion.experiments.experiment import run_experiment
from jaxmotion.experiments.folder import sole_run
from jaxmotion.options import to_json
from jaxmotion.stores import is_url, run_place
from jaxmotion.training.config import Config
from jaxmotion.training.distributed import is_main
from jaxmotion.training.loop import Result
from jaxmotion.training.metrics import write_json


def run_seeds(config: Config, workdir: Path, count: int) -> tuple[Result, dict[str, float]]:
    """Trains from ``count`` seeds, one after the other, and keeps the best by the task's criterion.

    No ground truth is looked at. Each run has a folder ``seed_S`` of its own and is continued where
    it stopped; the parameters of the best are copied to ``workdir/best``, so that ``workdir`` is a
    checkpoint like that of a single run.

    Args:
        config: the experiment; its seed is the first one.
        workdir: the folder that holds the folders of the runs.
        count: number of seeds, at least 1; the run that is best by the task's criterion is kept.

    Returns:
        The result of the kept run, and the validation loss of every run by its folder's name.

    Raises:
        InputError: as `run_experiment`; or ``workdir`` cannot be written.
        NonFiniteLossError: on a loss or gradient that is not finite.
        InterruptedTrainingError: on SIGINT or SIGTERM.
    """
    if count < 1:
        raise InputError(f"seeds {count}: expected at least 1")
    workdir = run_place(workdir)
    if is_url(workdir):
        raise InputError(f"--seeds {count}: expected a folder of a disk to keep the best in")
    configs = {
        f"seed_{seed}": replace(config, seed=seed)
        for seed in range(config.seed, config.seed + count)
    }
    with sole_run(workdir):
        results = {name: run_experiment(c, workdir / name) for name, c in configs.items()}
        kept = min(results, key=lambda name: results[name].criterion)
        if is_main():
            _replace_folder(workdir / kept / "best", workdir / "best")
            write_json(workdir / "config.json", to_json(configs[kept]))
    return results[kept], {name: result.validation_loss for name, result in results.items()}


def _replace_folder(source: Path, target: Path) -> None:
    """Copies a folder; the one that was there goes only once the copy is complete."""
    copy, old = (target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}") for _ in range(2))
    try:
        shutil.copytree(source, copy)
        if target.exists():
            target.rename(old)
        copy.rename(target)
    except (OSError, shutil.Error) as error:
        raise InputError(f"{target}: cannot be written ({error})") from error
    finally:
        for leftover in (copy, old):
            shutil.rmtree(leftover, ignore_errors=True)
