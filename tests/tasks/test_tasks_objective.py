"""The loss that training minimizes, against the same written out in float64.

The masks are a formula of what the network is given, so that nothing here depends on a network, and
the motion models are minima that least squares or, for L1, a linear program find.
"""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import monitoring
from scipy.optimize import linprog
from scipy.special import softmax

from jaxmotion.data.augmentation import augment
from jaxmotion.data.config import AugmentConfig
from jaxmotion.motion import MotionModel
from jaxmotion.networks import NetworkConfig
from jaxmotion.tasks.segmentation import SegmentationTask
from jaxmotion.tasks.segmentation_config import ObjectiveConfig

B, T, H, W, K = 2, 3, 9, 12, 3
MOTION = MotionModel("affine", "polynomial")
PLAIN = ObjectiveConfig(penalty="squared", normalisation="flow", entropy_weight=0.0)


@dataclass(frozen=True)
class GivenMasks(SegmentationTask):
    """Masks by a formula of the flow that the network would see."""

    def masks(self, params, observation, key=None):
        return jax.nn.softmax(observation.features @ params["w"] + params["b"], axis=-1)


def masks_of(params, seen):
    return softmax(np.asarray(seen, float) @ params["w"] + params["b"], axis=-1)


def task_with(objective, augmentation=AugmentConfig()):  # noqa: B008
    return GivenMasks(NetworkConfig(input="raw"), MOTION, augmentation, objective=objective)


@pytest.fixture(scope="module")
def scene():
    """Noisy clips: an object of another motion before a background that moves by a quadratic."""
    rng = np.random.default_rng(0)
    quadratic = MotionModel().design(1, H, W)[0]
    flow = np.einsum("hwcp,btp->bthwc", quadratic, 2 * rng.normal(size=(B, T, 12)))
    flow += 0.3 * rng.laplace(size=flow.shape)
    flow[:, :, 2:6, 3:8] += [2.0, -1.5]
    valid = np.ones((B, T, H, W), np.float32)
    valid[0, :, :, :2] = 0
    valid[1, 2] = 0  # a frame of padding
    params = {"w": rng.normal(size=(2, K)).astype(np.float32), "b": np.float32([0.4, 0.0, -0.2])}
    return flow.astype(np.float32), valid, params


def least_absolute(design, target, weights):
    """Theta of the least weighted sum of absolute residuals."""
    n = len(target)
    cost = weights / weights.max()
    program = linprog(
        np.concatenate([np.zeros(design.shape[1]), cost, cost]),
        A_eq=np.hstack([design, np.eye(n), -np.eye(n)]),
        b_eq=target,
        bounds=[(None, None)] * design.shape[1] + [(0, None)] * (2 * n),
    )
    return program.x[: design.shape[1]]


def least_squares(design, target, weights):
    root = np.sqrt(weights)
    return np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0]


def global_motion(flow, known):
    """The robust quadratic motion of each frame, of u and of v."""
    design = MotionModel().design(1, H, W)[0, :, :, 0, :6]
    motion = np.zeros(flow.shape)
    for b, t, c in np.ndindex(B, T, 2):
        if (seen := known[b, t]).any():
            theta = least_absolute(
                design[seen], flow[b, t, seen, c].astype(float), np.ones(seen.sum())
            )
            motion[b, t, ..., c] = design @ theta
    return motion


