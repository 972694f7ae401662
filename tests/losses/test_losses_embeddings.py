"""Losses of instance embeddings against oracles in float64, and what changes nothing in them."""

import itertools
from functools import partial

import hlo
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.losses import bandwidth_smoothness, embedding_loss, lovasz_hinge, seediness


@pytest.fixture(scope="module")
def oracles(shared):
    folder = shared / "oracles" / "embeddings"
    names = ("lovasz_hinge", "embedding_loss", "edge_cases")
    return {name: dict(np.load(folder / f"{name}.npz")) for name in names}


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    with jax.enable_x64(request.param == np.float64):
        yield request.param


@pytest.mark.parametrize("case", range(8))
def test_lovasz_hinge_is_that_of_the_oracle(oracles, case, dtype):
    oracle = oracles["lovasz_hinge"]
    logits, labels = oracle[f"logits_{case}"].astype(dtype), oracle[f"labels_{case}"]
    exact = jax.jit(jax.value_and_grad(lambda x: lovasz_hinge(x, labels, bins=None)))
    value, gradient = exact(logits)
    assert value.dtype == dtype
    np.testing.assert_allclose(value, oracle[f"value_{case}"], rtol=1e-5)
    if f"gradient_{case}" in oracle:
        np.testing.assert_allclose(gradient, oracle[f"gradient_{case}"], rtol=1e-5, atol=1e-7)
    # Many bins: hardly two pixels in one.
    binned = lovasz_hinge(logits, labels, bins=2**20)
    np.testing.assert_allclose(binned, oracle[f"value_{case}"], rtol=1e-5)
    if len(logits) > 1000:
        np.testing.assert_allclose(lovasz_hinge(logits, labels), oracle[f"value_{case}"], atol=1e-5)


def by_definition(logits, labels):
    """The integral over thresholds, from sets."""
    errors = np.maximum(1 - logits * np.where(labels, 1, -1), 0)
    levels = np.unique(np.concatenate([[0], errors]))
    total = 0.0
    for low, high in itertools.pairwise(levels):
        wrong = errors > low
        total += (high - low) * wrong.sum() / (labels | wrong).sum()
    return total


HINGES = [jax.jit(partial(lovasz_hinge, bins=bins)) for bins in (None, 2**20)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.floats(0, 1))
def test_lovasz_hinge_is_an_integral_over_thresholds(seed, number, share):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=40).astype(np.float32), rng.random(40) < share
    known = np.arange(40) < number
    expected = by_definition(logits[known], labels[known])
    order = rng.permutation(40)
    for hinge in HINGES:
        found = hinge(logits, labels, valid=known)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        again = hinge(logits[order], labels[order], valid=known[order])
        np.testing.assert_allclose(again, found, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("number", [14_336, 57_344])
def test_a_thousand_bins_are_as_good_as_sorting(number):
    rng = np.random.default_rng(number)
    labels = rng.random((4, number)) < np.array([0.3, 0.1, 0.02, 0.003])[:, None]
    score = 1.5 * rng.normal(size=labels.shape) + np.where(labels, 1, -2)
    logits = jnp.asarray(np.tanh(score), jnp.float32)

    @partial(jax.jit, static_argnums=0)
    def both(bins):
        value, pull = jax.vjp(lambda x: lovasz_hinge(x, labels, bins=bins), logits)
        return value, pull(jnp.ones(4))[0]

    (exact, exact_gradient), (value, gradient) = jax.tree.map(np.asarray, (both(None), both(1024)))
    np.testing.assert_allclose(value, exact, rtol=0, atol=1e-5)
    for found, expected in zip(gradient, exact_gradient, strict=True):
        assert np.abs(found - expected).sum() < 1e-2 * np.abs(expected).sum()
        cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
        assert cosine > 0.9999


def test_what_is_not_valid_counts_nowhere_in_the_hinge():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 50)), rng.random((2, 50)) < 0.4
    valid = rng.random((2, 50)) < 0.7
    filled = np.where(valid, logits, np.nan)
    for bins in (None, 2**20):
        value, pull = jax.vjp(
            lambda x, b=bins: lovasz_hinge(x, labels, valid=valid, bins=b), jnp.asarray(filled)
        )
        for row in range(2):
            kept = valid[row]
            expected = by_definition(logits[row][kept], labels[row][kept])
            np.testing.assert_allclose(value[row], expected, rtol=1e-5)
        (gradient,) = pull(jnp.ones(2))
        assert np.isfinite(gradient).all()
        assert not np.any(np.asarray(gradient)[~valid])
    assert lovasz_hinge(jnp.ones((0,)), jnp.ones((0,), bool), bins=None) == 0
    with pytest.raises(ValueError, match=r"targets must have shape \(2, 50\)"):
        lovasz_hinge(logits, labels[0])


