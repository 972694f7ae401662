"""Checkpoints: the newest to resume from, the best to keep. Orbax writes both atomically.

Several processes write a checkpoint together, each what its devices hold, and read it each by
itself, so that a file which one of them cannot read leaves no other waiting.

A run's folder holds ``checkpoints/STEP`` (state and data position, the newest two) and
``best/STEP`` (parameters alone, those of the lowest validation loss), beside ``config.json``. What
cannot be read is moved to ``unreadable/STEP``, never deleted.
"""

import logging
import math
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.options import MultiprocessingOptions

from jaxmotion.errors import InputError
from jaxmotion.training.distributed import anywhere, gather, is_main
from jaxmotion.training.step import TrainState

_LOG = logging.getLogger(__name__)

# What Orbax and tensorstore raise for files that are missing, cut short or overwritten. A
# ValueError of tensorstore begins with a status, and some are of the machine, not of the file.
_DAMAGE = (ValueError, KeyError, TypeError, IndexError, EOFError)
_DAMAGE += (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_PASSING = ("ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED")
_PASSING += ("UNAUTHENTICATED", "UNAVAILABLE")


class Checkpoints:
    """The checkpoints of one run.

    Args:
        workdir: the run's folder, created if missing.
        config: the run's configuration as JSON; it is stored inside every checkpoint.
    """

    def __init__(self, workdir: Path, config: dict[str, Any]) -> None:
        self._workdir, self._config = workdir, config
        try:
            self._newest = _newest_manager(workdir)
            self._best = _best_manager(workdir)
        except (OSError, ValueError) as error:
            raise InputError(f"{workdir}: unreadable checkpoints: {_line(error)}") from error
        seen = gather(self.newest_step or 0)
        if (seen != seen[0]).any():
            raise InputError(
                f"{workdir}: the processes see different checkpoints there, of steps "
                f"{seen.tolist()}; expected a folder that all hosts share"
            )

    def save(self, state: TrainState, data: dict[str, Any]) -> None:
        """Stores the state and the position in the data under the state's step.

        Returns at once; the writing goes on in the background.
        """
        step = int(state.step)
        if step in self._newest.all_steps():
            return
        with _writing(self._newest):
            # A run resumed from here will not validate again, so its best must be on disk first.
            self._best.wait_until_finished()
            self._newest.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state),
                    data=ocp.args.JsonSave(data),
                    config=ocp.args.JsonSave(self._config),
                ),
            )

    def restore(self, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """The newest readable state and its data position, or None where there is none.

        Args:
            like: a state of the same structure, with the shardings wanted.

        Damaged ones that are newer than what is restored are moved out of the way of later ones.

        Raises:
            InputError: where there are checkpoints but none can be read, or where reading failed
                for a reason that may pass.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        args = ocp.args.Composite(
            state=ocp.args.StandardRestore(abstract), data=ocp.args.JsonRestore()
        )
        steps = sorted(self._newest.all_steps(), reverse=True)
        with _newest_manager(self._workdir, read_only=True) as reader:
            for step in steps:
                restored, problem, passing = None, "another process cannot", False
                try:
                    restored = reader.restore(step, args=args)
                except (*_DAMAGE, OSError, MemoryError) as error:
                    problem, passing = _line(error) or type(error).__name__, _may_pass(error)
                if anywhere(passing):
                    raise InputError(
                        f"{self._newest.directory / str(step)}: cannot be read now ({problem}); "
                        "it is kept, and the same command tries again"
                    )
                if anywhere(restored is None):
                    _LOG.warning(
                        "checkpoint %d cannot be read, trying the one before: %s", step, problem
                    )
                    continue
                self._put_aside([s for s in steps if s > step])
                assert restored is not None
                return restored["state"], restored["data"]
        if steps:
            raise InputError(
                f"{self._newest.directory}: none of the checkpoints {steps} can be read; "
                "expected those of a run with this configuration"
            )
        return None

    def _put_aside(self, steps: list[int]) -> None:
        """Moves damaged checkpoints to where later ones of the same step do not meet them."""
        if not steps:
            return
        aside = self._workdir / "unreadable"
        for step in steps if is_main() else []:
            target = aside / str(step)
            if target.exists():
                target = aside / f"{step}.{uuid.uuid4().hex[:8]}"
            try:
                aside.mkdir(exist_ok=True)
                (self._workdir / "checkpoints" / str(step)).rename(target)
            except OSError as error:
                raise InputError(
                    f"{self._newest.directory / str(step)}: cannot be read, nor moved out of the "
                    f"way ({error.strerror or error})"
                ) from error
            _LOG.warning("checkpoint %d is kept in %s", step, target)
        gather(0)  # no process looks before the move is done
        self._newest.reload()

    @property
    def newest_step(self) -> int | None:
        """The step of the newest checkpoint, or None before the first."""
        return self._newest.latest_step()

    @property
    def best_loss(self) -> float:
        """The lowest validation loss so far; infinite before the first."""
        step = self._best.best_step()
        if step is None:
            return float("inf")
        metrics = self._best.metrics(step)
        return float(metrics["loss"]) if metrics else float("inf")

    def save_best(self, step: int, params: Any, loss: float) -> None:
        """Replaces the kept parameters. The earlier ones go only once these are complete."""
        if step in self._best.all_steps():  # a resumed run comes by here a second time
            return
        with _writing(self._best):
            self._best.save(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.StandardSave(params), config=ocp.args.JsonSave(self._config)
                ),
                metrics={"loss": loss},
                force=True,
            )

    def wait(self) -> None:
        """Returns once everything is on disk; raises what went wrong on the way there."""
        with _writing(self._newest):
            self._newest.wait_until_finished()
            self._best.wait_until_finished()

    def close(self) -> None:
        """Waits, and ends the writing threads."""
        self._newest.close()
        self._best.close()


@contextmanager
def _writing(manager: ocp.CheckpointManager) -> Iterator[None]:
    """A disk that is full, or a folder that is gone, is the user's to hear in one line."""
    try:
        yield
    except (OSError, ValueError) as error:  # tensorstore's are ValueErrors
        raise InputError(
            f"{manager.directory}: a checkpoint cannot be written, earlier ones are kept: "
            f"{_line(error)}"
        ) from error


def _may_pass(error: Exception) -> bool:
    """Whether it is the machine that failed, and not a file that is damaged."""
    if isinstance(error, _DAMAGE):
        return str(error).startswith(_PASSING)
    return True


def stored_steps(workdir: Path) -> list[int]:
    """The steps of the checkpoints to resume from, in order. Writes nothing."""
    return sorted(int(f.name) for f in workdir.glob("checkpoints/[0-9]*") if f.name.isdecimal())


def newest_position(workdir: Path) -> dict[str, Any] | None:
    """The data position in the newest checkpoint. Writes nothing.

    Returns:
        None where there is no checkpoint, or its position cannot be read: what becomes of it then
        is for `Checkpoints.restore` to say.
    """
    steps = stored_steps(workdir)
    if not steps:
        return None
    try:
        with _newest_manager(workdir, read_only=True) as reader:
            args = ocp.args.Composite(data=ocp.args.JsonRestore())
            return reader.restore(steps[-1], args=args)["data"]
    except (*_DAMAGE, OSError):
        return None


def load_best(path: Path) -> tuple[Any, dict[str, Any], int, float]:
    """The kept parameters of a run, with its configuration.

    Args:
        path: the run's folder.

    Returns:
        Parameters on the first local device, the configuration as JSON, the step, the loss.

    Raises:
        InputError: where the folder holds no readable parameters.
    """
    folder = path / "best"
    if not folder.is_dir():
        raise InputError(f"{path}: no checkpoint here; expected a folder that train.py wrote")
    try:
        with _best_manager(path, read_only=True) as manager:
            step = manager.best_step()
            if step is None:
                raise InputError(f"{folder}: the run has no validated parameters yet")
            config = manager.restore(step, args=ocp.args.Composite(config=ocp.args.JsonRestore()))
            loss = float((manager.metrics(step) or {}).get("loss", math.nan))
            return _restore_params(manager, step), config["config"], step, loss
    except InputError:
        raise
    except Exception as error:  # Orbax raises whatever its readers do
        raise InputError(f"{folder}: the parameters cannot be read: {_line(error)}") from error


def _newest_manager(workdir: Path, *, read_only: bool = False) -> ocp.CheckpointManager:
    together = _processes("newest", alone=read_only)
    return ocp.CheckpointManager(
        (workdir / "checkpoints").resolve(),
        options=ocp.CheckpointManagerOptions(
            **_keeping(None if read_only else 2), multiprocessing_options=together
        ),
        item_handlers={
            "state": ocp.StandardCheckpointHandler(multiprocessing_options=together),
            "data": ocp.JsonCheckpointHandler(multiprocessing_options=together),
            "config": ocp.JsonCheckpointHandler(multiprocessing_options=together),
        },
    )


def _best_manager(workdir: Path, *, read_only: bool = False) -> ocp.CheckpointManager:
    together = _processes("best", alone=read_only)
    return ocp.CheckpointManager(
        (workdir / "best").resolve(),
        options=ocp.CheckpointManagerOptions(
            **_keeping(None if read_only else 1),
            best_fn=lambda metrics: metrics["loss"],
            best_mode="min",
            multiprocessing_options=together,
        ),
        item_handlers={
            "params": ocp.StandardCheckpointHandler(multiprocessing_options=together),
            "config": ocp.JsonCheckpointHandler(multiprocessing_options=together),
        },
    )


def _keeping(count: int | None) -> dict[str, Any]:
    """How many checkpoints a manager keeps; None for one that reads.

    A manager writes when it is told to, and a reader is told nothing. Orbax's own ``read_only``
    would change its options back to these, with a warning about each.
    """
    return {"max_to_keep": count, "create": count is not None}


def _processes(name: str, *, alone: bool) -> MultiprocessingOptions:
    """Who works on a folder: all processes, process 0 first among them, or this one alone."""
    if not alone:
        return MultiprocessingOptions(barrier_sync_key_prefix=name)
    here = jax.process_index()
    return MultiprocessingOptions(primary_host=here, active_processes={here})


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _restore_params(manager: ocp.CheckpointManager, step: int) -> Any:
    """Parameters on this process's first device, wherever they lay when they were saved."""
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    metadata = manager.item_metadata(step)["params"]
    abstract = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), metadata
    )
    args = ocp.args.Composite(params=ocp.args.StandardRestore(abstract))
    return manager.restore(step, args=args)["params"]
