"""What network and loss are given: each thing once, whatever is held where nothing is known."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.configs import get_config
from jaxmotion.data.config import AugmentConfig
from jaxmotion.motion import global_residual
from jaxmotion.networks import NetworkConfig, network_features
from jaxmotion.tasks.observation import observe
from jaxmotion.tasks.segmentation import SegmentationTask

NETWORK = NetworkConfig(widths=(4, 8), norm_frames=2)
SHAPE = (2, 3, 8, 12)


def clips():
    """Flow, another one, and valid; what is not valid holds nonsense."""
    rng = np.random.default_rng(0)
    valid = (rng.random(SHAPE) > 0.1).astype(np.float32)
    flows = np.where(valid[..., None] > 0, rng.normal(0, 2, (2, *SHAPE, 2)), np.nan)
    return *flows.astype(np.float32), valid


def number_of_fits(function, *arguments):
    return str(jax.make_jaxpr(function)(*arguments)).count("name=_fit\n")


def test_the_network_sees_one_flow_and_the_loss_another_in_one_fit():
    flow, seen, valid = clips()

    def both(flow, seen, valid):
        return observe(flow, valid, NETWORK, seen=seen, with_residual=True)

    def alone(flow, seen, valid):
        flow, seen = (jnp.where(valid[..., None] > 0, x, 0) for x in (flow, seen))
        residual, seen_residual = (global_residual(x, valid) for x in (flow, seen))
        features = network_features(seen, "residual", residual=seen_residual, valid=valid, frames=2)
        return flow, valid, residual, features

    assert number_of_fits(both, flow, seen, valid) == 1
    assert number_of_fits(alone, flow, seen, valid) == 2
    for found, expected in zip(
        jax.jit(both)(flow, seen, valid), jax.jit(alone)(flow, seen, valid), strict=True
    ):
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_no_gradient_passes_through_it():
    flow, _, valid = clips()

    @jax.grad
    def gradient(flow):
        observation = observe(flow, valid, NETWORK, with_residual=True)
        return jnp.sum(observation.features) + jnp.sum(observation.residual)

    assert not np.any(jax.jit(gradient)(np.nan_to_num(flow)))


@pytest.mark.parametrize(
    ("kind", "asked", "other", "fits"),
    [
        ("raw", False, False, 0),
        ("raw", True, False, 1),
        ("residual", False, False, 1),
        ("residual", True, False, 1),
        ("residual", False, True, 1),
        ("raw", True, True, 1),
    ],
)
def test_nobody_fits_what_nobody_needs(kind, asked, other, fits):
    flow, seen, valid = clips()
    network = replace(NETWORK, input=kind)

    def observation(flow, seen, valid):
        return observe(flow, valid, network, seen=seen if other else flow, with_residual=asked)

    assert number_of_fits(observation, flow, seen, valid) == fits
    assert (jax.eval_shape(observation, flow, seen, valid).residual is None) == (
        fits == 0 or (other and not asked)
    )


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("training", [False, True])
def test_a_step_fits_twice(noise, training):
    """Once the global motion, for network and loss, and once the motions of the masks."""
    config = get_config("quickstart").task
    augmentation = AugmentConfig(flip_horizontal=0.5, corruption_probability=noise)
    task = SegmentationTask(NETWORK, config.motion, augmentation, objective=config.objective)
    batch = {"flow": jnp.zeros((*SHAPE, 2)), "valid": jnp.ones(SHAPE)}
    variables = jax.eval_shape(task.init, jax.random.key(0), batch)
    key = jax.random.key(0) if training else None
    loss = partial(task.loss, step=jnp.zeros(()), key=key)
    count = number_of_fits(loss, variables, batch)
    assert count == 2
