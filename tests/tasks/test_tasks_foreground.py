from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.configs import get_config
from jaxmotion.data.config import DataConfig
from jaxmotion.errors import InputError
from jaxmotion.inference.linking import link_labels
from jaxmotion.losses import balanced_cross_entropy
from jaxmotion.networks import NetworkConfig
from jaxmotion.networks.config import AttentionConfig
from jaxmotion.tasks.foreground import _cells
from jaxmotion.tasks.foreground_config import ForegroundConfig, ForegroundLossConfig

NETWORK = NetworkConfig(
    widths=(4, 8), kernel=(3, 3, 3), attention=AttentionConfig(layers=1, heads=2, gate=True)
)
CONFIG = ForegroundConfig(network=NETWORK)
SHAPE = (2, 3, 20, 30)


def batch(seed=0):
    rng = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, np.int32)
    labels[0, :, 5:12, 4:15] = 1
    labels[1, :2, 10:15, 20:28] = 3
    flow = rng.normal(0, 0.1, (*SHAPE, 2)) + 2.0 * (labels > 0)[..., None]
    valid = np.ones(SHAPE, np.float32)
    valid[:, :, :2] = 0
    arrays = {"flow": flow.astype(np.float32), "valid": valid, "labels": labels}
    return {name: jnp.asarray(array) for name, array in arrays.items()}


def task(config=CONFIG):
    return config.build(DataConfig(clip_length=3))


def test_cross_entropy_weighs_both_kinds_of_pixels_alike():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=SHAPE)
    targets = rng.random(SHAPE) < 0.05
    targets[1] = False
    valid = rng.random(SHAPE) < 0.8
    found = balanced_cross_entropy(jnp.asarray(logits), jnp.asarray(targets), valid=valid)
    entropy = np.log1p(np.exp(np.where(targets, -logits, logits)))
    first = [entropy[0][valid[0] & (targets[0] == kind)].mean() for kind in (True, False)]
    np.testing.assert_allclose(found, [np.mean(first), entropy[1][valid[1]].mean()], rtol=1e-5)
    nothing = balanced_cross_entropy(jnp.asarray(logits), jnp.asarray(targets), valid=0 * valid)
    np.testing.assert_array_equal(nothing, 0)


def test_the_loss_is_the_weighted_sum_of_its_parts():
    weights = ForegroundLossConfig(0.5, 2.0, 0.25, 3.0)
    built = task(replace(CONFIG, objective=weights))
    variables = built.init(jax.random.key(0), batch())
    output = built.loss(variables, batch(), step=jnp.zeros(()), key=None)
    names = ("cross_entropy", "lovasz", "consistency", "regions")
    parts = [output.metrics[name][0] for name in names]
    expected = sum(w * part for w, part in zip((0.5, 2.0, 0.25, 3.0), parts, strict=True))
    np.testing.assert_allclose(output.loss, expected, rtol=1e-5)


def test_what_is_not_known_counts_nowhere():
    built, plain = task(), batch()
    variables = built.init(jax.random.key(0), plain)
    changed = dict(plain)
    hidden = plain["valid"][..., None] == 0
    changed["flow"] = jnp.where(hidden, jnp.nan, plain["flow"])
    changed["labels"] = jnp.where(hidden[..., 0], 7, plain["labels"])
    for key in (None, jax.random.key(1)):
        one, two = (
            built.loss(variables, clips, step=jnp.zeros(()), key=key) for clips in (plain, changed)
        )
        np.testing.assert_allclose(one.loss, two.loss, rtol=1e-5)
        for name, (total, _) in one.metrics.items():
            np.testing.assert_allclose(total, two.metrics[name][0], rtol=1e-5, err_msg=name)


def test_training_finds_what_is_labeled():
    config = replace(CONFIG, network=replace(NETWORK, threshold_start=0.0, favoured_bias=0.0))
    built, clips = task(config), batch()
    variables = built.init(jax.random.key(0), clips)

    @jax.jit
    def step(params):
        def loss(params):
            output = built.loss({"params": params}, clips, step=jnp.zeros(()), key=None)
            return jnp.mean(output.loss), output.metrics["iou"][0]

        (_, iou), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return jax.tree.map(lambda p, g: p - 0.05 * g, params, gradient), iou

    params, first = step(variables["params"])
    for _ in range(40):
        params, last = step(params)
    assert last.mean() > first.mean() + 0.2


def test_a_clip_without_any_object_and_one_without_flow_have_finite_gradients():
    built, clips = task(), batch()
    clips["labels"] = clips["labels"].at[0].set(0)
    clips["valid"] = clips["valid"].at[1].set(0)
    variables = built.init(jax.random.key(0), clips)

    def loss(params):
        output = built.loss({"params": params}, clips, step=jnp.zeros(()), key=jax.random.key(0))
        return jnp.sum(output.loss * output.weight)

    gradient = jax.grad(loss)(variables["params"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_two_masks_and_no_others():
    with pytest.raises(InputError, match=r"network.num_masks 3: expected 2"):
        ForegroundConfig(network=NetworkConfig(num_masks=3))
    assert get_config("foreground").task.network.attention.gate


@pytest.mark.parametrize(("size", "stem"), [((20, 30), 2), ((45, 63), 1)])
def test_cells_are_those_of_the_bottleneck(size, stem):
    """Wherever a pixel is, also where the last cells reach beyond the frame."""
    network = replace(NETWORK, stem=stem, widths=(2, 2, 2), attention=AttentionConfig(gate=True))
    built = task(replace(CONFIG, network=network))
    flow = jnp.zeros((1, 1, *size, 2))
    clips = {"flow": flow, "valid": jnp.ones(flow.shape[:-1])}
    params = built.init(jax.random.key(0), clips)["params"]
    shape = jax.eval_shape(built.segment, params, built.observe(clips)).attention.regions.shape
    for y, x in ((0, 0), (size[0] // 2, size[1] // 3), (size[0] - 1, size[1] - 1)):
        pixels = jnp.zeros((1, 1, *size)).at[0, 0, y, x].set(1)
        found = np.argwhere(_cells(pixels, network.reduction, shape)[0, 0])
        assert found.tolist() == [[y // network.reduction, x // network.reduction]]


def test_its_labels_mean_the_same_always():
    """No tracking takes one for the other, and an evaluation reads the second as the foreground."""
    config = get_config("foreground")
    assert config.task.select == "nonzero"
    labels = np.zeros((2, 4, 6), int)
    labels[0, 1:3] = 1
    labels[1] = 1 - labels[0]
    assert link_labels(labels[:1], labels[1:], 2).tolist() == [1, 0]
    method = config.task.inference.linking
    assert link_labels(labels[:1], labels[1:], 2, method).tolist() == [0, 1]
