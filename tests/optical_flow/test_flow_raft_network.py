"""The network: its parts against independent ones."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxmotion.networks.raft import LARGE, RAFT, SMALL
from jaxmotion.networks.raft.correlation import AllPairs, OnDemand, pyramid_bytes
from jaxmotion.networks.raft.upsampling import upsample_bilinear, upsample_convex
from jaxmotion.optical_flow.raft import load_weights

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def random_variables(architecture, seed=0):
    """Random weights, small enough for flow of some pixels."""
    rng = np.random.default_rng(seed)
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
    shapes = jax.eval_shape(RAFT(architecture).init, jax.random.key(0), image, image)
    return jax.tree.map(lambda x: np.abs(rng.normal(0, 0.05, x.shape)).astype("f4"), shapes)


def random_images(seed, *shape):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (2, *shape, 3), np.uint8)


# ------------------------------------------------------------------------------------- correlation


@pytest.mark.parametrize("correlation", [AllPairs, OnDemand])
@pytest.mark.parametrize(("height", "width", "radius"), [(9, 13, 2), (8, 16, 4)])
def test_lookup_interpolates_the_pooled_correlations(correlation, height, width, radius):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 2, height, width, 6)).astype("f4")  # [frame, B, ...]
    match = rng.uniform(-4, 4, (2, height, width, 2)) + np.indices((height, width))[
        ::-1
    ].T.swapaxes(0, 1)
    match[0, 0, :5] = [(-1e9, 3), (1e30, 3), (2, -50), (width - 1, height - 1), (0, 0)]
    match = match.astype("f4")
    found = np.asarray(jax.jit(lambda f, m: correlation(f[0], f[1], radius)(m))(features, match))

    reach = np.arange(-radius, radius + 1)
    for batch in range(2):
        volume = np.einsum("hwc,yxc->hwyx", *features[:, batch].astype("f8")) / np.sqrt(6)
        columns = []
        for level in range(4):
            if level:
                y, x = (side // 2 for side in volume.shape[2:])
                volume = volume[:, :, : 2 * y, : 2 * x].reshape(height, width, y, 2, x, 2)
                volume = volume.mean(axis=(3, 5))
            window = np.empty((height, width, len(reach), len(reach)))
            for i, j in np.ndindex(height, width):
                x, y = match[batch, i, j].astype("f8") / 2**level
                places = np.meshgrid(y + reach, x + reach, indexing="xy")  # x outermost
                window[i, j] = ndimage.map_coordinates(
                    volume[i, j], places, order=1, mode="grid-constant"
                )
            columns.append(window.reshape(height, width, -1))
        np.testing.assert_allclose(found[batch], np.concatenate(columns, -1), atol=2e-5)


def test_both_correlations_give_the_same_flow_and_one_needs_less_memory():
    images = random_images(0, 72, 104)
    variables = random_variables(SMALL)
    flows, memory = {}, {}
    for correlation in ("all_pairs", "on_demand"):
        network = RAFT(SMALL, correlation)
        call = jax.jit(lambda v, a, b, network=network: network.apply(v, a, b, 2))
        compiled = call.lower(variables, images[:1], images[1:]).compile()
        flows[correlation] = np.asarray(compiled(variables, images[:1], images[1:]))
    assert flows["all_pairs"].shape == (1, 72, 104, 2)
    assert np.ptp(flows["all_pairs"]) > 0.1
    np.testing.assert_allclose(flows["on_demand"], flows["all_pairs"], atol=1e-3)
    for correlation in (AllPairs, OnDemand):
        features = jax.ShapeDtypeStruct((1, 60, 107, 128), jnp.float32)
        match = jax.ShapeDtypeStruct((1, 60, 107, 2), jnp.float32)
        call = jax.jit(lambda a, b, m, correlation=correlation: correlation(a, b, 3)(m))
        analysis = call.lower(features, features, match).compile().memory_analysis()
        memory[correlation] = analysis.temp_size_in_bytes
    pixels = [60 * 107, 30 * 53, 15 * 26, 7 * 13]
    assert pyramid_bytes(480, 854) == 4 * pixels[0] * sum(pixels)
    assert memory[AllPairs] > 4 * pixels[0] ** 2
    assert memory[OnDemand] < 0.2 * memory[AllPairs]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [LARGE, SMALL], ids=["large", "small"])
def test_memory_of_the_whole_network_at_480_x_854(architecture):
    image = jax.ShapeDtypeStruct((1, 480, 854, 3), jnp.float32)
    memory = {}
    for correlation in ("all_pairs", "on_demand"):
        network = RAFT(architecture, correlation)
        call = jax.jit(lambda v, a, b, network=network: network.apply(v, a, b, 20))
        compiled = call.lower(random_variables(architecture), image, image).compile()
        memory[correlation] = compiled.memory_analysis().temp_size_in_bytes
    assert memory["on_demand"] < 0.5 * memory["all_pairs"]


# -------------------------------------------------------------------------------------- upsampling


def test_convex_upsampling_takes_the_nine_neighbors():
    rng = np.random.default_rng(0)
    flow, logits = rng.normal(size=(2, 3, 4, 2)), rng.normal(size=(2, 3, 4, 9, 8, 8))
    found = np.asarray(upsample_convex(jnp.float32(flow), jnp.float32(logits)))
    assert found.shape == (2, 24, 32, 2)
    for b, y, x in [(0, 0, 0), (1, 23, 31), (0, 9, 17), (1, 14, 6)]:
        weights = np.exp(logits[b, y // 8, x // 8, :, y % 8, x % 8])
        expected = np.zeros(2)
        for k in range(9):
            row, column = y // 8 + k // 3 - 1, x // 8 + k % 3 - 1
            if 0 <= row < 3 and 0 <= column < 4:
                expected += 8 * weights[k] / weights.sum() * flow[b, row, column]
        np.testing.assert_allclose(found[b, y, x], expected, rtol=1e-4, atol=1e-5)


def test_bilinear_upsampling_goes_from_corner_to_corner():
    flow = np.random.default_rng(0).normal(size=(1, 3, 5, 2))
    found = np.asarray(upsample_bilinear(jnp.float32(flow)))
    rows, columns = np.linspace(0, 2, 24), np.linspace(0, 4, 40)
    places = np.meshgrid(rows, columns, indexing="ij")
    for component in range(2):
        expected = 8 * ndimage.map_coordinates(flow[0, ..., component], places, order=1)
        np.testing.assert_allclose(found[0, ..., component], expected, atol=1e-4)


# ---------------------------------------------------------------------------------- whole networks


def test_samples_of_a_batch_are_independent_and_odd_sizes_are_continued_at_the_edge():
    network, variables = RAFT(SMALL), random_variables(SMALL)
    images = np.stack([random_images(seed, 67, 90) for seed in range(2)], axis=1)
    call = jax.jit(lambda v, a, b: network.apply(v, a, b, 2))
    both = np.asarray(call(variables, *images))
    assert both.shape == (2, 67, 90, 2)
    # 67 to 72 rows, 2 before and 3 after; 90 to 96 columns, 3 and 3
    padded = np.pad(images[:, 1:], ((0, 0), (0, 0), (2, 3), (3, 3), (0, 0)), mode="edge")
    alone = np.asarray(call(variables, *padded))
    np.testing.assert_allclose(both[1:], alone[:, 2:-3, 3:-3], atol=1e-3)


def test_tiny_frames_have_flow():
    network, variables = RAFT(SMALL), random_variables(SMALL)
    images = random_images(0, 20, 33)
    flow = jax.eval_shape(lambda v: network.apply(v, images[:1], images[1:], 1), variables)
    assert flow.shape == (1, 20, 33, 2)


MESH = """
import re
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxmotion.networks.raft import RAFT, SMALL
mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
batch = NamedSharding(mesh, PartitionSpec("data"))
image = jax.ShapeDtypeStruct((4, 64, 72, 3), jnp.float32, sharding=batch)
for correlation in ("all_pairs", "on_demand"):
    network = RAFT(SMALL, correlation)
    variables = jax.eval_shape(network.init, jax.random.key(0), image, image)
    call = jax.jit(lambda v, a, b: network.apply(v, a, b, 2), out_shardings=batch)
    compiled = call.lower(variables, image, image).compile()
    pattern = r"(all-gather|all-reduce|collective-permute|all-to-all|reduce-scatter)[(-]"
    print(correlation, re.findall(pattern, compiled.as_text()))
