"""A clip cut along time over devices: the fit moves small sums only."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import re
import jax, jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxmotion.motion import MotionModel, fit

mesh = jax.make_mesh((1, 8), ("data", "time"), axis_types=(AxisType.Auto,) * 2)
sharding = NamedSharding(mesh, PartitionSpec("data", "time"))
model = MotionModel("quadratic", "bspline")
flow = jax.ShapeDtypeStruct((1, 64, 32, 48, 2), jnp.float32, sharding=sharding)
masks = jax.ShapeDtypeStruct((1, 64, 32, 48, 2), jnp.float32, sharding=sharding)
compiled = fit.lower(flow, masks, model).compile()
pattern = r"= (.*?) (all-gather|all-reduce|collective-permute|all-to-all|reduce-scatter)[(-]"
for shapes, name in re.findall(pattern, compiled.as_text()):
    axes = [s.split(",") for s in re.findall(r"\\[([\\d,]*)\\]", shapes)]
    print(name, max(int(np.prod([int(n) for n in a if n])) for a in axes))

rng = np.random.default_rng(0)
flow, masks = rng.normal(size=flow.shape), rng.random(masks.shape)
flow, masks = flow.astype(np.float32), masks.astype(np.float32)
one, info = fit(flow, masks, model, return_info=True)
cut, info_cut = fit(jax.device_put(flow, sharding), jax.device_put(masks, sharding), model,
                    return_info=True)
np.testing.assert_allclose(info_cut.objective, info.objective, rtol=1e-5)
"""


@pytest.mark.slow
def test_a_clip_cut_along_time_costs_small_sums_only():
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    }
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    collectives = [line.split() for line in run.stdout.splitlines()]
    assert {name for name, _ in collectives} == {"all-reduce"}
    assert max(int(size) for _, size in collectives) < 64 * 32 * 48 * 2 / 10