def expected_loss(config, flow, valid, masks, ramp=1.0):
    """The loss of each clip, as the docstring of `ObjectiveConfig` states it."""
    solve = {"l1": least_absolute, "squared": least_squares}[config.penalty]
    design = MOTION.design(T, H, W).reshape(-1, MOTION.num_parameters(T))
    known = valid > 0
    residual = target = np.where(known[..., None], flow, 0.0)
    if config.remove_global_motion or config.normalisation == "residual":
        residual = np.where(known[..., None], flow - global_motion(flow, known), 0.0)
        target = residual if config.remove_global_motion else target
    scale = residual if config.normalisation == "residual" else flow
    y, x = np.mgrid[:H, :W]
    distance = np.maximum(abs(2 * y / (H - 1) - 1), abs(2 * x / (W - 1) - 1))
    cost = config.foreground_cost + config.border_cost * distance**4
    losses = []
    for b in range(B):
        pixels = known[b].sum((1, 2))
        frames = np.sum(pixels > 0)
        norm = np.maximum((np.abs(scale[b]).sum(-1) * known[b]).sum((1, 2)), 0.01 * pixels)
        norm = pixels if config.normalisation == "pixels" else norm
        weights = np.divide(1.0, frames * norm, where=pixels > 0, out=np.zeros(T))
        coherence = 0.0
        for k in range(K):
            mass = masks[b, ..., k] * known[b] * weights[:, None, None]
            used = np.repeat(mass.ravel() > 0, 2)
            flat = np.repeat(mass.ravel(), 2)[used]
            wanted = target[b].reshape(-1)[used].astype(float)
            error = wanted - design[used] @ solve(design[used], wanted, flat)
            coherence += flat @ (error**2 if config.penalty == "squared" else np.abs(error))
        entropy = -(masks[b] * np.log(masks[b])).sum(-1)[known[b]].mean()
        prior = (cost * (1 - masks[b, ..., 0]))[known[b]].mean()
        pair = known[b, 1:] & known[b, :-1]
        jump = np.abs(flow[b, 1:] - flow[b, :-1]).sum(-1)
        limit = np.quantile(jump[pair], config.occlusion_quantile, method="inverted_cdf")
        change = np.abs(masks[b, 1:] - masks[b, :-1]).sum(-1) / (2 * K)
        consistency = change[pair & (jump <= limit)].sum() / pair.sum()
        losses.append(
            coherence
            - config.entropy_weight * entropy
            + prior
            + config.consistency_weight * ramp * consistency
        )
    return np.array(losses)


