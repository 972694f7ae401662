"""The folder of a run: whom it belongs to, and whether a configuration continues it."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from jaxmotion.data import TrainLoader
from jaxmotion.errors import InputError
from jaxmotion.locks import locked
from jaxmotion.options import differences, to_json
from jaxmotion.stores import is_url, talking_to
from jaxmotion.training.checkpoints import newest_position, stored_steps
from jaxmotion.training.config import Config, as_options, read_config
from jaxmotion.training.distributed import anywhere, is_main
from jaxmotion.training.metrics import read_json, write_json
from jaxmotion.training.optimizer import learning_rate
from jaxmotion.training.storage import finished_steps

# What may differ when a run is continued: how long it goes on, how often it speaks, on what, and
# how it fits there; a task may add to it. Neither clips nor the stored state depend on these; where
# the learning rate depends on the number of steps, `_say_rate` tells.
_CHANGEABLE = (
    "steps",
    "log_every",
    "validate_every",
    "checkpoint_every",
    "picture_every",
    "profile_steps",
    "mesh",
    "accumulate",
    "evals",
    "data.reader_workers",
    "data.prefetch",
    "data.wire",
    "data.cache_bytes",
)

NETWORKS = "networks.json"
"""File with the fingerprints of the other networks that a run uses, where it uses some."""


@contextmanager
def sole_run(workdir: Path) -> Iterator[None]:
    """Keeps other runs out of a folder. The main process does so for all that train together.

    Raises:
        InputError: in all processes alike, where another run trains there or it cannot be written.
    """
    refusal = None
    with ExitStack() as stack:
        if is_main():
            try:
                stack.enter_context(locked(workdir))
            except InputError as error:
                refusal = error
        if anywhere(refusal is not None):
            raise refusal or InputError(f"{workdir}: refused by process 0, which says why")
        yield


def check_position(loader: TrainLoader, workdir: Path) -> None:
    """Refuses data that has changed since the run in a folder was trained on it.

    Args:
        loader: the clips of the run that is to go on.
        workdir: the run's folder.

    Raises:
        InputError: where the run cannot go on with these clips.
    """
    position = newest_position(workdir)
    try:
        if position is not None:
            loader.check_state(position)
    except InputError as error:
        raise InputError(
            f"{workdir}: {error}, or another --workdir (with --start {workdir} it begins from the "
            "parameters of this run)"
        ) from error


def claim_folder(config: Config, workdir: Path, networks: Mapping[str, str] | None = None) -> None:
    """Writes ``config.json`` into a fresh folder, or checks that the one there says the same.

    All processes check, the main one writes.

    Args:
        config: configuration of the experiment.
        workdir: the run's folder.
        networks: fingerprints of the other networks that the task uses, by path or name.

    Raises:
        InputError: as `check_folder`, or where the folder cannot be written.
    """
    old = check_folder(config, workdir, networks)
    try:
        if not is_url(workdir):  # a store has no folders to make
            workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{workdir}: cannot be used ({error.strerror})") from error
    if is_main():
        if old is not None:
            _say_rate(old, config, max(stored_steps(workdir), default=0))
        write_json(workdir / "config.json", to_json(config))
        if networks:
            write_json(workdir / NETWORKS, dict(networks))


def check_folder(
    config: Config, workdir: Path, networks: Mapping[str, str] | None = None
) -> Config | None:
    """Checks that a folder is free, or holds a run that this configuration continues.

    Args:
        config: configuration of the experiment.
        workdir: the run's folder.
        networks: fingerprints of the other networks that the task uses, by path or name.

    Returns:
        The configuration of the run that is there; None where there is none.

    Raises:
        InputError: where the folder cannot be read, or belongs to another experiment; or where
            there is a ``config.json`` that is not ours.
    """
    path = workdir / "config.json"
    try:
        # A run that was refused or killed before it stored anything is in nobody's way.
        steps = stored_steps(workdir)
        best = finished_steps(workdir / "best")
        with talking_to(path):
            if not path.exists():
                return None
    except OSError as error:
        raise InputError(f"{workdir}: cannot be used ({error.strerror})") from error
    stored = read_json(path)
    if not (steps or best):
        if "data" in stored and stored.keys() & {"task", "network"}:
            return None
        raise InputError(f"{path}: is there and of no run, so it is kept; give another --workdir")
    # Through a Config, so that fields it did not have yet stand at their defaults.
    old = read_config(path, stored)
    rows = differences(as_options(old), as_options(config))
    changeable = (*_CHANGEABLE, *config.task.changeable)
    changed = [row for row in rows if not _may_differ(row, changeable)]
    if changed:
        raise InputError(
            f"{workdir}: holds a run with another configuration ({'; '.join(changed)}); "
            "expected the same, or another --workdir"
        )
    if steps and config.steps < steps[-1]:
        raise InputError(
            f"--steps {config.steps}: the run in {workdir} is at step {steps[-1]}; expected at "
            "least as many, or another --workdir"
        )
    _check_networks(workdir, networks or {})
    return old


def _check_networks(workdir: Path, networks: Mapping[str, str]) -> None:
    path = workdir / NETWORKS
    stored = read_json(path) if path.exists() else {}
    for name, found in networks.items():
        if stored.get(name, found) != found:
            raise InputError(
                f"{name}: another network than the run in {workdir} was trained with; expected the "
                "same files, or another --workdir"
            )


def _say_rate(old: Config, new: Config, step: int) -> None:
    """Says where another number of steps changes the learning rate that a run goes on with."""
    before, now = (np.asarray(learning_rate(c.optimizer, c.steps)(step)) for c in (old, new))
    if not np.allclose(before, now):
        print(
            f"--steps {new.steps} instead of {old.steps}: the learning rate of the schedule "
            f"{new.optimizer.schedule!r} goes on at {now:.3g} instead of {before:.3g}",
            file=sys.stderr,
        )


def _may_differ(difference: str, changeable: tuple[str, ...]) -> bool:
    name = difference.partition(":")[0]
    return any(f"{name}.".startswith(f"{field}.") for field in changeable)
