"""What a run has kept: the variables of the best validation, to be used."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp

from jaxmotion.errors import InputError
from jaxmotion.tasks.task import Variables
from jaxmotion.training.checkpoint_managers import COST, best_manager, one_line


class Best(NamedTuple):
    """What a run kept.

    Attributes:
        variables: parameters and further collections, on the first local device.
        config: the configuration as JSON.
        step: the step they are from.
        values: loss and metrics in validation.
    """

    variables: Variables
    config: dict[str, Any]
    step: int
    values: Mapping[str, float]


def load_best(path: Path) -> Best:
    """The kept variables of a run, with its configuration.

    Args:
        path: the run's folder.

    Raises:
        InputError: where the folder holds no readable parameters.
    """
    folder = path / "best"
    if not folder.is_dir():
        raise InputError(f"{path}: no checkpoint here; expected a folder that train.py wrote")
    try:
        with best_manager(path, read_only=True) as manager:
            step = manager.best_step()
            if step is None:
                raise InputError(f"{folder}: the run has no validated parameters yet")
            config = manager.restore(step, args=ocp.args.Composite(config=ocp.args.JsonRestore()))
            values = {"loss": math.nan} | dict(manager.metrics(step) or {})
            values.pop(COST, None)
            return Best(_restore_variables(manager, step), config["config"], step, values)
    except InputError:
        raise
    except Exception as error:  # Orbax raises whatever its readers do
        raise InputError(f"{folder}: the parameters cannot be read: {one_line(error)}") from error


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