NAMES = ("lovasz", "smoothness", "seediness")
CLIPS = [(mode, clip) for mode in ("xyff", "xytf", "xyt") for clip in (1, 2)]


@pytest.mark.parametrize(("mode", "clip"), CLIPS)
def test_loss_and_gradients_are_those_of_the_oracle(oracles, mode, clip, dtype):
    oracle = oracles["embedding_loss"]
    of = {name.removeprefix(f"{mode}_{clip}_"): array for name, array in oracle.items()}
    free_std = tuple(oracle[f"{mode}_free_std"].tolist())
    inputs = [of[name].astype(dtype)[None] for name in ("embedding", "log_bandwidth", "seed")]
    ignore = of["ignore"][None] if clip == 1 else None

    def loss(*inputs):
        total, parts = embedding_loss(
            *inputs, of["labels"][None], 3, free_std=free_std, ignore=ignore, bins=None
        )
        return total[0], parts

    both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))
    (total, parts), gradients = both(*inputs)
    np.testing.assert_allclose(total, of["total"], rtol=1e-5)
    for name in NAMES:
        np.testing.assert_allclose(parts[name][0], of[name], rtol=1e-5)
    for name, found in zip(("embedding", "log_bandwidth", "seed"), gradients, strict=True):
        expected = of[f"gradient_{name}"]
        np.testing.assert_allclose(
            found[0], expected, rtol=1e-5, atol=2e-6 * np.abs(expected).max()
        )


@pytest.mark.parametrize("case", ["absent_middle", "no_instance", "one_pixel"])
def test_edge_cases_are_those_of_the_oracle(oracles, case, dtype):
    oracle = oracles["edge_cases"]
    inputs = [oracle[name].astype(dtype)[None] for name in ("embedding", "log_bandwidth", "seed")]
    labels = oracle[f"{case}_labels"][None]

    def loss(*inputs):
        total, parts = embedding_loss(*inputs, labels, 3, free_std=(0.3, 0.3), bins=None)
        return total[0], parts

    both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))
    (total, parts), gradients = both(*inputs)
    np.testing.assert_allclose(total, oracle[f"{case}_total"], rtol=1e-5)
    for name in NAMES:
        np.testing.assert_allclose(parts[name][0], oracle[f"{case}_{name}"], rtol=1e-5, atol=1e-7)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    # A clip without instances still regresses its seed to 0.
    assert np.abs(gradients[2]).max() > 0


def test_the_gradient_of_the_hinge_is_that_of_differences(oracles):
    oracle = oracles["edge_cases"]
    embedding = oracle["embedding"][None]
    with jax.enable_x64(True):

        def loss(embedding):
            _, parts = embedding_loss(
                embedding,
                oracle["log_bandwidth"][None],
                oracle["seed"][None],
                oracle["absent_middle_labels"][None],
                3,
                free_std=(0.3, 0.3),
                bins=None,
            )
            return parts["lovasz"][0]

        gradient = np.asarray(jax.jit(jax.grad(loss))(embedding))[0]
    found = gradient[tuple(oracle["fd_lovasz_index"].T)]
    np.testing.assert_allclose(found, oracle["fd_lovasz_gradient"], rtol=1e-5, atol=1e-9)


