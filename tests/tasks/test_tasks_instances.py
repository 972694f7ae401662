"""The task of instances: it learns to part two objects, and nothing leaks from what is unknown."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.configs import get_config
from jaxmotion.data import DataConfig
from jaxmotion.data.config import AugmentConfig
from jaxmotion.errors import InputError
from jaxmotion.experiments.evals import final_scores
from jaxmotion.experiments.experiment import run_experiment
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.options import from_json, to_json
from jaxmotion.tasks.instances import InstancesTask, panoptic_quality
from jaxmotion.tasks.instances_config import InstancesConfig

T, H, W = 3, 16, 24
CONFIG = InstancesConfig(
    network=NetworkConfig(widths=(4, 8), kernel=(3, 3, 3), norm_frames=T), augment=AugmentConfig()
)
TASK = CONFIG.build(DataConfig(height=H, width=W, clip_length=T))


def batch(size=2):
    """Two squares on a still ground: one goes to the right, the other one down."""
    rng = np.random.default_rng(0)
    labels = np.zeros((size, T, H, W), np.int32)
    labels[:, :, 3:9, 3:9], labels[:, :, 6:13, 14:21] = 1, 2
    flow = 0.05 * rng.normal(size=(*labels.shape, 2))
    flow[labels == 1] += (2, 0)
    flow[labels == 2] += (0, 2)
    valid = np.ones(labels.shape, np.float32)
    arrays = {"flow": flow.astype(np.float32), "valid": valid, "labels": labels}
    return {name: jnp.asarray(array) for name, array in arrays.items()}


@pytest.fixture(scope="module")
def fresh():
    return jax.jit(TASK.init)(jax.random.key(0), batch())


@pytest.fixture(scope="module")
def validated():
    """The loss in validation, compiled once for clips of one size."""
    return jax.jit(lambda variables, clips: TASK.loss(variables, clips, step=0, key=None))


def test_it_has_the_parts_of_the_loss_and_a_quality(fresh, validated):
    output = validated(fresh, batch())
    assert output.loss.shape == (2,)
    assert set(output.metrics) == {"lovasz", "smoothness", "seediness", "quality"}
    parts = {name: total / count for name, (total, count) in output.metrics.items()}
    total = parts["lovasz"] + 10 * parts["smoothness"] + parts["seediness"]
    np.testing.assert_allclose(output.loss, total, rtol=1e-5)


def test_what_is_not_valid_counts_nowhere(fresh, validated):
    clips = batch()
    clips["valid"] = clips["valid"].at[0, :, :5].set(0).at[1].set(0)
    expected = validated(fresh, clips)
    clips["flow"] = jnp.where(clips["valid"][..., None] > 0, clips["flow"], jnp.nan)
    clips["labels"] = jnp.where(clips["valid"] > 0, clips["labels"], 3)
    found = validated(fresh, clips)
    np.testing.assert_array_equal(found.weight, [1, 0])
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-6)


def test_labels_are_mirrored_with_the_flow(fresh):
    """Whatever is mirrored, each object keeps its own motion."""
    from jaxmotion.data.augmentation import augment
    from jaxmotion.motion import MotionModel

    clips = batch(8)
    config = AugmentConfig(flip_horizontal=0.5, flip_vertical=0.5)
    model = MotionModel("quadratic")
    changed = augment(
        jax.random.key(1), clips["flow"], clips["valid"], config, model, None, clips["labels"]
    )
    labels, flow = np.asarray(changed.labels), np.asarray(changed.flow)
    assert labels.dtype == np.int32
    assert len({label.tobytes() for label in labels}) == 4
    assert (np.abs(flow[labels == 1][:, 0]) > 1).all()
    assert (np.abs(flow[labels == 2][:, 1]) > 1).all()
    assert (np.abs(flow[labels == 0]) < 1).all()


def test_it_learns_to_part_two_objects(fresh):
    import optax

    clips, optimizer = batch(1), optax.adam(1e-2)

    def loss(params, key):
        return jnp.mean(TASK.loss({"params": params}, clips, step=0, key=key).loss)

    @jax.jit
    def train(params):
        def step(_, carry):
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params, jax.random.key(0)), state)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(0, 150, step, (params, optimizer.init(params)))[0]

    params = train(fresh["params"])
    found = jax.jit(TASK.predict)({"params": params}, clips)
    labels, truth = np.asarray(found["labels"][0]), np.asarray(clips["labels"][0])
    for own, other in ((1, 2), (2, 1)):
        inside = labels[truth == own]
        name = np.bincount(inside).argmax()
        assert name > 0
        assert (inside == name).mean() > 0.8
        assert (labels[truth == other] == name).mean() < 0.1
    assert (labels[truth == 0] == 0).mean() > 0.9
    picture = TASK.picture({"params": params}, clips)
    assert picture.shape == (4 * (H + 2), W + 2, 3)


def test_quality_is_that_of_pairs_of_volumes():
    truth = np.zeros((1, 2, 4, 6), int)
    truth[:, :, 0], truth[:, :, 2] = 1, 2
    found = np.where(truth == 1, 5, 0)
    found[:, 0, 3] = 7  # nothing is there; and the second object is missed
    matched, count = panoptic_quality(jnp.asarray(truth), jnp.asarray(found), 4, 9)
    np.testing.assert_allclose((matched, count), [[1.0], [2.0]])
    matched, count = panoptic_quality(jnp.asarray(truth), jnp.asarray(truth), 4, 4)
    assert matched == count == 2


def test_options_of_masks_are_refused_and_files_read():
    with pytest.raises(InputError, match=r"network.num_masks, .*: expected as they are"):
        InstancesConfig(network=NetworkConfig(num_masks=3))
    config = get_config("instances")
    assert from_json(type(config), to_json(config)) == config
    assert InstancesTask(CONFIG).free_std == (0.3, 0.3)


def test_the_experiment_trains_and_is_scored(tmp_path):
    config = get_config("instances")
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, height=H, width=W, clip_length=T, validation_clips=2),
        task=CONFIG,
        steps=2,
        evals=dataclasses.replace(config.evals, frames=6),
        picture_every=0,
    )
    run_experiment(config, tmp_path)
    scores = final_scores(tmp_path, baselines=True)
    assert scores["components_FG_ARI"] <= 1
    assert scores["components_foreground_J"] == 1
    assert {"matched_J", "FG_ARI", "purity", "switches", "bootstrap_IoU"} <= set(scores)
