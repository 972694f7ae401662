"""One experiment from its configuration: clips, task, folder, training."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from jaxmotion.data import Clip, ClipSource, TrainLoader, open_sources, stack_clips
from jaxmotion.errors import InputError
from jaxmotion.output_folder import locked
from jaxmotion.training.compilation_cache import enable_compilation_cache
from jaxmotion.training.config import Config, differences, from_json, to_json
from jaxmotion.training.distributed import anywhere, is_main
from jaxmotion.training.loop import Result, train
from jaxmotion.training.metrics import read_json, write_json
from jaxmotion.training.program import HostBatch
from jaxmotion.training.segmentation import SegmentationTask
from jaxmotion.training.shardings import ProcessShare, make_mesh, process_share

# What may differ when a run is continued: how long it goes on, how often it speaks, on what, and
# how it fits there. Neither clips nor the stored state depend on these.
_FREE_FIELDS = (
    "steps",
    "log_every",
    "validate_every",
    "checkpoint_every",
    "picture_every",
    "mesh",
    "accumulate",
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
        InputError: on data that cannot be read, or a folder of another experiment, or that another
            run trains in.
        NonFiniteLossError, InterruptedTrainingError: see `training.loop.train`.
    """
    training, held_out = open_clips(config)
    share = process_share(make_mesh(config.mesh, config.batch_size), config.batch_size)
    with sole_run(workdir):
        claim_folder(config, workdir)
        return _train(config, workdir, training, held_out, share)


def _train(
    config: Config, workdir: Path, training: ClipSource, held_out: ClipSource, share: ProcessShare
) -> Result:
    enable_compilation_cache()
    # Devices that share frames may need clips padded, which their motion must not depend on.
    motion = config.motion.padded(config.data.clip_length)
    task = SegmentationTask(config.network, motion, config.objective, config.augment)
    loader = TrainLoader(
        training,
        config.batch_size,
        seed=config.seed,
        shard_index=share.data_index,
        shard_count=share.data_count,
    )
    try:
        return train(config, task, loader, validation_batches(config, held_out, share), workdir)
    finally:
        loader.close()


def open_clips(config: Config) -> tuple[ClipSource, ClipSource]:
    """The clips to train on, and those held out for the validation loss."""
    data = config.data
    source = open_sources(
        data.source,
        clip_length=data.clip_length,
        intervals=data.intervals,
        size=(data.height, data.width),
        split=data.split or None,
        flow=data.flow,
        on_bad_clip=config.on_bad_clip,
        seed=config.seed,
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


def claim_folder(config: Config, workdir: Path) -> None:
    """Writes ``config.json`` into a fresh folder, or checks that the one there says the same.

    All processes check, the main one writes.

    Raises:
        InputError: where the folder cannot be written, or belongs to another experiment; or where
            there is a ``config.json`` that is not ours.
    """
    path = workdir / "config.json"
    new = to_json(config)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        # A run that was refused or killed before it stored anything is in nobody's way.
        stored = [f for kind in ("checkpoints", "best") for f in workdir.glob(f"{kind}/[0-9]*")]
        known = path.exists() and any(folder.name.isdigit() for folder in stored)
    except OSError as error:
        raise InputError(f"{workdir}: cannot be used ({error.strerror})") from error
    if known:
        # Through a Config, so that fields it did not have yet stand at their defaults.
        old = to_json(from_json(Config, read_json(path)))
        changed = [row for row in differences(old, new) if not _may_differ(row)]
        if changed:
            raise InputError(
                f"{workdir}: holds a run with another configuration ({'; '.join(changed)}); "
                "expected the same, or another --workdir"
            )
    elif path.exists() and not {"data", "network"} <= read_json(path).keys():
        raise InputError(f"{path}: is there and of no run, so it is kept; give another --workdir")
    if is_main():
        write_json(path, new)


def _may_differ(difference: str) -> bool:
    name = difference.partition(":")[0]
    return any(f"{name}.".startswith(f"{field}.") for field in _FREE_FIELDS)
