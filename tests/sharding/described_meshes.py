"""Meshes of TPUs that are described, not there: how they lie and who loads what; run by the tests.

python described_meshes.py      a line of JSON for each
"""

import json

import numpy as np
from jax.experimental import topologies

from jaxmotion.training.config import MeshConfig
from jaxmotion.training.shardings import make_mesh, process_share

# Topology, sizes of the mesh, slices.
MESHES = [
    ("v5e:16x16", (256, 1), 1),
    ("v5e:16x16", (64, 4), 1),
    ("v5e:16x16", (32, 8), 1),
    ("v5e:16x16", (16, 16), 1),
    ("v5e:16x16", (8, 32), 1),
    ("v5e:16x16", (1, 256), 1),
    ("v5e:2x4", (1, 8), 1),
    ("v5e:2x4", (2, 4), 1),
    ("v5p:4x8x8", (64, 4), 1),
    ("v5p:4x8x8", (4, 64), 1),
    ("v6e:16x16", (64, 4), 1),
    ("tpu7x:2x2x1", (2, 4), 1),
    ("v5e:2x4", (4, 4), 2),
    ("v5e:4x4", (4, 16), 4),
]


def loaded(mesh, clips: int) -> str:
    """Whether the parts of all processes cover each row by the processes that have devices in it.

    What `put_batch` hands to a device is the range of its row, so it must lie in the part that its
    process loads.
    """
    rows, of_row = len(mesh.devices), clips // len(mesh.devices)
    for row in range(rows):
        for device in mesh.devices[row].ravel():
            share = process_share(mesh, clips, device.process_index)
            each = clips // share.data_count
            first = share.data_index * each
            if not first <= row * of_row <= (row + 1) * of_row - 1 < first + each:
                return f"row {row} is not loaded by process {device.process_index}"
    return "each clip once a row of its devices"


def main() -> None:
    """Prints what the tests look at."""
    for name, (data, time), slices in MESHES:
        more = {"num_slices": slices} if slices > 1 else {}
        topology = topologies.get_topology_desc(topology_name=name, platform="tpu", **more)
        devices = list(topology.devices)
        clips = 2 * data
        mesh = make_mesh(MeshConfig(data, time), clips, devices)
        places = np.array([[d.coords for d in row[:, 0]] for row in mesh.devices])
        of_row = [{getattr(d, "slice_index", 0) for d in row.ravel()} for row in mesh.devices]
        print(
            json.dumps(
                {
                    "mesh": [name, data, time, slices],
                    "hosts": len({device.process_index for device in devices}),
                    "farthest": int(np.abs(np.diff(places, axis=1)).sum(-1).max(initial=0)),
                    "loaded": loaded(mesh, clips),
                    "slices": "data" if all(len(found) == 1 for found in of_row) else "others",
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
