"""Slot attention against formulas written out here, in float64 where numbers are compared."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

from jaxmotion.networks.slot_attention import SlotAttention, SlotUpdate, initial_noise

WIDTH, CHANNELS = 6, 5
DIFFERENTIATIONS = ["unroll", "implicit", "one_step"]
IMPLICIT_SLOW = ["unroll", pytest.param("implicit", marks=pytest.mark.slow)]  # to compile


def module(num_slots=3, **changes) -> SlotAttention:
    return SlotAttention(num_slots, **{"width": WIDTH, "hidden": 7, **changes})


def tokens_and_weight(seed=0, batch=2, count=11):
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(batch, count, CHANNELS))
    return jnp.asarray(tokens), jnp.asarray(rng.uniform(0.1, 1, size=(batch, count)))


def random_params(network, contraction=1.0, seed=0):
    """Every parameter random, those of the recurrence small where it shall contract."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 2, CHANNELS)))["params"]

    def draw(path, leaf):
        scale = contraction if path[0].key == "update" else 1.0
        return jnp.asarray(scale * rng.normal(0, 0.4, size=leaf.shape))

    params = jax.tree_util.tree_map_with_path(draw, shapes)
    params["token_norm"]["scale"] += 1
    params["update"]["slot_norm"]["scale"] += 1
    return params


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def dense(params, x):
    return x @ params["kernel"] + params.get("bias", 0)


def layer_norm(params, x):
    x = x - x.mean(-1, keepdims=True)
    x = x / jnp.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
    return x * params["scale"] + params["bias"]


def sigmoid(x):
    return 1 / (1 + jnp.exp(-x))


def reference(params, tokens, weight, num_slots, iterations):
    """Algorithm 1 of Locatello et al. for one sample [N, C], with a weight per token."""
    tokens = layer_norm(params["token_norm"], tokens)
    keys, values = (tokens @ params[name]["kernel"] for name in ("keys", "values"))
    update = params["update"]
    noise = np.random.RandomState(0).standard_normal((9, WIDTH))[:num_slots]
    slots = params["mu"] + jnp.exp(params["log_sigma"]) * noise
    for _ in range(iterations):
        queries = dense(update["query"], layer_norm(update["slot_norm"], slots))
        exponential = jnp.exp(keys @ queries.T / WIDTH**0.5)  # [N, K]
        attention = exponential / exponential.sum(1, keepdims=True) + 1e-8
        attention = attention * weight[:, None]
        mean = (attention / attention.sum(0)).T @ values
        gru = update["gru"]
        reset = sigmoid(dense(gru["ir"], mean) + dense(gru["hr"], slots))
        keep = sigmoid(dense(gru["iz"], mean) + dense(gru["hz"], slots))
        candidate = jnp.tanh(dense(gru["in"], mean) + reset * dense(gru["hn"], slots))
        slots = (1 - keep) * candidate + keep * slots
        if "mlp_in" in update:
            x = layer_norm(update["mlp_norm"], slots)
            slots = slots + dense(update["mlp_out"], jnp.maximum(dense(update["mlp_in"], x), 0))
    return slots


def relative_difference(a, b):
    a, b = ravel_pytree(a)[0], ravel_pytree(b)[0]
    return float(jnp.linalg.norm(a - b) / (jnp.linalg.norm(b) + 1e-30))


@pytest.mark.parametrize("hidden", [0, 7])
@pytest.mark.usefixtures("float64")
def test_slots_against_the_written_out_algorithm(hidden):
    network = module(hidden=hidden, dtype=jnp.float64)
    params = random_params(network)
    tokens, weight = tokens_and_weight()
    slots = network.apply({"params": params}, tokens, weight)
    for b in range(2):
        expected = reference(params, tokens[b], weight[b], 3, 5)
        np.testing.assert_allclose(slots[b], expected, rtol=1e-9)
    unweighted = network.apply({"params": params}, tokens)
    expected = reference(params, tokens[1], jnp.ones(11), 3, 5)
    np.testing.assert_allclose(unweighted[1], expected, rtol=1e-9)


