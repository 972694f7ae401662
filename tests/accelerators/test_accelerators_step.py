"""A whole training step in the program for a TPU itself."""

import json

import pytest

# Kernels that run in a step of em at effort -1: what was found (2,955), and a little more.
MOST_KERNELS = 3_050


@pytest.mark.tpu_aot
def test_a_step_of_em_takes_few_kernels_and_gives_its_memory_to_the_next(for_a_tpu):
    program = "../../benchmarks/accelerators.py", "--measure", "em_train", "v5e", "--effort", "-1"
    row = json.loads(for_a_tpu(*program).splitlines()[-1])
    assert row["kernels"] <= MOST_KERNELS
    assert row["aliased"] >= 0.99 * row["outputs"]
    assert row["all-reduce"] == [0, 0]
