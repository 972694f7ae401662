"""Which device holds what: clips over the ``data`` axis, parameters everywhere."""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxmotion.errors import InputError


def make_mesh(batch_size: int) -> Mesh:
    """All devices along ``data``.

    Raises:
        InputError: where the batch cannot be split evenly over them.
    """
    devices = jax.devices()
    if batch_size % len(devices):
        raise InputError(
            f"--batch_size {batch_size}: expected a multiple of the {len(devices)} devices"
        )
    return Mesh(np.asarray(devices), ("data",))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def over_clips(mesh: Mesh) -> NamedSharding:
    """The leading axis, clips, split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))