def test_initial_queries_of_k_are_the_first_of_those_of_more():
    for k in range(1, 8):
        np.testing.assert_array_equal(initial_noise(k, 128), initial_noise(9, 128)[:k])
    # A checkpoint depends on these numbers: they may never change.
    np.testing.assert_allclose(
        initial_noise(2, 3), [[1.764052, 0.400157, 0.978738], [2.240893, 1.867558, -0.977278]], 1e-6
    )


def test_one_set_of_parameters_serves_every_number_of_slots():
    tokens, _ = tokens_and_weight()
    trained = jax.jit(module(4).init)(jax.random.key(0), tokens)
    for k in (2, 3, 7):
        shapes = jax.eval_shape(module(k).init, jax.random.key(1), tokens)
        assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, trained)
        slots = jax.jit(module(k).apply)(trained, tokens)
        assert slots.shape == (2, k, WIDTH)
        distances = jnp.linalg.norm(slots[:, :, None] - slots[:, None], axis=-1)
        assert (distances + jnp.eye(k) > 1e-2).all()  # no two slots are the same


@pytest.mark.parametrize("differentiation", [*IMPLICIT_SLOW, "one_step"])
def test_padding_changes_nothing(differentiation):
    network = module(differentiation=differentiation)
    tokens, weight = (x.astype(jnp.float32) for x in tokens_and_weight())
    params = random_params(network, contraction=0.5)

    def loss(params, tokens, weight):
        slots = network.apply({"params": params}, tokens, weight)
        return jnp.sum(jnp.sin(slots)), slots

    differentiate = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))
    (by_params, by_tokens, by_weight), slots = differentiate(params, tokens, weight)
    padded_weight = jnp.pad(weight, [(0, 0), (0, 4)])
    for content in (0.0, 1e6, np.nan, np.inf):
        padded = jnp.pad(tokens, [(0, 0), (0, 4), (0, 0)], constant_values=content)
        gradients, padded_slots = differentiate(params, padded, padded_weight)
        np.testing.assert_allclose(padded_slots, slots, atol=1e-5)
        assert (gradients[1][:, 11:] == 0).all()
        assert relative_difference(gradients[1][:, :11], by_tokens) < 1e-3
        assert relative_difference(gradients[2][:, :11], by_weight) < 1e-3
        assert relative_difference(gradients[0], by_params) < 1e-3


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 1), share=st.floats(0.1, 0.9))
def test_order_scale_of_weight_and_division_of_a_token_do_not_matter(seed, scale, share):
    params = random_params(module(), seed=seed)
    tokens, weight = (x.astype(jnp.float32) for x in tokens_and_weight(seed))
    expected = slots_of(params, tokens, weight)

    order = np.random.default_rng(seed).permutation(11)
    divided = jnp.concatenate([tokens, tokens[:, :1]], axis=1)
    shares = jnp.concatenate([weight, (1 - share) * weight[:, :1]], axis=1)
    shares = shares.at[:, 0].multiply(share)
    for same in (
        (tokens[:, order], weight[:, order]),
        (tokens, scale * weight),
        (divided, shares),
    ):
        np.testing.assert_allclose(slots_of(params, *same), expected, atol=1e-4)


@jax.jit
def slots_of(params, tokens, weight):
    return module().apply({"params": params}, tokens, weight)


@pytest.mark.parametrize("differentiation", DIFFERENTIATIONS)
@pytest.mark.parametrize(
    ("num_slots", "count"), [(3, 11), pytest.param(1, 1, marks=pytest.mark.slow)]
)
def test_degenerate_input_gives_finite_slots_and_gradients(differentiation, num_slots, count):
    network = module(num_slots, differentiation=differentiation)
    params = random_params(network)

    @jax.jit
    def differentiate(params, tokens, weight):
        loss = lambda *arguments: jnp.sum(network.apply({"params": arguments[0]}, *arguments[1:]))  # noqa: E731
        return jax.value_and_grad(loss, argnums=(0, 1, 2))(params, tokens, weight)

    tokens, weight = (x.astype(jnp.float32) for x in tokens_and_weight(count=count))
    for case in (
        (tokens, weight),
        (jnp.zeros_like(tokens), weight),
        (tokens, weight.at[0].set(0)),  # nothing valid in one sample
        (tokens, jnp.zeros_like(weight)),
        (1e6 * tokens, weight),
    ):
        assert all(
            np.isfinite(leaf).all() for leaf in jax.tree.leaves(differentiate(params, *case))
        )


