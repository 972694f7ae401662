"""LRP against the double sums of the equations in float64, and what holds of any attribution."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.networks.classifier import CHANNELS, build_classifier
from jaxmotion.networks.classifier_config import ClassifierConfig
from jaxmotion.saliency.attribution import attribute


class Net(nn.Module):
    """Three blocks and a dense layer, of linen's own parts, in any precision."""

    widths: tuple[int, ...] = (3, 4, 5)
    scale: bool = False

    @nn.compact
    def __call__(self, x):
        shape, x = x.shape, x.reshape(-1, *x.shape[2:])
        for width in self.widths:
            x = nn.Conv(width, (3, 3), dtype=x.dtype, param_dtype=x.dtype)(x)
            x = nn.max_pool(x, (2, 2), (2, 2))
            if self.scale:
                x = nn.GroupNorm(num_groups=None, group_size=1, use_bias=False, dtype=x.dtype)(x)
            x = nn.relu(x)
        x = x.reshape(len(x), -1)
        return nn.Dense(1, dtype=x.dtype, param_dtype=x.dtype)(x).reshape(shape[:2])


def random_net(seed=0, dtype=jnp.float64, shape=(2, 1, 8, 10, 2), **options):
    """A net with biases of both signs, as a function, its parameters, and some features."""
    rng = np.random.default_rng(seed)
    net, x = Net(**options), jnp.asarray(rng.normal(1.0, 1.5, shape), dtype)
    shapes = jax.eval_shape(net.init, jax.random.key(0), x)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.7, leaf.shape), dtype), shapes)
    return (lambda y: net.apply(params, y)), params["params"], x


def matrix_of(conv, height, width, channels):
    """A convolution as a dense matrix `[inputs, outputs]`, found by unit vectors."""
    inputs = np.eye(height * width * channels).reshape(-1, height, width, channels)
    return conv(inputs).reshape(len(inputs), -1)


def convolve(x, kernel):
    """The sum over a window of 3 x 3 with zeros around, in numpy."""
    height, width = x.shape[1:3]
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    return sum(
        padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
    )


def shared(x, weights, relevance):
    """Eq. 5.3 as it is written: relevance `[inputs]`, and what is lost."""
    back, lost = np.zeros_like(x), 0.0
    for j in range(len(relevance)):
        parts = x * np.maximum(weights[:, j], 0)
        if parts.sum() > 0:
            back += parts / parts.sum() * relevance[j]
        else:
            lost += relevance[j]
    return back, lost


def shared_between(x, weights, relevance, low, high):
    """Eq. 5.4 as it is written."""
    back, lost = np.zeros_like(x), 0.0
    for j in range(len(relevance)):
        w = weights[:, j]
        parts = x * w - low * np.maximum(w, 0) - high * np.minimum(w, 0)
        if parts.sum() > 0:
            back += parts / parts.sum() * relevance[j]
        else:
            lost += relevance[j]
    return back, lost