# The global motion that is removed is a minimum too, and flat: the models of what it leaves differ.
OBJECTIVES = {
    "mean over pixels": (replace(PLAIN, normalisation="pixels"), 1e-4),
    "over the flow's norm": (PLAIN, 1e-4),
    "L1": (replace(PLAIN, penalty="l1"), 1e-2),  # of few pixels; of many the fit is closer
    "over the residual's norm": (replace(PLAIN, normalisation="residual"), 0.02),
    "without the global motion": (replace(PLAIN, remove_global_motion=True), 0.03),
    "all terms": (
        replace(
            PLAIN,
            entropy_weight=0.5,
            foreground_cost=0.7,
            border_cost=3.0,
            consistency_weight=2.0,
            occlusion_quantile=0.8,
        ),
        1e-4,
    ),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_loss_is_what_it_says(scene, name):
    flow, valid, params = scene
    config, tolerance = OBJECTIVES[name]
    expected = expected_loss(config, flow, valid, masks_of(params, flow))
    batch = {"flow": flow, "valid": valid}
    output = jax.jit(partial(task_with(config).loss, key=None))(
        {"params": params}, batch, step=jnp.int32(0)
    )
    np.testing.assert_allclose(output.loss, expected, rtol=tolerance)
    np.testing.assert_array_equal(output.weight, np.ones(B))
    parts = {name: total / count for name, (total, count) in output.metrics.items()}
    masks, known = masks_of(params, flow), valid > 0
    entropy = [-(m * np.log(m)).sum(-1)[v].mean() for m, v in zip(masks, known, strict=True)]
    np.testing.assert_allclose(parts["entropy"], entropy, rtol=1e-4)
    foreground = [1 - m[..., 0][v].mean() for m, v in zip(masks, known, strict=True)]
    np.testing.assert_allclose(parts["foreground"], foreground, rtol=1e-4)
    assert ("consistency" in parts) == (config.consistency_weight > 0)


@pytest.mark.parametrize(
    "term", ["entropy_weight", "foreground_cost", "border_cost", "consistency"]
)
def test_no_term_is_lost_among_all(scene, term):
    """What makes the test above able to fail: each term is a hundred times its tolerance."""
    flow, valid, params = scene
    config = OBJECTIVES["all terms"][0]
    without = replace(config, **{f"{term}_weight" if term == "consistency" else term: 0.0})
    losses = [expected_loss(c, flow, valid, masks_of(params, flow)) for c in (config, without)]
    assert np.all(np.abs(losses[0] - losses[1]) > 1e-2 * np.abs(losses[0]))


def test_the_network_sees_the_corrupted_clip_and_the_loss_explains_the_clean_one(scene):
    flow, valid, params = scene
    config = replace(PLAIN, entropy_weight=0.3, consistency_weight=2.0, consistency_ramp=20)
    augmentation = AugmentConfig(corruption_probability=1.0)
    batch = {"flow": flow, "valid": valid}
    loss = jax.jit(task_with(config, augmentation).loss)
    for step, ramp in ((0, 0.0), (5, 0.25), (20, 1.0), (50, 1.0)):
        key = jax.random.key(step)
        seen, same, *_ = augment(key, flow, valid, augmentation, MOTION)
        np.testing.assert_array_equal(same, np.where(valid[..., None] > 0, flow, 0))
        assert all(np.any(np.asarray(seen)[b] != flow[b]) for b in range(B))
        expected = expected_loss(config, flow, valid, masks_of(params, seen), ramp)
        clean = expected_loss(config, flow, valid, masks_of(params, flow), ramp)
        assert np.all(np.abs(expected - clean) > 1e-2 * np.abs(clean))
        output = loss({"params": params}, batch, step=jnp.int32(step), key=key)
        np.testing.assert_allclose(output.loss, expected, rtol=1e-4)


@pytest.mark.parametrize("remove_global_motion", [False, True])
def test_the_picture_shows_the_flow_that_the_motion_models_explain(remove_global_motion):
    """Two exact motions are explained (after a robust global one, nearly), one pixel is not."""
    flow = np.zeros((1, T, H, W, 2), np.float32) + np.float32([1.0, 0.5])
    flow[:, :, 2:6, 3:8] = [-2.0, 1.0]
    hard = {"w": np.float32([[20, -20, -99], [0, 0, 0]]), "b": np.zeros(K, np.float32)}
    task = task_with(replace(PLAIN, remove_global_motion=remove_global_motion))
    batch = {"flow": flow, "valid": np.ones(flow.shape[:-1], np.float32)}
    rows = np.split(task.picture({"params": hard}, batch).astype(int), 3)
    assert np.ptp(rows[0].reshape(-1, 3), axis=0).max() > 60  # there are colors to lose
    assert np.abs(rows[2] - rows[0]).mean() < 5
    labels = rows[1][1:-1, 1:-1]
    is_object = np.all(labels == labels[3, 4], axis=-1)
    assert np.all(labels[~is_object] == labels[0, 0])
    assert is_object[2:6, 3:8].all()
    assert is_object.sum() == 20

    events = []
    listener = lambda event, *_, **__: events.append(event)  # noqa: E731
    monitoring.register_event_duration_secs_listener(listener)
    spoiled = flow.copy()
    spoiled[:, T // 2, 4, 3] = [-4.0, -4.0]
    rows = np.split(task.picture({"params": hard}, {**batch, "flow": spoiled}).astype(int), 3)
    monitoring.unregister_event_duration_listener(listener)
    assert "/jax/core/compile/backend_compile_duration" not in events  # a second picture
    differs = np.abs(rows[2] - rows[0]).max(-1)[1:-1, 1:-1] > 30
    assert differs[4, 3]
    assert differs.sum() < 5
