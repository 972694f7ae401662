"""What devices that share frames exchange in a network, in the program for a TPU itself.

XLA partitions for a TPU by other rules than for a CPU: what `tests/sharding` reads from programs
for CPUs holds for those alone.
"""

import json
from pathlib import Path

import hlo
import network_gradient
import pytest

PROGRAM = Path(__file__).with_name("network_gradient.py")


@pytest.fixture(scope="module")
def exchanges(for_a_tpu) -> list[hlo.Collective]:
    """Of the gradient of a small network whose frames eight TPU devices share."""
    printed = for_a_tpu(PROGRAM.name, "tpu")
    return hlo.collectives(printed[printed.index("HloModule ") :])


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


@pytest.mark.slow
@pytest.mark.tpu_aot
def test_on_a_tpu_less_is_kept_with_parts_computed_twice_or_in_bfloat16(for_a_tpu):
    needed = json.loads(for_a_tpu(PROGRAM.name, "memory").splitlines()[-1])
    for saving, share in {"norms": 0.85, "blocks": 0.75, "bfloat16": 0.65}.items():
        assert needed[saving] < share * needed[""], needed


@pytest.mark.sharding
def test_eight_devices_compute_what_one_does(on_eight_devices):
    rows = [json.loads(line) for line in on_eight_devices(PROGRAM, "compare").splitlines()]
    assert len(rows) == 2
    for loss, gradient in rows:
        assert loss < 1e-6
        assert gradient < 1e-5
