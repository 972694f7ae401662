"""One experiment from its configuration: clips, task, start, folder, training."""

from pathlib import Path

import jax

from jaxmotion.data import ClipSource, TrainLoader, open_sources
from jaxmotion.data.clips import is_stored_in_half
from jaxmotion.data.held_out import HeldOut, HeldOutBatches
from jaxmotion.data.scene_source import RESERVED_SEEDS
from jaxmotion.errors import InputError
from jaxmotion.experiments.evals import evaluation_of
from jaxmotion.experiments.folder import check_folder, check_position, claim_folder, sole_run
from jaxmotion.models.loading import Loader, load_trained
from jaxmotion.stores import run_place
from jaxmotion.tasks.task import Task
from jaxmotion.training.checkpoints import stored_steps
from jaxmotion.training.compilation_cache import enable_compilation_cache
from jaxmotion.training.config import Config
from jaxmotion.training.loop import Result, Start, train
from jaxmotion.training.optimizer import rates
from jaxmotion.training.program import check_parts
from jaxmotion.training.shardings import ProcessShare, make_mesh, process_share
from jaxmotion.training.step import widened


def run_experiment(config: Config, workdir: str | Path, source: ClipSource | None = None) -> Result:
    """Trains what a configuration says, or continues it where ``workdir`` has its checkpoints.

    Args:
        config: configuration of the experiment.
        workdir: the run's folder, created if missing; or ``gs://BUCKET/FOLDER``, as text.
        source: the clips to train on; None for those that ``config.data`` names.

    Returns:
        What the finished run reports.

    Raises:
        InputError: on data that cannot be read or has changed, a start that does not fit, or a
            folder of another experiment, or one that another run trains in. Nothing has been
            compiled then.
        NonFiniteLossError: on a loss or gradient that is not finite.
        InterruptedTrainingError: on SIGINT or SIGTERM.
    """
    workdir = run_place(workdir)
    networks = Loader()
    task = config.task.build(config.data, networks)
    evaluate = evaluation_of(config)
    training, held_out = open_clips(config, source, tuple(task.spec))
    mesh = make_mesh(config.mesh, config.batch_size)
    share = process_share(mesh, config.batch_size)
    check_parts(config, mesh)
    fields = tuple(task.spec)
    narrow = config.data.wire == "stored"
    narrow = narrow and is_stored_in_half(training) and is_stored_in_half(held_out)
    validation = validation_batches(config, held_out, share, fields, narrow=narrow)
    check_folder(config, workdir, networks.fingerprints)
    start = read_start(config, task, validation[0], workdir)
    loader = TrainLoader(
        training,
        config.batch_size,
        fields=fields,
        seed=config.seed,
        shard_index=share.data_index,
        shard_count=share.data_count,
        narrow=narrow,
        num_threads=config.data.reader_workers,
        prefetch=config.data.prefetch,
    )
    try:
        with sole_run(workdir):
            check_position(loader, workdir)
            claim_folder(config, workdir, networks.fingerprints)
            enable_compilation_cache()
            return train(config, task, loader, validation, workdir, start, evaluate)
    finally:
        loader.close()


def open_clips(
    config: Config,
    source: ClipSource | None = None,
    fields: tuple[str, ...] = ("flow", "valid"),
) -> tuple[ClipSource, ClipSource]:
    """Opens the clips to train on, and those held out for the validation loss.

    Args:
        config: configuration of the experiment.
        source: the clips; None for those that ``config.data`` names.
        fields: names of the fields of a clip that ``config.data`` names.
    """
    data = config.data
    drawn = any(kind in data.source for kind in ("scenes:", "aerial:", "tracks:"))
    if source is None and drawn and config.seed in RESERVED_SEEDS:
        raise InputError(
            f"seed {config.seed}: its scenes are kept for tests and validation, expected another"
        )
    source = source or open_sources(
        data.source,
        clip_length=data.clip_length,
        intervals=data.intervals,
        size=(data.height, data.width),
        split=data.split or None,
        flow=data.flow,
        on_bad_clip=config.on_bad_clip,
        seed=config.seed,
        fields=fields,
        cache_bytes=data.cache_bytes,
        pictures=data.pictures,
    )
    return source.hold_out(data.validation_fraction)


def validation_batches(
    config: Config,
    held_out: ClipSource,
    share: ProcessShare,
    fields: tuple[str, ...],
    *,
    narrow: bool = False,
) -> HeldOutBatches:
    """At most ``validation_clips`` of the held-out clips, evenly spread, read when needed.

    Args:
        config: configuration of the experiment.
        held_out: the clips held out for validation.
        share: the part of each batch that this process loads.
        fields: names of the entries of a clip that go into a batch.
        narrow: whether batches are `jaxmotion.data.loader.narrowed`.
    """
    return HeldOutBatches(
        held_out,
        config.batch_size,
        most_clips=config.data.validation_clips,
        fields=fields,
        shard_index=share.data_index,
        shard_count=share.data_count,
        narrow=narrow,
        num_threads=config.data.reader_workers,
        prefetch=config.data.prefetch,
    )


def read_start(config: Config, task: Task, example: HeldOut, workdir: Path) -> Start | None:
    """Loads the network that a run starts from; None without a start, or for a run to continue.

    Args:
        config: configuration of the experiment.
        task: the network to train and its loss.
        example: batch that gives the shapes of the clips.
        workdir: the run's folder.

    Raises:
        InputError: where there is none, or it does not fit; or where a group of the optimizer's
            has no parameters.
    """
    batch = jax.eval_shape(widened, example.batch)
    fresh = jax.eval_shape(task.init, jax.random.key(0), batch)
    rates(config.optimizer, fresh["params"])
    if not config.start or stored_steps(workdir):
        return None
    trained = load_trained(config.start)
    words = ""

    def transferred(fresh, trained):
        nonlocal words
        variables, words = task.transfer(fresh, trained)
        return variables

    jax.eval_shape(transferred, fresh, trained.variables)
    return Start(trained.variables, f"the parameters of step {trained.step}; {words}")