def attracting_problem():
    """Three clusters, and parameters for which the steps converge to slots that are not alike."""
    params = random_params(module(), contraction=0.1)
    update = params["update"]
    params["values"] = params["keys"]  # a slot is drawn to what it already resembles
    update["gru"]["in"]["kernel"] += jnp.eye(WIDTH)
    update["query"]["kernel"] += 4 * jnp.eye(WIDTH)
    update["gru"]["iz"]["bias"] -= 2.0  # and forgets fast what it was
    rng = np.random.default_rng(5)
    centers = 3 * rng.normal(size=(2, 3, CHANNELS))
    tokens = centers[:, np.arange(12) % 3] + 0.3 * rng.normal(size=(2, 12, CHANNELS))
    return params, jnp.asarray(tokens), jnp.asarray(rng.uniform(0.2, 1, size=(2, 12)))


@pytest.mark.usefixtures("float64")
def test_implicit_gradient_is_that_of_the_converged_slots():
    arguments = attracting_problem()
    target = jnp.asarray(np.random.default_rng(7).normal(size=(2, 3, WIDTH)))

    def loss(params, tokens, weight, differentiation):
        network = module(iterations=60, differentiation=differentiation, dtype=jnp.float64)
        slots = network.apply({"params": params}, tokens, weight)
        return jnp.sum((slots - target) ** 2), slots

    differentiate = jax.jit(
        jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True), static_argnums=3
    )
    (_, slots), unrolled = differentiate(*arguments, "unroll")
    _, implicit = differentiate(*arguments, "implicit")
    _, one_step = differentiate(*arguments, "one_step")

    distances = jnp.linalg.norm(slots[:, :, None] - slots[:, None], axis=-1)
    assert (distances.max((1, 2)) > 0.5).all()  # where all are alike, keys get no gradient
    for name in ("mu", "log_sigma"):  # the start is forgotten: the steps have converged
        assert jnp.abs(unrolled[0].pop(name)).max() < 1e-7
        assert jnp.abs(implicit[0].pop(name)).max() == 0
    for found, expected in zip(jax.tree.leaves(implicit), jax.tree.leaves(unrolled), strict=True):
        # That of slot_norm's bias is 0: it moves the queries of all slots alike.
        assert jnp.linalg.norm(found - expected) < 1e-3 * jnp.linalg.norm(expected) + 1e-9
    assert jnp.linalg.norm(unrolled[0]["update"]["query"]["kernel"]) > 1e-3
    # The solve is what makes it so: its first term alone is another gradient.
    assert relative_difference(one_step[1], unrolled[1]) > 0.02

    params, tokens, weight = arguments
    for seed in range(4):
        rng = np.random.default_rng(seed)
        leaves, tree = jax.tree.flatten((params, tokens, weight))
        along = [jnp.asarray(rng.normal(size=leaf.shape)) for leaf in leaves]
        moved = [
            differentiate(
                *tree.unflatten([x + s * d for x, d in zip(leaves, along, strict=True)]), "unroll"
            )[0][0]
            for s in (1e-5, -1e-5)
        ]
        by_name = (implicit[0] | {"mu": jnp.zeros(WIDTH), "log_sigma": jnp.zeros(WIDTH)},)
        gradients = jax.tree.leaves(by_name + implicit[1:])
        predicted = sum(jnp.vdot(g, d) for g, d in zip(gradients, along, strict=True))
        np.testing.assert_allclose(predicted, (moved[0] - moved[1]) / 2e-5, rtol=1e-3)


