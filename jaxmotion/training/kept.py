"""The result that a run keeps: the variables that do best in validation."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp

from jaxmotion.errors import InputError
from jaxmotion.stores import line
from jaxmotion.tasks.task import Variables
from jaxmotion.training.metrics import json_safe
from jaxmotion.training.storage import absolute, keeping, processes, writing

_COST = "criterion"
"""Among the values of a kept network, what it has the least of; older runs have the loss alone."""


class Kept:
    """The kept variables of one run, ``best/STEP`` in its folder.

    Args:
        workdir: the run's folder.
        config: the run's configuration as JSON; it is stored beside them.
    """

    def __init__(self, workdir: Path, config: dict[str, Any]) -> None:
        self._manager, self._config = _best_manager(workdir), config
        self._values = self._stored_values()

    @property
    def cost(self) -> float:
        """The cost of the kept variables, the lowest so far; infinite before the first."""
        return _cost(self._values)

    @property
    def loss(self) -> float:
        """The validation loss of the kept variables; infinite before the first."""
        return float(self._values.get("loss", math.inf))

    def _stored_values(self) -> dict[str, Any]:
        step = self._manager.best_step()
        return {} if step is None else dict(self._manager.metrics(step) or {})

    def save(
        self,
        step: int,
        variables: Variables,
        values: Mapping[str, float],
        cost: float | None = None,
    ) -> None:
        """Replaces the kept variables. The earlier ones go only once these are complete.

        Args:
            step: training step that the variables are from.
            variables: parameters, and whatever else the task keeps.
            values: loss and metrics in validation, by name.
            cost: value that decides which variables are kept, the lowest; None for the loss.
        """
        if step in self._manager.all_steps():  # a resumed run comes by here a second time
            return
        collections = dict(variables)
        items: dict[str, Any] = {"params": ocp.args.StandardSave(collections.pop("params"))}
        if collections:
            items["collections"] = ocp.args.StandardSave(collections)
        # The file is written in the background; the next validation must not wait for it.
        self._values = json_safe(dict(values)) | ({} if cost is None else {_COST: cost})
        with writing(self._manager):
            self._manager.save(
                step,
                args=ocp.args.Composite(config=ocp.args.JsonSave(self._config), **items),
                metrics=self._values,
                force=True,
            )

    def wait(self) -> None:
        """Returns once everything is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits, and ends the writing threads."""
        self._manager.close()


class Best(NamedTuple):
    """The best variables of a run, and what is stored beside them.

    Attributes:
        variables: parameters and further collections, on the first local device.
        config: the run's configuration as JSON.
        step: training step that the variables are from.
        values: loss and metrics in validation, by name.
    """

    variables: Variables
    config: dict[str, Any]
    step: int
    values: Mapping[str, float]


def load_best(path: Path) -> Best:
    """Reads the kept variables of a run, with its configuration.

    Args:
        path: the run's folder.

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
            values = {"loss": math.nan} | dict(manager.metrics(step) or {})
            values.pop(_COST, None)
            return Best(_restore_variables(manager, step), config["config"], step, values)
    except InputError:
        raise
    except Exception as error:  # Orbax raises whatever its readers do
        raise InputError(f"{folder}: the parameters cannot be read: {line(error)}") from error


def _best_manager(workdir: Path, *, read_only: bool = False) -> ocp.CheckpointManager:
    together = processes("best", alone=read_only)
    return ocp.CheckpointManager(
        absolute(workdir / "best"),
        options=ocp.CheckpointManagerOptions(
            **keeping(None if read_only else 1),
            best_fn=_cost,
            best_mode="min",
            multiprocessing_options=together,
        ),
        item_handlers={
            "params": ocp.StandardCheckpointHandler(multiprocessing_options=together),
            "collections": ocp.StandardCheckpointHandler(multiprocessing_options=together),
            "config": ocp.JsonCheckpointHandler(multiprocessing_options=together),
        },
    )


def _cost(values: Mapping[str, Any]) -> float:
    cost = values.get(_COST, values.get("loss"))
    return math.inf if cost is None else float(cost)


def _restore_variables(manager: ocp.CheckpointManager, step: int) -> Variables:
    """Variables on this process's first device, wherever they lay when they were saved."""
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    metadata = manager.item_metadata(step)

    def restored(item: str) -> Any:
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), metadata[item]
        )
        args = ocp.args.Composite(**{item: ocp.args.StandardRestore(abstract)})
        return manager.restore(step, args=args)[item]

    more = metadata.get("collections") is not None
    return {"params": restored("params"), **(restored("collections") if more else {})}
