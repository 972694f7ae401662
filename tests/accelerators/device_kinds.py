"""Prints what JAX calls the chips that a compiler describes; run by the tests.

python device_kinds.py TOPOLOGY ...
"""

import json
import sys

from jax.experimental import topologies


def kind(name: str) -> str:
    """The kind of the devices of a topology."""
    return topologies.get_topology_desc(platform="tpu", topology_name=name).devices[0].device_kind


if __name__ == "__main__":
    print(json.dumps([kind(name) for name in sys.argv[1:]]))
