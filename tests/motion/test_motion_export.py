"""The fit as a program for other machines and any number of clips."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from jaxmotion.motion import MotionModel, fit


def test_an_exported_fit_takes_any_number_of_clips():
    model = MotionModel("affine", "polynomial")
    [clips] = export.symbolic_shape("b")
    shapes = [jax.ShapeDtypeStruct((clips, 2, 12, 14, size), jnp.float32) for size in (2, 3)]
    program = export.export(
        jax.jit(lambda flow, masks: fit(flow, masks, model).theta),
        platforms=("cpu", "tpu", "cuda"),
    )(*shapes)
    rng = np.random.default_rng(0)
    for count in (1, 4):
        flow = rng.normal(size=(count, 2, 12, 14, 2)).astype(np.float32)
        masks = rng.dirichlet(np.ones(3), size=(count, 2, 12, 14)).astype(np.float32)
        expected = fit(flow, masks, model).theta
        np.testing.assert_allclose(program.call(flow, masks), expected, atol=1e-5)
