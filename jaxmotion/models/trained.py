"""A trained network: its variables, and what is known of it."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxmotion.errors import InputError
from jaxmotion.tasks.fields import example_batch
from jaxmotion.tasks.task import Params, Variables
from jaxmotion.training.config import Config


class Trained(NamedTuple):
    """A trained network, and what is known of it.

    Attributes:
        config: configuration that the network was trained with.
        params: parameters of the network.
        step: training step that the parameters are from.
        metrics: figures of its quality by name; ``validation_loss`` among them.
        provenance: notes on its origin by name, in words; empty for a run.
        collections: variables that its task keeps beside the parameters, by name.
    """

    config: Config
    params: Params
    step: int
    metrics: Mapping[str, float | None]
    provenance: Mapping[str, str]
    collections: Mapping[str, Any] = MappingProxyType({})

    @property
    def variables(self) -> Variables:
        """Parameters and further collections."""
        return {"params": self.params, **self.collections}

    @property
    def num_parameters(self) -> int:
        """The number of parameters."""
        return sum(np.size(leaf) for leaf in jax.tree.leaves(self.params))


def check_variables(path: str | os.PathLike, config: Config, found: Mapping[str, Any]) -> None:
    """Refuses variables of another network, one that has changed since or is damaged.

    So it shows here and not in a layer.

    Args:
        path: place that the variables are from, named in errors.
        config: configuration that the variables should belong to.
        found: the variables by name, as `flat_variables` gives them.

    Raises:
        InputError: a name or a shape differs, or the configuration describes no network.
    """
    try:
        task = config.task.build(config.data)
        clip = example_batch(task.spec, {"H": config.data.height, "W": config.data.width})
        network = jax.eval_shape(task.init, jax.random.key(0), clip)
    except Exception as error:  # whatever a layer says of a value that it cannot use
        raise InputError(
            f"{path}: its configuration describes no network: {' '.join(str(error).split())[:200]}"
        ) from error
    shapes, wanted = (
        {name: tuple(leaf.shape) for name, leaf in leaves.items()}
        for leaves in (found, flat_variables(network))
    )
    different = sorted(
        name for name in shapes.keys() | wanted.keys() if shapes.get(name) != wanted.get(name)
    )
    if different:
        name = different[0]
        raise InputError(
            f"{path}: holds parameters of another network; {name} has shape {shapes.get(name)}, "
            f"expected {wanted.get(name)}"
        )


def flat_variables(variables: Variables) -> dict[str, Any]:
    """Arrays by name: parameters by their way through the network, others with `COLLECTION:`."""
    flat = {}
    for collection, tree in variables.items():
        prefix = "" if collection == "params" else f"{collection}:"
        leaves = cast(dict[str, Any], flatten_dict(tree, sep="/"))
        flat |= {f"{prefix}{name}": leaf for name, leaf in leaves.items()}
    return flat


def nested_variables(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The variables that `flat_variables` made flat."""
    collections: dict[str, dict[str, Any]] = {"params": {}}
    for name, leaf in flat.items():
        collection, separator, path = name.rpartition(":")
        collections.setdefault(collection if separator else "params", {})[path] = leaf
    return {name: unflatten_dict(leaves, sep="/") for name, leaves in collections.items()}


def without_folders(config: Config) -> Config:
    """A configuration whose paths are their last names: folders say nothing elsewhere."""

    def last_name(source: str) -> str:
        return (
            source
            if source.startswith(("scenes:", "tfds:", "aerial:", "tracks:"))
            else Path(source).name or source
        )

    source = ",".join(last_name(source) for source in config.data.source.split(","))
    pictures = last_name(config.data.pictures)
    data = dataclasses.replace(config.data, source=source, pictures=pictures)
    evals = dataclasses.replace(config.evals, data=last_name(config.evals.data))
    return dataclasses.replace(config, data=data, start=last_name(config.start), evals=evals)
