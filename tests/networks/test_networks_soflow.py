"""SoFlow against a float64 form in numpy, and what its result depends on."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_networks_local_correlation import plain_correlation, plain_lookup

from jaxmotion.networks.soflow.config import SoFlowConfig
from jaxmotion.networks.soflow.network import SoFlow, normalized

CONFIG = SoFlowConfig(
    features=4, context=3, hidden=5, radius=2, levels=2, lookup=1, iterations=2, contrast=2
)


def variables(seed=0, spread=0.3):
    """Random parameters; biases too, so that each of them is seen."""
    image = jax.ShapeDtypeStruct((1, 16, 16, 3), np.float32)
    shapes = jax.eval_shape(SoFlow(CONFIG).init, jax.random.key(0), image, image)
    rng = np.random.default_rng(seed)

    def draw(leaf):
        fan = np.prod(leaf.shape[:-1]) if len(leaf.shape) == 4 else 1 / spread**2
        return (rng.normal(size=leaf.shape) / np.sqrt(fan)).astype(np.float32)

    return jax.tree.map(draw, shapes)


def frames(seed, height, width):
    rng = np.random.default_rng(seed)
    return [np.float32(255 * rng.random((1, height, width, 3))) for _ in range(2)]


def conv(x, p, stride=1):
    kernel = np.float64(p["kernel"])
    rows, columns = kernel.shape[:2]
    up, left = rows // 2, columns // 2
    wide = np.pad(x, ((0, 0), (up, up), (left, left), (0, 0)))
    height, width = x.shape[1:3]
    found = sum(
        wide[:, v : v + height : stride, u : u + width : stride] @ kernel[v, u]
        for v in range(rows)
        for u in range(columns)
    )
    return found + np.float64(p.get("bias", 0))


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def encode(x, p, blocks):
    x = relu(conv(x, p["conv1"], 2))
    for index in range(blocks):
        b = p[f"block{index}"]
        x = relu(x + relu(conv(relu(conv(x, b["conv1"])), b["conv2"])))
    return conv(x, p["conv2"])


def contrast(image, radius):
    image = image / 255
    result = np.zeros_like(image)
    mean = np.zeros_like(image)
    _, height, width, _ = image.shape
    around = [
        (y, x, np.s_[:, max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1])
        for y, x in np.ndindex(height, width)
    ]
    for y, x, part in around:
        mean[:, y, x] = image[part].mean(axis=(1, 2))
    apart = image - mean
    for y, x, part in around:
        variance = np.square(apart[part]).mean(axis=(1, 2, 3))[:, None]
        result[:, y, x] = apart[:, y, x] / np.sqrt(variance + 0.02**2)
    return result


def smooth(features, spacing):
    for axis in (1, 2):
        pad = [(0, 0)] * 4
        pad[axis] = (spacing, spacing)
        wide, size = np.pad(features, pad), features.shape[axis]
        features = sum(
            weight * np.take(wide, np.arange(start, start + size), axis)
            for weight, start in ((0.25, 0), (0.5, spacing), (0.25, 2 * spacing))
        )
    return features


def reference(params, image0, image1, start):
    """The network, written out once more."""
    p, c = params["params"], CONFIG
    image0, image1 = (contrast(np.float64(image), c.contrast) for image in (image0, image1))
    features = []
    for image in (image0, image1):
        f = encode(image, p["fnet"], 2)
        f = f - f.mean(-1, keepdims=True)
        features.append(f / np.sqrt(np.square(f).mean(-1, keepdims=True) + 1e-4))
    both = encode(image0, p["cnet"], 1)
    state, context = np.tanh(both[..., : c.hidden]), relu(both[..., c.hidden :])
    volumes = [
        plain_correlation(features[0], features[1], c.radius),
        plain_correlation(features[0], smooth(features[1], 1), c.radius, 2),
    ]
    weights = np.exp(np.float64(p["sharpness"]) * volumes[0])
    weights /= weights.sum(-1, keepdims=True)
    shifts = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)), axis=-1).reshape(-1, 2)
    flow = weights @ shifts if start == "expected" else np.zeros((*weights.shape[:3], 2))
    u = p["update"]
    for _ in range(c.iterations):
        windows = [plain_lookup(volume, flow / 2**level, 1) for level, volume in enumerate(volumes)]
        correlations = relu(conv(np.concatenate(windows, -1), u["convc1"]))
        motion = relu(conv(relu(conv(flow, u["convf1"])), u["convf2"]))
        motion = relu(conv(np.concatenate([correlations, motion], -1), u["conv"]))
        motion = np.concatenate([motion, flow], -1)
        g = u["gru_0"]
        shares = np.split(conv(context, g["context"]), 3, -1)
        gates = np.split(conv(np.concatenate([state, motion], -1), g["gates"]), 2, -1)
        update, reset = (sigmoid(gate + s) for gate, s in zip(gates, shares[:2], strict=True))
        candidate = conv(np.concatenate([reset * state, motion], -1), g["candidate"])
        state = (1 - update) * state + update * np.tanh(candidate + shares[2])
        flow = flow + conv(relu(conv(state, u["head1"])), u["head2"])
    logits = 0.25 * conv(relu(conv(state, p["mask"]["conv1"])), p["mask"]["conv2"])
    batch, height, width, _ = flow.shape
    logits = logits.reshape(batch, height, width, 9, 2, 2)
    weights = np.exp(logits - logits.max(3, keepdims=True))
    weights /= weights.sum(3, keepdims=True)
    wide = np.pad(2 * flow, ((0, 0), (1, 1), (1, 1), (0, 0)))
    fine = np.zeros((batch, 2 * height, 2 * width, 2))
    for y, x, k, i, j in np.ndindex(height, width, 9, 2, 2):
        neighbor = wide[:, y + k // 3, x + k % 3]
        fine[:, 2 * y + i, 2 * x + j] += weights[:, y, x, k, i, j, None] * neighbor
    return fine


@pytest.mark.parametrize("start", ["expected", "zero"])
def test_it_is_its_float64_form(start):
    params, (first, second) = variables(), frames(0, 12, 16)
    network = SoFlow(replace(CONFIG, start=start))
    expected = reference(params, first, second, start)
    found = jax.jit(network.apply)(params, first, second)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(found, expected, atol=2e-4)
    every = network.apply(params, first, second, method=SoFlow.all_flows)
    assert every.shape == (3, 1, 12, 16, 2)
    np.testing.assert_allclose(every[-1], expected, atol=2e-4)


def test_odd_sides_and_other_numbers_of_updates():
    params, (first, second) = variables(), frames(0, 13, 11)
    for iterations in (1, 3):
        found = SoFlow(CONFIG).apply(params, first, second, iterations)
        assert found.shape == (1, 13, 11, 2)


def test_gain_and_offset_of_a_frame_change_little():
    (image, _) = frames(0, 12, 16)
    one, other = normalized(jnp.asarray(image), 3), normalized(jnp.asarray(0.8 * image + 20), 3)
    np.testing.assert_allclose(one, other, atol=0.03)


@pytest.mark.parametrize("iterations", [1, 2])
def test_a_vector_depends_on_nothing_beyond_its_reach(iterations):
    params = variables(spread=1.0)
    reach = CONFIG.reach(iterations)
    first, second = frames(0, 8, 2 * reach + 20)
    apply = jax.jit(SoFlow(CONFIG).apply, static_argnums=3)
    flow = apply(params, first, second, iterations)
    for image in (first, second):
        image[:, :, :4] = 255 - image[:, :, :4]
    changed = np.abs(apply(params, first, second, iterations) - flow).max(axis=(0, 1, 3))
    assert changed[4 + reach :].max() < 1e-6
    assert changed[: reach // 4].max() > 1e-3
