"""The fit of one method as a program for a TPU v5e, compiled without one; run by the tests.

python fit_program.py NAME      NAME: one of `METHODS`
"""

import sys

import jax
import jax.numpy as jnp
from jax.experimental import topologies

from jaxmotion.motion import MotionModel, fit

SPLINE = MotionModel("quadratic", "bspline", knot_spacing=3)
# Frames of a clip, and the motion model. The program depends on the image in its loops only.
METHODS = {
    "em": (1, MotionModel()),
    "st_ms": (3, MotionModel("quadratic", "polynomial")),
    "lt_ms": (9, SPLINE),
    "lt_ms of a long clip": (120, SPLINE),
}


def main() -> None:
    """Prints the program."""
    frames, model = METHODS[sys.argv[1]]
    jax.config.update("jax_exec_time_optimization_effort", -1.0)
    chip = topologies.get_topology_desc(
        platform="tpu", topology_name="v5e:1x1", chips_per_host_bounds=[1, 1, 1]
    ).devices[0]
    shape, sharding = (1, frames, 32, 48), jax.sharding.SingleDeviceSharding(chip)
    flow, masks = (
        jax.ShapeDtypeStruct((*shape, size), jnp.float32, sharding=sharding) for size in (2, 4)
    )
    print(jax.jit(fit, static_argnums=2).lower(flow, masks, model).compile().as_text())


if __name__ == "__main__":
    main()