def pooled(x):
    """The maximum over 2 x 2 cells of `[H, W, C]`, and for each output its input's index."""
    height, width, channels = x.shape
    index = np.arange(x.size).reshape(x.shape)

    def cells(a):
        a = a[: height // 2 * 2, : width // 2 * 2]
        a = a.reshape(height // 2, 2, width // 2, 2, channels).transpose(0, 2, 4, 1, 3)
        return a.reshape(height // 2, width // 2, channels, 4)

    values, places = cells(x), cells(index)
    winner = values.argmax(axis=-1)[..., None]
    return (np.take_along_axis(a, winner, -1)[..., 0] for a in (values, places))


def dense_lrp(params, x):
    """Logit, relevance `[H, W, C]` and what is lost for one frame, layer by layer."""
    layers, activation = [], np.asarray(x)
    for number in range(3):
        kernel, bias = (np.asarray(params[f"Conv_{number}"][n]) for n in ("kernel", "bias"))
        matrix = matrix_of(lambda y, k=kernel: convolve(y, k), *activation.shape)
        size = (*activation.shape[:2], len(bias))
        value = (activation.ravel() @ matrix).reshape(size) + bias
        value, place = pooled(value)
        layers.append((activation, matrix, int(np.prod(size)), place))
        activation = np.maximum(value, 0)
    kernel, bias = (np.asarray(params["Dense_0"][n]) for n in ("kernel", "bias"))
    logit = float(activation.ravel() @ kernel[:, 0] + bias[0])
    relevance, lost = shared(activation.ravel(), kernel, np.array([max(logit, 0.0)]))
    for number in (2, 1, 0):
        activation, matrix, size, place = layers[number]
        spread = np.zeros(size)
        np.add.at(spread, place.ravel(), relevance)
        flat = activation.ravel()
        if number:
            relevance, gone = shared(flat, matrix, spread)
        else:
            low, high = (
                np.broadcast_to(f(activation, axis=(0, 1)), activation.shape).ravel()
                for f in (np.min, np.max)
            )
            relevance, gone = shared_between(flat, matrix, spread, low, high)
        lost += gone
    return logit, relevance.reshape(x.shape), lost


@pytest.mark.parametrize("seed", range(4))
def test_lrp_is_the_double_sum_of_the_equations(seed):
    with jax.enable_x64(True):
        net, params, x = random_net(seed)
        found = attribute(net, x)
        for frame in range(2):
            logit, relevance, lost = dense_lrp(params, np.asarray(x)[frame, 0])
            scale = max(abs(logit), 1e-12)
            assert float(found.logits[frame, 0]) == pytest.approx(logit, rel=1e-9)
            assert np.abs(found.relevance[frame, 0] - relevance).max() <= 1e-9 * scale
            assert abs(float(found.lost[frame, 0]) - lost) <= 1e-9 * scale
        single, _, _ = random_net(seed, jnp.float32)
        close = attribute(single, x.astype(jnp.float32))
    scale = np.abs(np.asarray(found.logits)).max()
    assert np.abs(close.relevance - found.relevance).max() <= 1e-4 * scale


def flow_net(seed=0, size=(16, 24), frames=2):
    """A classifier of the house with random parameters, and features of its kind."""
    config = ClassifierConfig(widths=(4, 6, 8))
    module, rng = build_classifier(config), np.random.default_rng(seed)
    shape = (1, frames, *size, CHANNELS[config.input])
    x = jnp.asarray(rng.normal(0, 1, shape), jnp.float32)
    params = module.init(jax.random.key(seed), x)["params"]
    noise = lambda leaf: leaf + jnp.asarray(rng.normal(0, 0.3, leaf.shape), jnp.float32)  # noqa: E731
    params = jax.tree.map(noise, params)
    return module, params, x


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.sampled_from([-20.0, 0.0, 20.0]))
def test_relevance_is_never_negative_and_what_is_not_lost_adds_up_to_the_logit(seed, shift):
    """Also where all features are above zero, or all below."""
    module, params, x = flow_net(seed)
    params["Dense_0"]["bias"] = params["Dense_0"]["bias"] + 1.0
    found = attribute(lambda y: module.apply({"params": params}, y), x + shift)
    assert (np.asarray(found.relevance) >= 0).all()
    total = found.relevance.sum(axis=(2, 3, 4)) + found.lost
    np.testing.assert_allclose(total, np.maximum(found.logits, 0), rtol=1e-4, atol=1e-6)


def test_the_classifier_is_not_changed_by_being_explained():
    module, params, x = flow_net()
    net = lambda y: module.apply({"params": params}, y)  # noqa: E731
    for method in ("lrp", "gradient", "integrated_gradients"):
        np.testing.assert_allclose(attribute(net, x, method).logits, net(x), rtol=1e-6)


def test_a_frame_that_is_not_salient_has_nothing_to_attribute():
    module, params, x = flow_net()
    params["Dense_0"]["bias"] = jnp.full(1, -100.0)
    found = attribute(lambda y: module.apply({"params": params}, y), x)
    assert (np.asarray(found.logits) < 0).all()
    assert not np.asarray(found.relevance).any()
    assert not np.asarray(found.lost).any()


def test_what_is_alive_by_its_bias_alone_loses_its_relevance():
    module, params, x = flow_net()
    against = -jnp.ones_like(params["Dense_0"]["kernel"])
    params["Dense_0"] = {"kernel": against, "bias": jnp.full(1, 100.0)}
    found = attribute(lambda y: module.apply({"params": params}, y), x)
    np.testing.assert_allclose(found.lost, found.logits, rtol=1e-6)
    assert not np.asarray(found.relevance).any()


def test_unknown_pixels_have_no_part_and_no_influence():
    module, params, x = flow_net()
    known = np.ones(x.shape[:-1], np.float32)
    known[:, :, 4:9, 5:11] = 0
    x = jnp.where(known[..., None] > 0, x, 0)
    net = lambda y: module.apply({"params": params}, y, known)  # noqa: E731
    found = attribute(net, x, known=known)
    assert not np.asarray(found.pixels)[known == 0].any()
    total = found.relevance.sum(axis=(2, 3, 4)) + found.lost
    np.testing.assert_allclose(total, np.maximum(found.logits, 0), rtol=1e-4, atol=1e-6)


def test_ties_of_the_maximum_and_constant_frames_are_defined():
    module, params, x = flow_net()
    found = attribute(lambda y: module.apply({"params": params}, y), jnp.ones_like(x))
    assert np.isfinite(np.asarray(found.relevance)).all()
    total = found.relevance.sum(axis=(2, 3, 4)) + found.lost
    np.testing.assert_allclose(total, np.maximum(found.logits, 0), rtol=1e-4, atol=1e-6)


def test_a_positive_factor_of_a_norm_changes_no_share_and_a_negative_one_is_refused():
    net, _, x = random_net(dtype=jnp.float32, scale=True)
    with pytest.raises(ValueError, match=r"GroupNorm_\d: a norm with a negative scale"):
        attribute(net, x)


def test_integrated_gradients_add_up_to_the_difference_from_zero():
    net, _, x = random_net(dtype=jnp.float32)
    found = attribute(net, x, "integrated_gradients")
    expected = found.logits - net(jnp.zeros_like(x))
    np.testing.assert_allclose(found.relevance.sum(axis=(2, 3, 4)), expected, rtol=0.1, atol=0.1)


def test_the_gradient_is_that_of_a_finite_difference():
    with jax.enable_x64(True):
        net, _, x = random_net()
        found = attribute(net, x, "gradient")
        step = np.zeros(x.shape)
        step[0, 0, 3, 4, 1] = 1e-6
        difference = (net(x + step) - net(x - step))[0, 0] / 2e-6
        assert float(found.relevance[0, 0, 3, 4, 1]) == pytest.approx(float(difference), rel=1e-6)


def test_what_has_no_rule_is_refused():
    class Other(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.ConvTranspose(1, (3, 3))(x).mean(axis=(2, 3, 4))

    x = jnp.ones((1, 1, 8, 8, 2))
    params = Other().init(jax.random.key(0), x)
    with pytest.raises(ValueError, match="ConvTranspose: no rule of LRP"):
        attribute(lambda y: Other().apply(params, y), x)
    with pytest.raises(ValueError, match="method 'lime': expected lrp, gradient or"):
        attribute(lambda y: y.sum(axis=(2, 3, 4)), x, "lime")  # pyright: ignore[reportArgumentType]


def test_the_rules_are_those_of_zennit():
    """Both rules of LRP in an independent library, over a torch twin with the same weights."""
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    pytest.importorskip("zennit", reason="needs zennit")
    from zennit.attribution import Gradient
    from zennit.composites import SpecialFirstLayerMapComposite
    from zennit.rules import Pass, ZBox, ZPlus

    with jax.enable_x64(True):
        net, params, x = random_net(seed=2)
        found = attribute(net, x)
    tensor = lambda a: torch.tensor(np.array(a))  # noqa: E731
    layers, parts = [], params
    for number in range(3):
        kernel, bias = parts[f"Conv_{number}"]["kernel"], parts[f"Conv_{number}"]["bias"]
        conv = torch.nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
        conv.weight.data = tensor(kernel).permute(3, 2, 0, 1)
        conv.bias.data = tensor(bias)
        layers += [conv, torch.nn.MaxPool2d(2), torch.nn.ReLU()]
    dense = torch.nn.Linear(parts["Dense_0"]["kernel"].shape[0], 1)
    dense.weight.data = tensor(parts["Dense_0"]["kernel"]).T.contiguous()
    dense.bias.data = tensor(parts["Dense_0"]["bias"])
    # One pixel is left by the third pooling, so that the order of a flattened frame is that of its
    # channels.
    model = torch.nn.Sequential(*layers, torch.nn.Flatten(), dense).double()
    image = tensor(x[:, 0]).permute(0, 3, 1, 2)
    for frame in range(2):
        one = image[frame : frame + 1].clone()
        low, high = (
            f(one, dim=(2, 3), keepdim=True).expand_as(one) for f in (torch.amin, torch.amax)
        )
        rule = {"stabilizer": 1e-12, "zero_params": "bias"}
        composite = SpecialFirstLayerMapComposite(
            layer_map=[
                (torch.nn.ReLU, Pass()),
                (torch.nn.Linear, ZPlus(**rule)),
                (torch.nn.Conv2d, ZPlus(**rule)),
            ],
            first_map=[(torch.nn.Conv2d, ZBox(low, high, **rule))],
        )
        with Gradient(model=model, composite=composite) as attributor:
            _, expected = attributor(one, lambda output: output.clamp(min=0))
        expected = expected[0].permute(1, 2, 0).numpy()
        ours = np.asarray(found.relevance[frame, 0])
        assert np.abs(ours - expected).max() <= 1e-5 * max(np.abs(expected).max(), 1e-9)
