"""Adversarial saliency: what is filled, what the loss is made of, and what moves the multiplier."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from classifier_run import classifier_config, write_classifier

from jaxmotion.configs import get_config
from jaxmotion.data import DataConfig
from jaxmotion.errors import InputError
from jaxmotion.experiments.experiment import run_experiment
from jaxmotion.inference.loading import load
from jaxmotion.models.loading import Loader, load_trained
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.tasks.adversarial import AdversarialTask, Judge
from jaxmotion.tasks.adversarial_config import AdversarialConfig, ConstraintConfig
from jaxmotion.training.config import Config, OptimizerConfig

H, W = 16, 24
NETWORK = NetworkConfig(widths=(4, 8), stem=1)
DATA = DataConfig(source="scenes:parallax", height=H, width=W, validation_clips=4)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return write_classifier(tmp_path_factory.mktemp("judge"), bias=2.0)


def task_of(classifier, **options) -> AdversarialTask:
    config = AdversarialConfig(classifier=str(classifier), network=NETWORK, **options)
    return config.build(DATA, Loader())


def batch(seed=0, size=3):
    """An affine motion, and a square that moves otherwise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : H * 1j, -1 : 1 : W * 1j]
    flow = np.stack([2 + x, 1 - y], -1)[None, None] * np.ones((size, 1, 1, 1, 1))
    flow[:, :, 5:11, 6:14] += 4
    flow += 0.05 * rng.normal(size=flow.shape)
    return {
        "flow": jnp.asarray(flow, jnp.float32),
        "valid": jnp.ones(flow.shape[:-1], jnp.float32),
    }


def test_the_fill_is_the_motion_of_the_rest_and_nothing_else_changes(classifier):
    task, frames = task_of(classifier), batch()
    variables = task.init(jax.random.key(0), frames)
    hidden = task.hidden(variables["params"], frames["flow"], frames["valid"])
    salient = np.asarray(hidden.salient) > 0
    np.testing.assert_allclose(hidden.masks.sum(axis=-1), 1, rtol=1e-5)
    # The network starts as a threshold on the residual: it marks the square.
    assert salient[:, :, 5:11, 6:14].mean() > 0.9
    np.testing.assert_array_equal(
        np.asarray(hidden.flow)[~salient], np.asarray(frames["flow"])[~salient]
    )
    y, x = np.mgrid[-1 : 1 : H * 1j, -1 : 1 : W * 1j]
    expected = np.broadcast_to(np.stack([2 + x, 1 - y], -1), hidden.flow.shape)
    assert np.abs(np.asarray(hidden.flow) - expected).max() < 0.3


def test_the_loss_is_area_and_what_is_left_of_the_yes(classifier):
    task, frames = task_of(classifier), batch()
    variables = task.init(jax.random.key(0), frames)
    hidden = task.hidden(variables["params"], frames["flow"], frames["valid"])
    logits = task.judge.task.logits(task.judge.params, hidden.flow, frames["valid"])
    area = np.asarray(hidden.salient).mean(axis=(1, 2, 3))
    hinge = np.maximum(np.asarray(logits)[:, 0] + 0.5, 0)
    found = task.loss(variables, frames, step=jnp.int32(0), key=None)
    np.testing.assert_allclose(found.loss, area + 10 * hinge, rtol=1e-4)
    # Validation knows no multiplier.
    other = {**variables, "multiplier": {"value": jnp.float32(7)}}
    again = task.loss(other, frames, step=jnp.int32(0), key=None)
    np.testing.assert_array_equal(again.loss, found.loss)


def test_the_multiplier_climbs_while_the_classifier_says_yes_and_falls_else(classifier, tmp_path):
    frames = batch()
    for bias, rises in ((50.0, True), (-50.0, False)):
        judge = write_classifier(tmp_path / str(bias), bias=bias)
        task = task_of(judge)
        variables = task.init(jax.random.key(0), frames)
        found = task.loss(variables, frames, step=jnp.int32(0), key=jax.random.key(1))
        value = float(found.state["multiplier"]["value"])
        assert (value > 1) if rises else (value == pytest.approx(0.1 - 0.05 * 0.1))