"""


@pytest.mark.slow
def test_a_batch_over_the_devices_of_a_mesh_exchanges_nothing():
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
    }
    result = subprocess.run(
        [sys.executable, "-c", MESH], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == ["all_pairs []", "on_demand []"]


# ------------------------------------------------------------------- against PyTorch, part by part


@pytest.fixture
def twins(monkeypatch):
    """The twin in PyTorch; skipped without (`pip install jaxmotion[torch]`)."""
    torch = pytest.importorskip("torch", reason="the twin needs the [torch] extra")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import torch_raft

    torch.manual_seed(0)
    torch.set_num_threads(1)
    return torch_raft


@pytest.mark.parametrize("architecture", [LARGE, SMALL], ids=["large", "small"])
def test_every_layer_agrees_with_the_twin(twins, architecture, tmp_path):
    import torch

    twin = twins.RAFT(architecture is SMALL).eval()
    with torch.no_grad():
        for module in twin.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for tensor in (module.weight, module.running_var):
                    tensor.uniform_(0.5, 1.5)
                for tensor in (module.bias, module.running_mean):
                    tensor.uniform_(-0.5, 0.5)
    torch.save(twin.state_dict(), tmp_path / "twin.pth")
    network = RAFT(architecture)
    variables = load_weights(tmp_path / "twin.pth", architecture)
    rng = np.random.default_rng(0)

    def ours(method, *arrays):
        arrays = [jnp.asarray(array) for array in arrays]
        return np.asarray(jax.jit(lambda *a: network.apply(variables, *a, method=method))(*arrays))

    def theirs(module, *arrays):
        with torch.no_grad():
            found = module(*(torch.from_numpy(a.transpose(0, 3, 1, 2).copy()) for a in arrays))
        return found.permute(0, 2, 3, 1).numpy()

    def check(found, expected):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max() + 1e-6)

    # encoders
    image = rng.uniform(-1, 1, (2, 64, 80, 3)).astype("f4")
    for name in ("fnet", "cnet"):
        check(
            ours(lambda m, x, name=name: getattr(m, name)(x), image),
            theirs(getattr(twin, name), image),
        )
    # correlation and lookup
    a, b = rng.normal(size=(2, 2, 16, 19, architecture.features)).astype("f4")
    match = rng.uniform(-5, 24, (2, 16, 19, 2)).astype("f4")
    volume = twins.Correlation(
        *(torch.from_numpy(f).permute(0, 3, 1, 2) for f in (a, b)), twin.radius
    )
    windows = theirs(volume, match)
    check(np.asarray(AllPairs(a, b, architecture.radius)(match)), windows)
    # motion features, recurrent unit, flow head
    flow = rng.normal(0, 3, (2, 16, 19, 2)).astype("f4")
    motion = theirs(twin.update_block.encoder, windows, flow)
    check(ours(lambda m, c, f: m.update.motion(c, f), windows, flow), motion)
    state, context = rng.uniform(-1, 1, (2, 2, 16, 19, architecture.hidden)).astype("f4")
    context = context[..., : architecture.context]
    after = theirs(twin.update_block.gru, state, np.concatenate([context, motion], axis=-1))
    step = theirs(twin.update_block.flow_head, after)
    check(
        ours(
            lambda m, s, x, c, f: m.update(s, m.update.prepare(x), c, f)[0],
            state,
            context,
            windows,
            flow,
        ),
        after,
    )
    check(
        ours(
            lambda m, s, x, c, f: m.update(s, m.update.prepare(x), c, f)[1],
            state,
            context,
            windows,
            flow,
        ),
        step,
    )
    # upsampling
    if architecture.mask:
        found = ours(lambda m, f, s: upsample_convex(f, m.mask(s)), flow, state)
    else:
        found = np.asarray(upsample_bilinear(flow))
    check(found, theirs(twin.upsample, flow, state))
    # all of it; on fewer pixels the twin's coarsest level has one, and `grid_sample` gives NaN
    images = random_images(1, 128, 136)[:, None].astype("f4")
    whole = ours(lambda m, x, y: m(x, y, 2), *images)
    check(whole, theirs(lambda x, y: twin(x, y, 2), *images))
