"""Frames to learn from: what is filled, what then counts as salient, and what no fill changes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.configs import get_config
from jaxmotion.data import DataConfig
from jaxmotion.data.config import AugmentConfig
from jaxmotion.experiments.experiment import run_experiment
from jaxmotion.networks.classifier_config import ClassifierConfig
from jaxmotion.tasks.classification import Example, _balanced, random_blobs
from jaxmotion.tasks.classification_config import ClassificationConfig, FillConfig

H, W = 24, 40
CONFIG = ClassificationConfig(
    network=ClassifierConfig(widths=(4, 8), kernels=(3, 3)), augment=AugmentConfig()
)
TASK = CONFIG.build(DataConfig(height=H, width=W))


def batch(seed=0, size=6):
    """An affine motion of the frame, and a square that moves otherwise in every other clip."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : H * 1j, -1 : 1 : W * 1j]
    design = np.stack([np.ones_like(x), x, y], -1)
    labels = np.zeros((size, 1, H, W), np.int32)
    flow = np.empty((size, 1, H, W, 2), np.float32)
    for b in range(size):
        flow[b, 0] = design @ rng.normal(0, 2, (3, 2))
        if b % 2 == 0:
            labels[b, 0, 6:14, 10:22] = 1 + b
            flow[b, 0][labels[b, 0] > 0] += 5
    valid = np.ones(labels.shape, np.float32)
    return {"flow": jnp.asarray(flow), "valid": jnp.asarray(valid), "labels": jnp.asarray(labels)}


def example(batch):
    return Example(batch["flow"], batch["valid"], batch["labels"] > 0)


def with_fill(**options):
    fill = FillConfig(**{"hide_probability": 0.0, "other_probability": 0.0, **options})
    return dataclasses.replace(TASK, fill=fill)


def test_what_moves_is_filled_with_the_motion_of_the_rest():
    frames = batch()
    changed = with_fill(hide_probability=1.0)._changed(jax.random.key(0), example(frames))
    assert not np.asarray(changed.moving).any()
    # The rest is an affine motion, which the fill continues.
    y, x = np.mgrid[-1 : 1 : H * 1j, -1 : 1 : W * 1j]
    design = np.stack([np.ones_like(x), x, y], -1)
    arrays = (np.asarray(a)[:, 0] for a in (frames["flow"], changed.flow, frames["labels"]))
    for before, after, moving in zip(*arrays, strict=True):
        theta = np.linalg.lstsq(design[moving == 0], before[moving == 0], rcond=None)[0]
        np.testing.assert_allclose(after, design @ theta, atol=5e-3)


def test_another_fill_leaves_frames_as_salient_as_what_it_does_not_cover():
    frames = batch()
    changed = with_fill(other_probability=1.0)._changed(jax.random.key(0), example(frames))
    moving, before = np.asarray(changed.moving), np.asarray(frames["labels"]) > 0
    assert (moving <= before).all()
    # In frames of nothing but an affine motion a fill changes nothing.
    np.testing.assert_allclose(changed.flow[1::2], frames["flow"][1::2], atol=5e-3)
    np.testing.assert_allclose(
        np.asarray(changed.flow)[moving], np.asarray(frames["flow"])[moving], atol=1e-6
    )


def test_no_fill_changes_nothing_and_flips_turn_labels_along():
    frames = batch()
    same = with_fill()._changed(jax.random.key(0), example(frames))
    for found, expected in zip(same, example(frames), strict=True):
        np.testing.assert_array_equal(found, expected)
    flip = dataclasses.replace(with_fill(), augment=AugmentConfig(flip_horizontal=1.0))
    turned = flip._changed(jax.random.key(0), example(frames))
    np.testing.assert_array_equal(turned.moving, (frames["labels"] > 0)[..., ::-1])
    np.testing.assert_array_equal(turned.flow, frames["flow"][..., ::-1, :] * np.array([-1.0, 1.0]))


def test_a_frame_is_salient_by_the_known_area_of_what_moves():
    moving = np.zeros((3, 1, H, W), bool)
    moving[1, 0, :2, :2] = True
    moving[2, 0, :2, :3] = True
    valid = np.ones(moving.shape, np.float32)
    np.testing.assert_array_equal(TASK.is_salient(moving, valid)[:, 0], [0, 0, 1])
    valid[2, 0, 0] = 0
    assert not np.asarray(TASK.is_salient(moving, valid)).any()
    always = dataclasses.replace(TASK, least_area=0.0)
    np.testing.assert_array_equal(always.is_salient(moving, 1 + 0 * valid)[:, 0], [0, 1, 1])


def test_validation_sees_every_frame_with_and_without_what_moves():
    frames = batch()
    variables = TASK.init(jax.random.key(0), frames)
    output = TASK.loss(variables, frames, step=jnp.int32(0), key=None)
    salient, count = output.metrics["salient"]
    np.testing.assert_array_equal(salient, [1, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(count, 2 * np.ones(6))
    right, _ = output.metrics["accuracy"]
    logits = np.asarray(TASK.predict(variables, frames)["logits"])[:, 0]
    assert ((logits > 0) == (np.asarray(salient) > 0)).sum() <= right.sum() <= 12


def test_a_clip_without_flow_counts_nowhere():
    frames = batch()
    frames["valid"] = frames["valid"].at[0].set(0)
    frames["flow"] = frames["flow"].at[0].set(np.nan)
    variables = TASK.init(jax.random.key(0), frames)
    for key in (None, jax.random.key(1)):
        output = TASK.loss(variables, frames, step=jnp.int32(0), key=key)
        np.testing.assert_array_equal(np.asarray(output.weight) > 0, [0, 1, 1, 1, 1, 1])
        assert np.isfinite(np.asarray(output.loss)).all()


def test_blobs_are_of_many_sizes_and_inside_the_frame_somewhere():
    blobs = np.asarray(random_blobs(jax.random.key(0), (200, 2, H, W)))
    areas = blobs[:, 0].mean(axis=(1, 2))
    np.testing.assert_array_equal(blobs[:, 0], blobs[:, 1])
    assert (areas > 0).mean() > 0.95
    assert areas.max() < 0.5
    assert np.quantile(areas, 0.9) > 4 * np.quantile(areas, 0.1)


@pytest.mark.parametrize("name", ["nims", "nims_crowd"])
def test_the_experiments_train_and_are_scored(name, tmp_path):
    config = get_config(name)
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, height=H, width=W, validation_clips=4),
        task=dataclasses.replace(config.task, network=CONFIG.network),
        steps=2,
        batch_size=4,
        evals=dataclasses.replace(config.evals, frames=12),
    )
    from jaxmotion.experiments.evals import final_scores

    run_experiment(config, tmp_path)
    scores = final_scores(tmp_path, baselines=True)
    assert set(scores) == {"accuracy", "found", "false_alarms", "threshold_accuracy"}
    assert all(0 <= score <= 1 for score in scores.values() if np.isfinite(score))


def test_both_kinds_of_frames_weigh_the_same_in_a_batch():
    salient = jnp.array([1.0, 0.0, 0.0, 0.0, 0.0])
    weights = _balanced(salient, jnp.array([1.0, 1.0, 1.0, 1.0, 0.0]))
    np.testing.assert_allclose(weights, [2, 2 / 3, 2 / 3, 2 / 3, 0], rtol=1e-6)
    # One kind alone: all weigh the same.
    alone = np.asarray(_balanced(jnp.ones(3), jnp.ones(3)))
    np.testing.assert_allclose(alone, alone[0])
    assert alone[0] > 0
