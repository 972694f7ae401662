"""Which device holds what: clips over ``data``, their frames over ``time``, parameters by rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxmotion.errors import InputError
from jaxmotion.tasks.fields import CLIPS, FRAMES, axes_of, check_batch
from jaxmotion.training.config import MeshConfig
from jaxmotion.training.device_grid import device_grid

AXES = ("data", "time", "model")
# Smaller parameters stay whole on every device: to gather them would cost more than they take.
_SMALLEST_SHARDED = 2**14


def make_mesh(config: MeshConfig, batch_size: int, devices: Sequence[Any] | None = None) -> Mesh:
    """Arranges all devices of all processes in a grid of ``(data, time, model)``.

    What is exchanged at every layer, along ``model`` and ``time``, has the fastest links
    (`device_grid`).

    Args:
        config: the sizes of the grid.
        batch_size: number B of clips in a batch, over all processes.
        devices: the devices of the grid; None for all.

    Raises:
        InputError: where the devices do not fill the grid, or the batch cannot be split evenly.
    """
    devices = devices or jax.devices()
    sizes = [getattr(config, axis) for axis in AXES]
    asked = " ".join(f"--mesh.{axis} {size}" for axis, size in zip(AXES, sizes, strict=True))
    known = prod(size for size in sizes if size != -1)
    sizes = [len(devices) // known if size == -1 else size for size in sizes]
    if prod(sizes) != len(devices):
        raise InputError(f"{asked}: expected sizes whose product is the {len(devices)} devices")
    if batch_size % sizes[0]:
        raise InputError(
            f"--batch_size {batch_size}: expected a multiple of the {sizes[0]} parts of {asked}"
        )
    return Mesh(device_grid(sizes, devices), AXES, axis_types=(AxisType.Auto,) * len(AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of an array that is whole on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_shardings(mesh: Mesh, spec: Mapping[str, str]) -> dict[str, NamedSharding]:
    """The shardings of a batch: clips over ``data``, frames over ``time``, nothing else.

    Args:
        mesh: the devices, from `make_mesh`.
        spec: axes by field, as `Task.spec` gives them, such as ``{"flow": "B T H W 2"}``.
    """
    over = {CLIPS: "data", FRAMES: "time"}
    return {
        name: NamedSharding(mesh, PartitionSpec(*(over.get(axis) for axis in axes)))
        for name, axes in axes_of(spec).items()
    }


def state_shardings(mesh: Mesh, state: Any, *, fsdp: bool) -> Any:
    """The shardings of parameters, their average and the optimizer's state, by their shapes.

    They are whole on every device, unless the mesh has a ``model`` axis, which divides the last
    axis (the output channels), or ``fsdp``, which divides the largest other axis over ``data``.

    Args:
        mesh: the devices, from `make_mesh`.
        state: a tree of arrays or of their shapes.
        fsdp: whether large parameters are divided over ``data`` too, as `MeshConfig.fsdp` says.

    Returns:
        A tree of shardings like ``state``.
    """

    def rule(leaf: Any) -> NamedSharding:
        spec: list[str | None] = [None] * leaf.ndim
        if leaf.ndim > 1 and leaf.size >= _SMALLEST_SHARDED:
            if mesh.shape["model"] > 1 and leaf.shape[-1] % mesh.shape["model"] == 0:
                spec[-1] = "model"
            free = [
                axis
                for axis in range(leaf.ndim)
                if spec[axis] is None and leaf.shape[axis] % mesh.shape["data"] == 0
            ]
            if fsdp and free:
                spec[max(free, key=lambda axis: leaf.shape[axis])] = "data"
        return NamedSharding(mesh, PartitionSpec(*spec))

    return jax.tree.map(rule, state)


@dataclass(frozen=True)
class ProcessShare:
    """The part of each batch that a process loads.

    Attributes:
        data_index: number of the part, from 0; processes with the same part load the same clips,
            and hand over only the frames that their devices hold.
        data_count: number of parts that the batch is divided into.
    """

    data_index: int
    data_count: int


def process_share(mesh: Mesh, batch_size: int, process: int | None = None) -> ProcessShare:
    """The part of the batch that a process loads.

    Args:
        mesh: the devices, from `make_mesh`.
        batch_size: number B of clips in a batch, over all processes.
        process: index of the process; None for this one.

    Raises:
        InputError: where the processes' devices do not divide the batch into equal parts.
    """
    owners = np.vectorize(lambda device: device.process_index, otypes=[int])(mesh.devices)
    rows = {
        int(owner): tuple(np.flatnonzero((owners == owner).any(axis=(1, 2))))
        for owner in np.unique(owners)
    }
    parts = sorted(set(rows.values()))
    # In this order, so that each part is a range of the batch too.
    covered = [row for part in parts for row in part]
    if covered != list(range(len(owners))) or len({len(part) for part in parts}) > 1:
        raise InputError(
            f"mesh {dict(mesh.shape)} over {len(rows)} processes: expected --mesh.data and the "
            "devices of a process to divide one another"
        )
    share = ProcessShare(parts.index(rows[_this(process)]), len(parts))
    if batch_size % share.data_count:
        raise InputError(f"--batch_size {batch_size}: expected a multiple of {share.data_count}")
    return share


def _this(process: int | None) -> int:
    return jax.process_index() if process is None else process


def put_batch(
    mesh: Mesh,
    spec: Mapping[str, str],
    batch: Mapping[str, np.ndarray],
    *,
    share: ProcessShare | None = None,
) -> dict[str, jax.Array]:
    """Brings clips to the devices, frames padded by zeros to a multiple of the ``time`` axis.

    Padded frames count nowhere: a field such as ``valid``, which says where something is known,
    is 0 there, like every other field.

    Args:
        mesh: the devices, from `make_mesh`.
        spec: axes by field, as `Task.spec` gives them; fields not in it stay on the host.
        batch: arrays by field, with the clips that this process loads (`process_share`).
        share: the part that this process loads, where it is known already.

    Returns:
        Global arrays by field.

    Raises:
        InputError: where a field is missing, or has another shape (`check_batch`).
    """
    check_batch(spec, batch)
    share = share or process_share(mesh, 0)
    first = share.data_index * len(batch[next(iter(spec))])

    def put(array: np.ndarray, sharding: NamedSharding) -> jax.Array:
        shape = (len(array) * share.data_count, *array.shape[1:])

        def part(index: Any) -> np.ndarray:
            start, stop, _ = index[0].indices(shape[0])
            return array[(slice(start - first, stop - first), *index[1:])]

        return jax.make_array_from_callback(shape, sharding, part)

    axes = axes_of(spec)
    return {
        name: put(pad_frames(np.asarray(batch[name]), axes[name], mesh.shape["time"]), sharding)
        for name, sharding in batch_shardings(mesh, spec).items()
    }


def pad_frames(array: np.ndarray, axes: Sequence[str], multiple: int) -> np.ndarray:
    """Fills an array up with zeros behind the last frame, to a multiple of frames.

    Args:
        array: field of a batch, an array with these axes.
        axes: names of the field's axes; a field without frames stays as it is.
        multiple: number that the number of frames becomes a multiple of.
    """
    missing = [
        -size % multiple if axis == FRAMES else 0
        for axis, size in zip(axes, array.shape, strict=True)
    ]
    return np.pad(array, [(0, more) for more in missing]) if any(missing) else array
