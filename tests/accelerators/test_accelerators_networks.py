"""What devices that share frames exchange in a network, in the program for a TPU itself.

XLA partitions for a TPU by other rules than for a CPU: what `tests/sharding` reads from programs
for CPUs holds for those alone.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import hlo
import network_gradient
import pytest

PROGRAM = Path(__file__).with_name("network_gradient.py")


@pytest.fixture(scope="module")
def exchanges() -> list[hlo.Collective]:
    """Of the gradient of a small network whose frames eight TPU devices share."""
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("no TPU compiler (pip install jaxmotion[accelerators])")
    # Nothing is asked of the machine, and another process may have the compiler loaded, too.
    nothing = {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "tpu"],
        env=os.environ | nothing | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return hlo.collectives(done.stdout[done.stdout.index("HloModule ") :])


@pytest.mark.tpu_aot
def test_on_a_tpu_frames_go_to_neighbors_alone(exchanges):
    assert {exchange.kind for exchange in exchanges} == {"collective-permute", "all-reduce"}
    frames = network_gradient.frame_bytes()
    permutes = [exchange for exchange in exchanges if exchange.kind == "collective-permute"]
    assert max(permute.bytes for permute in permutes) == max(frames)
    # A frame each way, and one of the gradients of all but the features; some of it is the same.
    most = 4 * sum(frames[:-1]) + 2 * frames[-1]
    assert sum(permute.bytes * permute.times for permute in permutes) <= most
    sums = [exchange for exchange in exchanges if exchange.kind == "all-reduce"]
    assert sum(exchange.bytes * exchange.times for exchange in sums) < 2e5


@pytest.mark.sharding
def test_eight_devices_compute_what_one_does(on_eight_devices):
    rows = [json.loads(line) for line in on_eight_devices(PROGRAM, "compare").splitlines()]
    assert len(rows) == 2
    for loss, gradient in rows:
        assert loss < 1e-6
        assert gradient < 1e-5
