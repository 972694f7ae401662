"""One experiment from its configuration: clips, task, folder, training."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jax
import numpy as np

from jaxmotion.data import Clip, ClipSource, TrainLoader, open_sources, stack_clips
from jaxmotion.data.scene_source import RESERVED_SEEDS
from jaxmotion.errors import InputError
from jaxmotion.models.trained import Trained, load_trained
from jaxmotion.networks.warm_start import match_params
from jaxmotion.options import differences, to_json
from jaxmotion.output_folder import locked
from jaxmotion.tasks.segmentation import SegmentationTask
from jaxmotion.tasks.task import Task
from jaxmotion.training.checkpoints import newest_position, stored_steps
from jaxmotion.training.compilation_cache import enable_compilation_cache
from jaxmotion.training.config import Config, read_config
from jaxmotion.training.distributed import anywhere, is_main
from jaxmotion.training.loop import Result, train
from jaxmotion.training.metrics import read_json, write_json
from jaxmotion.training.optimizer import learning_rate
from jaxmotion.training.program import HostBatch, check_parts
from jaxmotion.training.shardings import ProcessShare, make_mesh, process_share

# What may differ when a run is continued: how long it goes on, how often it speaks, on what, and
# how it fits there. Neither clips nor the stored state depend on these; where the learning rate
# depends on the number of steps, `_say_rate` tells.
_FREE_FIELDS = (
    "steps",
    "log_every",
    "validate_every",
    "checkpoint_every",
    "picture_every",
    "mesh",
    "accumulate",
    "data.cache_bytes",
    "network.remat",
    "network.compute_dtype",
)


def run_experiment(config: Config, workdir: Path) -> Result:
    """Trains what a configuration says, or continues it where ``workdir`` has its checkpoints.

    Args:
        config: the experiment.
        workdir: the run's folder, created if missing.

    Returns:
        The `Result`.

    Raises:
        InputError: on data that cannot be read or has changed, a start that does not fit, or a
            folder of another experiment, or one that another run trains in. Nothing has been
            compiled then.
        NonFiniteLossError, InterruptedTrainingError: see `training.loop.train`.
    """
    if config.network.num_masks < 2:
        raise InputError(
            f"network.num_masks {config.network.num_masks}: expected at least 2 to train; a single "
            "mask is the same whatever the network learns"
        )
    training, held_out = open_clips(config)
    mesh = make_mesh(config.mesh, config.batch_size)
    share = process_share(mesh, config.batch_size)
    check_parts(config, mesh)
    # Devices that share frames may need clips padded, which their motion must not depend on.
    motion = config.motion.padded(config.data.clip_length)
    task = SegmentationTask(config.network, motion, config.objective, config.augment)
    validation = validation_batches(config, held_out, share)
    check_folder(config, workdir)
    trained = read_start(config, task, validation[0], workdir)
    loader = TrainLoader(
        training,
        config.batch_size,
        seed=config.seed,
        shard_index=share.data_index,
        shard_count=share.data_count,
    )
    try:
        with sole_run(workdir):
            check_position(loader, workdir)
            claim_folder(config, workdir)
            enable_compilation_cache()
            return train(config, task, loader, validation, workdir, trained)
    finally:
        loader.close()


def open_clips(config: Config) -> tuple[ClipSource, ClipSource]:
    """The clips to train on, and those held out for the validation loss."""
    data = config.data
    if "scenes:" in data.source and config.seed in RESERVED_SEEDS:
        raise InputError(
            f"seed {config.seed}: its scenes are kept for tests and validation, expected another"
        )
    source = open_sources(
        data.source,
        clip_length=data.clip_length,
        intervals=data.intervals,
        size=(data.height, data.width),
        split=data.split or None,
        flow=data.flow,
        on_bad_clip=config.on_bad_clip,
        seed=config.seed,
        cache_bytes=data.cache_bytes,
    )
    return source.hold_out(data.validation_fraction)


def validation_batches(
    config: Config, held_out: ClipSource, share: ProcessShare
) -> list[HostBatch]:
    """At most ``validation_clips`` of the held-out clips, evenly spread, without their labels.

    The last batch is filled up with clips that are nowhere valid, which count in no mean. Of each
    batch a process loads its share.
    """
    count = min(len(held_out), config.data.validation_clips)
    chosen = np.linspace(0, len(held_out) - 1, count).round().astype(int)
    part = config.batch_size // share.data_count

    def clip(number: int) -> Clip:
        clip = held_out[int(chosen[min(number, count - 1)])]
        return clip if number < count else {**clip, "valid": np.zeros_like(clip["valid"])}

    starts = range(share.data_index * part, -(-count // config.batch_size) * config.batch_size)
    return [
        stack_clips([clip(start + i) for i in range(part)], ("flow", "valid"))
        for start in starts[:: config.batch_size]
    ]


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


def read_start(config: Config, task: Task, example: HostBatch, workdir: Path) -> Trained | None:
    """The network that a run starts from; None where it has no start, or is a run to continue.

    Raises:
        InputError: where there is none, or it does not fit.
    """
    if not config.start or stored_steps(workdir):
        return None
    trained = load_trained(config.start)
    fresh = jax.eval_shape(task.init, jax.random.key(0), example)
    match_params(fresh, trained.params)
    return trained


def check_position(loader: TrainLoader, workdir: Path) -> None:
    """Tells data that has changed since the run in a folder was trained on it.

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


def claim_folder(config: Config, workdir: Path) -> None:
    """Writes ``config.json`` into a fresh folder, or checks that the one there says the same.

    All processes check, the main one writes.

    Raises:
        InputError: as `check_folder`, or where the folder cannot be written.
    """
    old = check_folder(config, workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{workdir}: cannot be used ({error.strerror})") from error
    if is_main():
        if old is not None:
            _say_rate(old, config, max(stored_steps(workdir), default=0))
        write_json(workdir / "config.json", to_json(config))


def check_folder(config: Config, workdir: Path) -> Config | None:
    """Checks that a folder is free, or holds a run that this configuration continues.

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
        best = any(folder.name.isdecimal() for folder in workdir.glob("best/[0-9]*"))
        if not path.exists():
            return None
    except OSError as error:
        raise InputError(f"{workdir}: cannot be used ({error.strerror})") from error
    stored = read_json(path)
    if not (steps or best):
        if {"data", "network"} <= stored.keys():
            return None
        raise InputError(f"{path}: is there and of no run, so it is kept; give another --workdir")
    # Through a Config, so that fields it did not have yet stand at their defaults.
    old = read_config(path, stored)
    rows = differences(to_json(old), to_json(config))
    changed = [row for row in rows if not _may_differ(row)]
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
    return old


def _say_rate(old: Config, new: Config, step: int) -> None:
    """Says where another number of steps changes the learning rate that a run goes on with."""
    before, now = (np.asarray(learning_rate(c.optimizer, c.steps)(step)) for c in (old, new))
    if not np.allclose(before, now):
        print(
            f"--steps {new.steps} instead of {old.steps}: the learning rate of the schedule "
            f"{new.optimizer.schedule!r} goes on at {now:.3g} instead of {before:.3g}",
            file=sys.stderr,
        )


def _may_differ(difference: str) -> bool:
    name = difference.partition(":")[0]
    return any(f"{name}.".startswith(f"{field}.") for field in _FREE_FIELDS)
