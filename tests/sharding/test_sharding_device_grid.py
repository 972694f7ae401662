"""The order of devices: of made-up tori, and of those that the TPU's own compiler describes."""

import importlib.util
import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from jaxmotion.training.device_grid import device_grid

PROGRAM = Path(__file__).with_name("described_meshes.py")


@dataclass(frozen=True)
class Device:
    """As much of a device as its order depends on."""

    id: int
    process_index: int
    platform: str = "tpu"
    device_kind: str = "a TPU of no kind that JAX knows"
    coords: tuple[int, ...] = (0, 0, 0)
    core_on_chip: int = 0
    slice_index: int | None = None


def torus(*shape, slices=1):
    """Chips of a torus, four to a process as their hosts have them: two by two of the plane."""
    devices = []
    for number in range(slices):
        for x, y, z in itertools.product(*map(range, shape)):
            host = (x // 2 * -(-shape[1] // 2) + y // 2) * shape[2] + z
            hosts = -(-shape[0] // 2) * -(-shape[1] // 2) * shape[2]
            devices.append(
                Device(
                    len(devices),
                    host + number * hosts,
                    coords=(x, y, z),
                    slice_index=number if slices > 1 else None,
                )
            )
    np.random.default_rng(0).shuffle(devices)
    return devices


def farthest(grid):
    """The most links between two that are next to each other along time."""
    places = np.array([[[d.coords for d in line] for line in row] for row in grid])
    return int(np.abs(np.diff(places, axis=1)).sum(-1).max(initial=0))


def ranges(grid):
    """Whether the rows of each process follow each other, and are those of its companions."""
    owners = [frozenset(d.process_index for d in row.ravel()) for row in grid]
    rows = {
        process: [i for i, row in enumerate(owners) if process in row]
        for process in frozenset().union(*owners)
    }
    parts = {tuple(found) for found in rows.values()}
    covered = sorted(itertools.chain.from_iterable(parts))
    assert covered == list(range(len(grid)))
    return all(list(part) == list(range(part[0], part[-1] + 1)) for part in parts)


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((4, 4, 1), (16, 1, 1)),
        ((4, 4, 1), (4, 4, 1)),
        ((4, 4, 1), (2, 8, 1)),
        ((4, 4, 1), (1, 16, 1)),
        ((2, 4, 1), (1, 8, 1)),
        ((4, 4, 4), (16, 4, 1)),
        ((4, 4, 4), (4, 16, 1)),
        ((4, 4, 4), (1, 64, 1)),
        ((8, 8, 1), (8, 4, 2)),
    ],
)
def test_along_time_the_next_device_is_a_neighbor(shape, sizes):
    devices = torus(*shape)
    grid = device_grid(sizes, devices)
    assert grid.shape == sizes
    assert set(grid.ravel()) == set(devices)
    assert farthest(grid) <= (1 if sizes[2] == 1 else 2)
    assert ranges(grid)


def test_each_slice_has_a_part_of_data():
    grid = device_grid((4, 8, 1), torus(4, 4, 1, slices=2))
    of_row = [{device.slice_index for device in row.ravel()} for row in grid]
    assert of_row == [{0}, {0}, {1}, {1}]
    assert farthest(grid) == 1
    assert ranges(grid)


def test_slices_that_do_not_divide_data_are_said(caplog):
    grid = device_grid((1, 32, 1), torus(4, 4, 1, slices=2))
    assert [device.slice_index for device in grid.ravel()] == [0] * 16 + [1] * 16
    assert "2 slices do not divide the 1 parts of data" in caplog.text


def test_chips_that_are_no_box_are_in_the_order_of_their_processes(caplog):
    devices = [device for device in torus(4, 4, 1) if device.coords not in {(0, 0, 0), (3, 3, 0)}]
    grid = device_grid((7, 2, 1), devices)
    assert [d.process_index for d in grid.ravel()] == sorted(d.process_index for d in devices)
    assert "in the order of their processes" in caplog.text


def test_other_devices_are_in_the_order_of_their_processes():
    for platform in ("gpu", "cpu"):
        devices = [
            Device(id=8 * (n % 2) + n, process_index=n // 4, platform=platform, slice_index=n // 4)
            for n in range(16)
        ]
        grid = device_grid((1, 16, 1), devices[::-1])
        found = [(device.process_index, device.id) for device in grid.ravel()]
        assert found == sorted(found)


@pytest.mark.tpu_aot
def test_on_the_topologies_of_tpus():
    """Up to `v5e:16x16`, 64 hosts of four chips."""
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("no TPU compiler (pip install jaxmotion[accelerators])")
    nothing = {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        env=os.environ | nothing | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(rows) == 14
    for row in rows:
        assert row["farthest"] <= 1, row
        assert row["loaded"] == "each clip once a row of its devices", row
        assert row["slices"] == "data", row
    assert max(row["hosts"] for row in rows) == 64