def clip(seed=0):
    rng = np.random.default_rng(seed)
    shape = (2, 3, 6, 8)
    labels = rng.integers(0, 3, shape)
    return rng.normal(size=(*shape, 4)), rng.normal(size=(*shape, 2)), rng.random(shape), labels


def test_absent_instances_weigh_nothing_whatever_their_number():
    *inputs, labels = clip()
    loss = jax.jit(partial(embedding_loss, free_std=(0.3, 0.3)), static_argnums=4)
    few, many = (loss(*inputs, labels, number)[0] for number in (2, 7))
    np.testing.assert_allclose(many, few, rtol=1e-5)


def test_padding_and_unknown_pixels_change_nothing():
    """Frames behind a clip, as devices that share frames need them, and pixels without flow."""
    *inputs, labels = clip()
    rng = np.random.default_rng(1)
    valid = (rng.random(labels.shape) < 0.8).astype(np.float32)
    options = {"free_std": (0.3, 0.3)}
    expected, _ = jax.jit(partial(embedding_loss, num_instances=2, **options))(
        *inputs, labels, valid=jnp.asarray(valid)
    )
    wrong = [np.where(valid[..., None] > 0, x, np.nan) for x in inputs[:2]]
    wrong.append(np.where(valid > 0, inputs[2], np.nan))

    def pad(x):
        return np.pad(x, [(0, 0), (0, 2)] + [(0, 0)] * (x.ndim - 2))

    arguments = [jnp.asarray(pad(x)) for x in wrong]

    def loss(*arguments):
        total, _ = embedding_loss(
            *arguments, pad(labels), 2, valid=jnp.asarray(pad(valid)), **options
        )
        return total.sum(), total

    both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))
    (_, found), gradients = both(*arguments)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_an_even_bandwidth_and_a_right_seed_cost_nothing():
    *_, labels = clip()
    assert not np.any(bandwidth_smoothness(np.ones((*labels.shape, 2)), labels, 3))
    probability = np.random.default_rng(0).random((2, 2, *labels.shape[1:]))
    own = np.zeros(labels.shape)
    for label in (1, 2):
        own = np.where(labels == label, probability[:, label - 1], own)
    np.testing.assert_allclose(seediness(own, probability, labels), 0, atol=1e-6)
    raised = np.where(labels == 0, 0.5, own)
    np.testing.assert_allclose(seediness(raised, probability, labels), 0.25 / 3, rtol=1e-5)
    free = seediness(raised, probability, labels, ignore=labels == 0)
    np.testing.assert_allclose(free, 0, atol=1e-6)


SHARDED = """
import jax, jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxmotion.losses import embedding_loss

mesh = jax.make_mesh((1, 8), ("data", "time"), axis_types=(AxisType.Auto,) * 2)
frames = NamedSharding(mesh, PartitionSpec("data", "time"))

def array(*channels, dtype=jnp.float32):
    return jax.ShapeDtypeStruct((2, 16, 32, 48, *channels), dtype, sharding=frames)

def loss(embedding, log_bandwidth, seed, labels, valid):
    total, _ = embedding_loss(
        embedding, log_bandwidth, seed, labels, 4, free_std=(0.3, 0.3), valid=valid, bins=256)
    return total.sum()

with jax.set_mesh(mesh):
    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))
    arrays = array(4), array(2), array(), array(dtype=jnp.int32), array()
    print(step.lower(*arrays).compile().as_text())
"""


@pytest.mark.sharding
def test_over_frames_devices_exchange_the_histogram_alone(on_eight_devices):
    found = hlo.collectives(on_eight_devices(SHARDED))
    assert {collective.kind for collective in found} == {"all-reduce"}
    histogram = 2 * 4 * 2 * 256  # clips, instances, kinds, bins
    sizes = sorted(collective.elements for collective in found)
    assert sizes[-1] == histogram
    assert all(size <= 2 * 4 * 8 for size in sizes[:-1])  # sums over an instance's pixels