@pytest.mark.usefixtures("float64")
def test_one_step_gradient_is_that_of_the_last_step():
    network = module(differentiation="one_step", dtype=jnp.float64)
    params = random_params(network)
    tokens, weight = tokens_and_weight(batch=1)

    def ours(params, tokens):
        return jnp.sum(jnp.sin(network.apply({"params": params}, tokens, weight)))

    # The last step's slots are those of the fourth, held fixed.
    def last_step(params, tokens):
        slots = jax.lax.stop_gradient(reference(params, tokens[0], weight[0], 3, 4))
        tokens = layer_norm(params["token_norm"], tokens[0])
        keys, values = (tokens @ params[name]["kernel"] for name in ("keys", "values"))
        step = SlotUpdate(7, jnp.float64)
        slots = step.apply({"params": params["update"]}, slots, keys, values, weight[0])
        return jnp.sum(jnp.sin(slots))

    found = jax.jit(jax.grad(ours, argnums=(0, 1)))(params, tokens)
    wanted = jax.jit(jax.grad(last_step, argnums=(0, 1)))(params, tokens)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), found, wanted)


def test_samples_of_a_batch_are_solved_by_themselves():
    network = module(differentiation="implicit")
    params = random_params(network, contraction=0.5)
    tokens, weight = (x.astype(jnp.float32) for x in tokens_and_weight())

    @jax.jit
    @jax.grad
    def gradient(tokens, scale):
        slots = network.apply({"params": params}, tokens, weight)
        return jnp.sum(scale * jnp.sum(slots**2, axis=(1, 2)))

    quiet = gradient(tokens, jnp.array([0.0, 1.0]))
    loud = gradient(tokens.at[0].multiply(-3), jnp.array([1e6, 1.0]))
    assert (quiet[0] == 0).all()
    np.testing.assert_allclose(loud[1], quiet[1], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("differentiation", IMPLICIT_SLOW)
def test_bfloat16_products_stay_close_and_the_slots_float32(differentiation):
    tokens, weight = (x.astype(jnp.float32) for x in tokens_and_weight(count=200))
    results = []
    for dtype in (jnp.float32, jnp.bfloat16):
        network = module(dtype=dtype, differentiation=differentiation)
        variables = {"params": random_params(network, contraction=0.5)}

        def loss(tokens, network=network, variables=variables):
            slots = network.apply(variables, tokens, weight)
            return jnp.sum(jnp.sin(slots)), slots

        gradient, slots = jax.jit(jax.grad(loss, has_aux=True))(tokens)
        assert slots.dtype == gradient.dtype == jnp.float32
        results.append((slots, gradient))
    (slots, gradient), (low_slots, low_gradient) = results
    assert relative_difference(low_slots, slots) < 0.01
    assert 0 < relative_difference(low_gradient, gradient) < 0.1


def test_the_recurrence_never_drops_to_a_lower_precision():
    step = SlotUpdate(7)
    x = jnp.ones((4, WIDTH))
    variables = {"params": random_params(module())["update"]}

    def loss(variables, slots, tokens):
        return jnp.sum(step.apply(variables, slots, tokens, tokens, tokens[:, 0]))

    equations = jax.make_jaxpr(jax.grad(loss, argnums=(0, 1, 2)))(variables, x, x).eqns
    found = [e.params["precision"] for e in equations if e.primitive.name == "dot_general"]
    highest = jax.lax.Precision.HIGHEST
    assert len(found) > 20
    assert all(p in (highest, (highest, highest)) for p in found)


@pytest.mark.parametrize("differentiation", DIFFERENTIATIONS)
def test_memory_grows_with_the_number_of_tokens_not_its_square(differentiation):
    network = module(differentiation=differentiation)
    variables = {"params": random_params(network)}
    gradient = jax.jit(jax.grad(lambda tokens: jnp.sum(network.apply(variables, tokens))))
    tokens = jax.ShapeDtypeStruct((1, 100_000, CHANNELS), jnp.float32)
    temporaries = gradient.lower(tokens).compile().memory_analysis().temp_size_in_bytes
    assert temporaries < 100 * 4 * tokens.size


PROGRAM = """
import jax, jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxmotion.networks.slot_attention import SlotAttention

mesh = jax.make_mesh((1, 8), ("data", "time"), axis_types=(AxisType.Auto,) * 2)
sharding = NamedSharding(mesh, PartitionSpec("data", "time"))
tokens = np.random.default_rng(0).normal(size=(1, 8000, 16)).astype(np.float32)
for differentiation in ("unroll", "implicit", "one_step"):
    network = SlotAttention(4, 16, hidden=16, differentiation=differentiation)
    variables = network.init(jax.random.key(0), tokens)
    loss = lambda variables, tokens: jnp.sum(network.apply(variables, tokens) ** 2)
    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
    cut = jax.device_put(tokens, sharding)
    found, expected = gradient(variables, cut), gradient(variables, tokens)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3),
                 found, expected)
    print(gradient.lower(variables, cut).compile().as_text())
"""


@pytest.mark.slow
def test_tokens_cut_along_time_cost_small_sums_only(collectives):
    found = collectives(PROGRAM)
    assert {name for name, _ in found} == {"all-reduce"}
    assert max(size for _, size in found) <= 16 * 16  # a kernel's gradient; 8,000 tokens


class Partition(nn.Module):
    """Tokens to memberships of K groups."""

    num_slots: int
    differentiation: str

    @nn.compact
    def __call__(self, tokens):
        x = nn.Dense(32)(nn.relu(nn.Dense(64)(tokens)))
        slots = SlotAttention(
            self.num_slots, 32, hidden=32, differentiation=self.differentiation, name="slots"
        )(x)
        return nn.softmax(jnp.einsum("bkd,bnd->bnk", nn.Dense(32)(slots), x) / 32**0.5)


def spread(memberships, tokens):
    """Mean squared distance of the tokens to the means of their groups."""
    means = jnp.einsum("bnk,bnc->bkc", memberships, tokens)
    means /= memberships.sum(1)[..., None] + 1e-6
    squares = jnp.sum((tokens[:, :, None] - means[:, None]) ** 2, axis=-1)
    return jnp.mean(jnp.sum(memberships * squares, axis=-1))


def four_groups(seed, batch=16, count=96, channels=8):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(batch, 4, channels))
    group = rng.integers(0, 4, size=(batch, count, 1))
    tokens = np.take_along_axis(centers, group, 1) + 0.1 * rng.normal(size=(batch, count, channels))
    return jnp.asarray(tokens, jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize("differentiation", DIFFERENTIATIONS)
def test_trained_with_four_slots_it_groups_with_three_to_six(differentiation):
    network = Partition(4, differentiation)
    params = network.init(jax.random.key(0), four_groups(0))
    optimizer = optax.chain(optax.clip_by_global_norm(5.0), optax.adam(1e-3))
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, tokens):
        gradient = jax.grad(lambda p: spread(network.apply(p, tokens), tokens))(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    for seed in range(200):
        params, state = step(params, state, four_groups(seed))
    tokens = four_groups(10_000, batch=64)
    one_group = spread(jnp.ones((64, 96, 1)), tokens)
    for k in (3, 4, 5, 6):
        grouped = spread(Partition(k, differentiation).apply(params, tokens), tokens)
        assert grouped < 0.6 * one_group


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"num_slots": 0}, "num_slots"),
        ({"iterations": 0}, "iterations"),
        ({"hidden": -1}, "hidden"),
        ({"differentiation": "none"}, "differentiation"),
        ({"tokens": jnp.zeros((1, 2, 3, 4))}, "tokens"),
        ({"weight": jnp.zeros((1, 3))}, "weight"),
    ],
)
def test_what_is_wrong_is_named(changes, name):
    tokens = changes.pop("tokens", jnp.zeros((1, 2, 3)))
    weight = changes.pop("weight", None)
    with pytest.raises(ValueError, match=name):
        module(**changes).init(jax.random.key(0), tokens, weight)
