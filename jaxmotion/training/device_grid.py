"""The order of devices in the grid of a mesh, by the network between them.

Along ``data`` devices exchange gradients, once a step; along ``time`` and ``model`` something at
every layer. So ``model`` and ``time`` get the fastest links.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.experimental import mesh_utils

_LOG = logging.getLogger(__name__)


def device_grid(sizes: Sequence[int], devices: Sequence[Any]) -> np.ndarray:
    """Arranges devices in a grid of ``(data, time, model)``.

    On TPUs ``model`` and ``time`` fill boxes of the torus of a slice, and those next to each other
    along ``time`` are neighbors in it, unless ``model`` lies between. Of several slices, which only
    the network of the data center connects, each has a part of ``data`` for itself, where their
    number divides it. Elsewhere, and where devices do not fill a box of the torus, they are in the
    order of their processes.

    Rows along ``data`` that belong to the same processes follow each other, so that what a process
    loads is one range of a batch. The sum over ``data`` does not depend on the order of the rows.

    Args:
        sizes: sizes of the grid; their product is the number of devices.
        devices: all the devices, in any order.

    Returns:
        The devices, `[data, time, model]`.
    """
    ordered = sorted(devices, key=lambda device: (_slice(device), device.process_index, device.id))
    slices = len({_slice(device) for device in ordered})
    if slices > 1 and sizes[0] % slices:
        _LOG.warning(
            "mesh: %d slices do not divide the %d parts of data, so other axes go from slice to "
            "slice, over the network of the data center",
            slices,
            sizes[0],
        )
        slices = 1
    elif ordered[0].platform == "tpu":
        try:
            return _by_rows(_as_path(_on_torus(sizes, ordered, slices)))
        except (AssertionError, NotImplementedError, ValueError) as error:
            words = " ".join(str(error).split())[:200] or "they fill no box of the torus"
            _LOG.warning("mesh: TPUs in the order of their processes (%s)", words)
    return np.asarray(ordered, object).reshape(tuple(sizes))


def _on_torus(sizes: Sequence[int], devices: list[Any], slices: int) -> np.ndarray:
    if slices == 1:
        return mesh_utils.create_device_mesh(sizes, devices, allow_split_physical_axes=True)
    inner = (sizes[0] // slices, *sizes[1:])
    outer = (slices, *(1 for _ in sizes[1:]))
    return mesh_utils.create_hybrid_device_mesh(
        inner, outer, devices, allow_split_physical_axes=True
    )


def _as_path(grid: np.ndarray) -> np.ndarray:
    """The grid with each device along ``time`` beside the next, where the axis fills several of the
    torus: every other line of these is gone along backward.
    """
    places = np.array([(*device.coords, device.core_on_chip) for device in grid[0, :, 0]])
    sizes = [len(np.unique(column)) for column in places.T]
    if np.prod(sizes) != len(places):
        return grid
    order = np.zeros(len(places), int)
    for size, column in zip(sizes, places.T, strict=True):
        digit = np.unique(column, return_inverse=True)[1].ravel()
        order = order * size + np.where(order % 2 == 0, digit, size - 1 - digit)
    return grid[:, np.argsort(order)]


def _by_rows(grid: np.ndarray) -> np.ndarray:
    """The grid with its rows along ``data`` in the order of the processes that they belong to."""

    def owners(row: int) -> tuple[int, tuple[int, ...]]:
        found = grid[row].ravel()
        return _slice(found[0]), tuple(sorted({device.process_index for device in found}))

    return grid[sorted(range(len(grid)), key=owners)]


def _slice(device: Any) -> int:
    """The slice of a TPU. Devices of other kinds say nothing of it that would matter here."""
    return getattr(device, "slice_index", None) or 0 if device.platform == "tpu" else 0
