"""A clip cut along time over devices: the fit moves small sums only."""

import pytest

PROGRAM = """
import jax, jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxmotion.motion import MotionModel, fit

mesh = jax.make_mesh((1, 8), ("data", "time"), axis_types=(AxisType.Auto,) * 2)
sharding = NamedSharding(mesh, PartitionSpec("data", "time"))
model = MotionModel("quadratic", "bspline")
flow = jax.ShapeDtypeStruct((1, 64, 32, 48, 2), jnp.float32, sharding=sharding)
masks = jax.ShapeDtypeStruct((1, 64, 32, 48, 2), jnp.float32, sharding=sharding)
with jax.set_mesh(mesh):
    compiled = jax.jit(fit, static_argnums=2).lower(flow, masks, model).compile()
print(compiled.as_text())

rng = np.random.default_rng(0)
flow, masks = rng.normal(size=flow.shape), rng.random(masks.shape)
flow, masks = flow.astype(np.float32), masks.astype(np.float32)
one = fit(flow, masks, model)
with jax.set_mesh(mesh):
    cut = fit(jax.device_put(flow, sharding), jax.device_put(masks, sharding), model)
np.testing.assert_allclose(cut.objective, one.objective, rtol=1e-5)
"""


@pytest.mark.slow
def test_a_clip_cut_along_time_costs_small_sums_only(collectives):
    found = collectives(PROGRAM)
    assert {name for name, _ in found} == {"all-reduce"}
    assert max(size for _, size in found) < 64 * 32 * 48 * 2 / 10
