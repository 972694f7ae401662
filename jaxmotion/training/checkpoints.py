"""Checkpoints: the newest to resume from, the best to keep. Orbax writes both atomically.

Several processes write a checkpoint together, each what its devices hold, and read it each by
itself, so that a file which one of them cannot read leaves no other waiting.

A run's folder holds ``checkpoints/STEP`` (state and data position, the newest two) and
``best/STEP`` (the variables alone, those of the best validation), beside ``config.json``. What
cannot be read is moved to ``unreadable/STEP``, never deleted.
"""

import dataclasses
import logging
import uuid
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxmotion.errors import InputError
from jaxmotion.stores import is_url, line, move_folder, talking_to
from jaxmotion.training.distributed import anywhere, gather, is_main
from jaxmotion.training.kept import Kept
from jaxmotion.training.step import TrainState
from jaxmotion.training.storage import (
    DAMAGE,
    absolute,
    finished_steps,
    keeping,
    may_pass,
    processes,
    writing,
)

_LOG = logging.getLogger(__name__)
_OF_FILES = (*DAMAGE, OSError, MemoryError)


class Checkpoints:
    """The checkpoints of one run.

    Args:
        workdir: the run's folder, created if missing.
        config: the run's configuration as JSON; it is stored inside every checkpoint.

    Attributes:
        best: the kept variables.
    """

    def __init__(self, workdir: Path, config: dict[str, Any]) -> None:
        self._workdir, self._config = workdir, config
        try:
            with talking_to(workdir):
                self._newest = _newest_manager(workdir)
                self.best = Kept(workdir, config)
        except (OSError, ValueError) as error:
            raise InputError(f"{workdir}: unreadable checkpoints: {line(error)}") from error
        seen = gather(self.newest_step or 0)
        if (seen != seen[0]).any():
            raise InputError(
                f"{workdir}: the processes see different checkpoints there, of steps "
                f"{seen.tolist()}; expected a folder that all hosts share"
            )

    def save(self, state: TrainState, data: dict[str, Any]) -> None:
        """Stores the state and the position in the data under the state's step.

        It returns at once; the writing goes on in the background.

        Args:
            state: the state to store; nothing is written if its step is stored already.
            data: position of the loader, as JSON.
        """
        step = int(state.step)
        if step in self._newest.all_steps():
            return
        with writing(self._newest):
            # A run resumed from here will not validate again, so its best must be on disk first.
            self.best.wait()
            self._newest.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(_tree(state)),
                    data=ocp.args.JsonSave(data),
                    config=ocp.args.JsonSave(self._config),
                ),
                force=True,  # or else Orbax asks JAX too whether to stop, by another count
            )

    def restore(self, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Reads the newest readable state and its data position, or None where there is none.

        Damaged checkpoints newer than the restored one are moved out of the way of later ones.

        Args:
            like: a state of the same structure, with the shardings wanted.

        Raises:
            InputError: where there are checkpoints but none can be read, or where reading failed
                for a reason that may pass.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, _tree(like))
        args = ocp.args.Composite(
            state=ocp.args.StandardRestore(abstract), data=ocp.args.JsonRestore()
        )
        steps = sorted(self._newest.all_steps(), reverse=True)
        with _newest_manager(self._workdir, read_only=True) as reader:
            for step in steps:
                restored, problem, passing = None, "another process cannot", False
                try:
                    restored = reader.restore(step, args=args)
                except Exception as error:
                    if not (is_url(self._workdir) or isinstance(error, _OF_FILES)):
                        raise  # a store's client has errors of its own
                    problem, passing = line(error) or type(error).__name__, may_pass(error)
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
                return dataclasses.replace(like, **restored["state"]), restored["data"]
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
            with talking_to(target):
                taken = target.exists()
            if taken:
                target = aside / f"{step}.{uuid.uuid4().hex[:8]}"
            try:
                move_folder(self._workdir / "checkpoints" / str(step), target)
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

    def wait(self) -> None:
        """Returns once everything is on disk; raises what went wrong on the way there."""
        with writing(self._newest):
            self._newest.wait_until_finished()
            self.best.wait()

    def close(self) -> None:
        """Waits, and ends the writing threads."""
        self._newest.close()
        self.best.close()


def stored_steps(workdir: Path) -> list[int]:
    """The steps of the checkpoints to resume from, in order. Writes nothing."""
    return finished_steps(workdir / "checkpoints")


def newest_position(workdir: Path) -> dict[str, Any] | None:
    """The data position in the newest checkpoint. Writes nothing.

    Returns:
        None where there is no checkpoint, or its position cannot be read: what becomes of it then
        is for `Checkpoints.restore` to say.
    """
    steps = stored_steps(workdir)
    if not steps:
        return None
    with talking_to(workdir):
        try:
            with _newest_manager(workdir, read_only=True) as reader:
                args = ocp.args.Composite(data=ocp.args.JsonRestore())
                return reader.restore(steps[-1], args=args)["data"]
        except (*DAMAGE, OSError):
            return None


def _newest_manager(workdir: Path, *, read_only: bool = False) -> ocp.CheckpointManager:
    together = processes("newest", alone=read_only)
    return ocp.CheckpointManager(
        absolute(workdir / "checkpoints"),
        options=ocp.CheckpointManagerOptions(
            **keeping(None if read_only else 2), multiprocessing_options=together
        ),
        item_handlers={
            "state": ocp.StandardCheckpointHandler(multiprocessing_options=together),
            "data": ocp.JsonCheckpointHandler(multiprocessing_options=together),
            "config": ocp.JsonCheckpointHandler(multiprocessing_options=together),
        },
    )


def _tree(state: TrainState) -> dict[str, Any]:
    """A state by name, without what the task has none of, so that older checkpoints fit."""
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return fields if state.collections else {n: v for n, v in fields.items() if n != "collections"}