def test_the_judge_gives_a_gradient_that_central_differences_have_too(classifier):
    """By the flow, with the global motion held: in a direction that the robust fit ignores."""
    task, frames = task_of(classifier), batch()
    judge = task.judge

    def logit(flow):
        return judge.task.logits(judge.params, flow, frames["valid"]).sum()

    slope = jax.grad(logit)(frames["flow"])
    assert np.isfinite(np.asarray(slope)).all()
    still = jax.grad(logit)(0 * frames["flow"])
    assert np.isfinite(np.asarray(still)).all()
    push = np.zeros(frames["flow"].shape, np.float32)
    push[:, :, 6:10, 7:13, 0] = 1
    ahead, behind = (float(logit(frames["flow"] + s * 2e-2 * push)) for s in (1, -1))
    expected = (ahead - behind) / 4e-2
    assert float((slope * push).sum()) == pytest.approx(expected, rel=0.1, abs=0.02)


@pytest.mark.parametrize("adjoint", ["stop", "implicit"])
def test_the_gradient_reaches_the_segmenter(classifier, adjoint):
    task, frames = task_of(classifier, adjoint=adjoint, hard=False), batch()
    variables = task.init(jax.random.key(0), frames)

    def left(params):
        hidden = task.hidden(params, frames["flow"], frames["valid"])
        return task.judge.task.logits(task.judge.params, hidden.flow, frames["valid"]).sum()

    leaves = jax.tree.leaves(jax.grad(left)(variables["params"]))
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in leaves)
    assert max(float(jnp.abs(leaf).max()) for leaf in leaves) > 1e-6


def test_a_mask_over_everything_leaves_no_motion(classifier):
    task, frames = task_of(classifier), batch()
    params = dict(task.init(jax.random.key(0), frames)["params"])
    bias = params["head"]["bias"]
    params["head"] = {**params["head"], "bias": bias + jnp.array([-1e4, 1e4])}
    hidden = task.hidden(params, frames["flow"], frames["valid"])
    assert (np.asarray(hidden.salient) == 1).all()
    assert not np.asarray(hidden.flow).any()


def configured(classifier, **task) -> Config:
    options = {"classifier": str(classifier), "network": NETWORK, **task}
    return dataclasses.replace(
        get_config("adversarial"),
        data=DATA,
        task=AdversarialConfig(**options),
        steps=2,
        batch_size=2,
        validate_every=2,
        checkpoint_every=2,
        log_every=1,
        evals=dataclasses.replace(get_config("adversarial").evals, scenes=""),
    )


def test_it_is_trained_and_then_segments_without_the_classifier(classifier, tmp_path):
    run_experiment(configured(classifier), tmp_path)
    trained = load_trained(tmp_path)
    assert set(trained.collections) == {"multiplier"}
    predictor = load(tmp_path)
    masks = predictor(np.asarray(batch()["flow"][0]))
    assert masks.shape == (1, H, W, 2)
    np.testing.assert_allclose(masks.sum(axis=-1), 1, rtol=1e-5)


def test_the_published_form_moves_its_multiplier_with_the_network(tmp_path):
    judge = write_classifier(tmp_path / "judge", bias=50.0)
    config = configured(
        judge,
        network=dataclasses.replace(NETWORK, num_masks=4),
        constraint=ConstraintConfig(violation="sigma", multiplier="shared", start=0.5),
        reconstruction=1.0,
        hard=False,
    )
    groups = (("multiplier/.*", -1.0),)
    optimizer = OptimizerConfig(
        learning_rate=1e-6, schedule="constant", warmup_steps=0, ema_decay=0, groups=groups
    )
    run_experiment(dataclasses.replace(config, optimizer=optimizer), tmp_path / "run")
    value = float(load_trained(tmp_path / "run").params["multiplier"]["value"])
    assert 0.5 < value < 0.5 + 1e-5
    assert load(tmp_path / "run")(np.asarray(batch()["flow"][0])).shape == (1, H, W, 2)


def test_what_cannot_judge_is_refused(classifier):
    with pytest.raises(InputError, match=r"salient \(0,\): expected numbers from 1 to 1"):
        AdversarialConfig(salient=(0,))
    with pytest.raises(InputError, match="em-k2: a network trained for segmentation"):
        AdversarialConfig(classifier="em-k2").build(DATA, Loader())
    trained = load_trained(classifier)
    config = classifier_config()
    task = dataclasses.replace(
        config.task, network=dataclasses.replace(config.task.network, input="residual")
    )
    with pytest.raises(InputError, match="through which no gradient passes"):
        Judge.of(trained._replace(config=dataclasses.replace(config, task=task)), "judge")
