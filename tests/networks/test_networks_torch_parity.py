"""The published networks: parameter counts, and the same numbers as their torch twins."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.configs import get_config
from jaxmotion.networks import PUBLISHED_EM, PUBLISHED_LT_MS, PUBLISHED_ST_MS, build_segmenter
from jaxmotion.scenes import LEVELS, generate
from jaxmotion.tasks.segmentation import SegmentationTask

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("config", "frames", "count"),
    [
        (PUBLISHED_EM, 1, 497_669_058),  # published as 497.7 M
        (PUBLISHED_ST_MS, 3, 1_335_940),  # 1.336 M
        (PUBLISHED_LT_MS, 9, 4_637_600),  # 4.638 M
    ],
    ids=["EM", "ST-MS", "LT-MS"],
)
def test_published_parameter_counts(config, frames, count):
    flow = jax.ShapeDtypeStruct((1, frames, 128, 224, 2), jnp.float32)
    variables = jax.eval_shape(build_segmenter(config).init, jax.random.key(0), flow)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == count


@pytest.fixture
def twins(monkeypatch):
    """The torch twins; skipped without torch (`pip install jaxmotion[torch]`)."""
    pytest.importorskip("torch", reason="the torch twins need the [torch] extra")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import torch
    import torch_networks

    torch.manual_seed(0)
    return torch_networks


@pytest.mark.parametrize("shape", [(2, 1, 32, 48), (1, 1, 27, 41)])
def test_em_agrees_with_the_twin(twins, shape):
    widths = (8, 16, 32, 64)
    ours = replace(PUBLISHED_EM, widths=widths, num_masks=3)
    check(twins, twins.EM(3, widths), ours, shape)


@pytest.mark.parametrize("shape", [(2, 3, 16, 24), (1, 3, 13, 22)])
def test_st_ms_agrees_with_the_twin(twins, shape):
    check(twins, twins.STMS(4), PUBLISHED_ST_MS, shape)


@pytest.mark.parametrize("shape", [(2, 9, 8, 12), (1, 18, 12, 8)])
def test_lt_ms_agrees_with_the_twin(twins, shape):
    check(twins, twins.LTMS(4), PUBLISHED_LT_MS, shape)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "twin", "frames"), [("st_ms_published", "STMS", 3), ("lt_ms_published", "LTMS", 9)]
)
def test_the_twin_minimizes_the_same_loss(twins, config, twin, frames):
    """What the benchmark times is the same step; its fit ends some per cent above the minimum."""
    import torch

    network = getattr(twins, twin)(4).eval()
    flow = generate(LEVELS["default"], frames, 32, 48, seed=0).flow[None]
    config = get_config(config).task
    design = np.asarray(config.motion.design(*flow.shape[1:4]), np.float32)
    still = torch.optim.SGD(network.parameters(), lr=0.0)
    theirs = twins.training_step(network, still, flow, design)

    task = SegmentationTask(
        config.network, config.motion, config.augment, objective=config.objective
    )
    params = jax.tree.map(jnp.asarray, twins.to_params(network))
    batch = {"flow": flow, "valid": np.ones(flow.shape[:-1], np.float32)}
    step = jnp.int32(10**6)
    loss = jax.jit(lambda p, b: task.loss({"params": p}, b, step=step, key=None).loss)
    ours = loss(params, batch)
    assert ours[0] < theirs + 1e-4
    np.testing.assert_allclose(ours[0], theirs, rtol=0.05)


def check(twins, network, config, shape):
    """Random weights, biases and scales included, give the same logits to 1e-4."""
    import torch

    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    network.eval()
    flow = np.random.default_rng(0).normal(0, 3, (*shape, 2)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(flow)).numpy()
    params = jax.tree.map(jnp.asarray, twins.to_params(network))

    module = build_segmenter(config)
    fresh = jax.eval_shape(module.init, jax.random.key(0), flow)["params"]
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(lambda leaf: leaf.shape, fresh)
    logits = jax.jit(module.apply)({"params": params}, flow).logits
    assert expected.std() > 0.1
    np.testing.assert_allclose(logits, expected, atol=1e-4)
