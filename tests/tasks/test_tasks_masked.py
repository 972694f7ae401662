"""Masked flow modeling: what is hidden stays hidden, and the loss is what it says."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from jaxmotion.configs import get_config
from jaxmotion.data import DataConfig
from jaxmotion.errors import InputError
from jaxmotion.experiments.evals import final_scores
from jaxmotion.experiments.experiment import run_experiment
from jaxmotion.losses import hidden_flow
from jaxmotion.models.loading import load_trained
from jaxmotion.motion import fit_global_motion, global_flow
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.options import from_json, to_json
from jaxmotion.tasks.fields import example_batch
from jaxmotion.tasks.masked_config import MaskedConfig, TubesConfig
from jaxmotion.tasks.tubes import draw_tubes, origins

T, H, W = 4, 16, 24
NETWORK = NetworkConfig(
    input="raw_and_residual",
    widths=(4, 8),
    kernel=(3, 3, 3),
    norm_frames=T,
    known_channel=True,
)
CONFIG = MaskedConfig(network=NETWORK, tubes=TubesConfig(size=4))
DATA = DataConfig(height=H, width=W, clip_length=T)
KINDS = ("masked", "predictive", "variational")


def clips(size=2, seed=0):
    """A square that moves on a ground with some noise, under a camera that pans."""
    rng = np.random.default_rng(seed)
    flow = rng.normal(0, 0.2, (size, T, H, W, 2)) + rng.normal(0, 1, (size, 1, 1, 1, 2))
    flow[:, :, 4:11, 5:13] += (2, -1)
    valid = rng.random(flow.shape[:-1]) > 0.05
    arrays = {"flow": flow, "valid": valid}
    return {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}


@pytest.fixture(scope="module", params=KINDS)
def task(request):
    return dataclasses.replace(CONFIG, reconstruct=request.param).build(DATA)


@pytest.fixture(scope="module")
def variables(task):
    """Parameters that are no start values any more."""
    fresh = jax.jit(task.init)(jax.random.key(0), clips())
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda x: x + rng.normal(0, 0.2, x.shape).astype(np.float32), fresh)


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.5), (0.75, 0.9)])
@pytest.mark.parametrize("following", [0.0, 1.0])
def test_just_so_much_is_hidden(low, high, following):
    config = TubesConfig(size=4, share=(low, high), following=following)
    flow = jnp.full((16, 3, 32, 48, 2), 1.5)
    hidden = draw_tubes(jax.random.key(0), flow, jnp.ones(flow.shape[:-1]), config)
    share = np.asarray(hidden).mean(axis=(1, 2, 3))
    assert (share > low - 0.1).all()
    assert (share < high + 0.1).all()
    assert len({mask.tobytes() for mask in np.asarray(hidden)}) == 16


def test_tubes_stand_still_or_follow_the_flow():
    flow = np.zeros((1, 5, 32, 48, 2), np.float32)
    flow[..., 0], flow[..., 1] = 2, 1
    for following in (0.0, 1.0):
        config = TubesConfig(size=8, share=(0.5, 0.5), following=following)
        hidden = draw_tubes(jax.random.key(3), flow, jnp.ones(flow.shape[:-1]), config)
        masks = np.asarray(hidden)[0]
        assert 0 < masks[0].mean() < 1
        for t in range(1, 5):
            moved = np.roll(masks[0], (t, 2 * t), axis=(0, 1)) if following else masks[0]
            inside = np.s_[t:, 2 * t :]
            np.testing.assert_array_equal(masks[t][inside], moved[inside])


def test_tubes_of_some_frames_are_drawn_anew():
    config = TubesConfig(size=4, frames=2, share=(0.5, 0.5), following=0.0)
    flow, valid = jnp.zeros((2, 5, 16, 24, 2)), jnp.ones((2, 5, 16, 24))
    hidden = np.asarray(draw_tubes(jax.random.key(0), flow, valid, config))
    np.testing.assert_array_equal(hidden[:, 0], hidden[:, 1])
    np.testing.assert_array_equal(hidden[:, 2], hidden[:, 3])
    assert (hidden[:, 1] != hidden[:, 2]).any()
    # Frames that only fill a clip up change nothing in those before.
    flow, valid = (jnp.pad(x, [(0, 0), (0, 3)] + [(0, 0)] * (x.ndim - 2)) for x in (flow, valid))
    longer = np.asarray(draw_tubes(jax.random.key(0), flow, valid, config))
    np.testing.assert_array_equal(longer[:, :5], hidden)


def test_the_way_back_of_a_turning_frame_is_that_of_its_rotation():
    angle, frames = 0.1, 4
    y, x = np.mgrid[:33, :33] - 16.0
    flow = np.stack([-y * np.sin(angle) + x * (np.cos(angle) - 1)] * 2, axis=-1)
    flow[..., 1] = x * np.sin(angle) + y * (np.cos(angle) - 1)
    clip = np.broadcast_to(flow, (1, frames, *flow.shape)).astype(np.float32)
    way = np.asarray(origins(clip, np.ones(clip.shape[:-1])))[0, -1]
    place = np.stack([x, y], axis=-1) + way
    # Where a pixel was three frames ago has the same distance from the center, but for 1 % a
    # frame: the flow of a pixel is taken from where it leads to, not from where it began.
    far = np.hypot(x, y) < 12
    np.testing.assert_allclose(np.linalg.norm(place, axis=-1)[far], np.hypot(x, y)[far], rtol=0.035)
    turned = np.arctan2(place[..., 1], place[..., 0])[16, 24]
    np.testing.assert_allclose(turned, -3 * angle, atol=0.03)


def test_what_is_hidden_never_reaches_the_network(task, variables):
    """Whatever stands where it is hidden, the output stays; it changes with what is seen."""
    batch = clips(1)
    hidden = task.hide(jax.random.key(2), batch["flow"], batch["valid"])
    if task.config.reconstruct == "variational":  # sees all of a clip, but what is not known
        hidden = batch["valid"] == 0
    visible = jnp.where(hidden, 0, batch["valid"])
    seen = slice(T - task.horizon) if task.horizon else slice(None)

    @jax.jit
    def found(flow):
        clip = {"flow": flow[:, seen], "valid": visible[:, seen]}
        return task.predict(variables, clip)["flow"]

    before = found(batch["flow"])
    other = jnp.where(hidden[..., None], jnp.nan, batch["flow"])
    if task.config.reconstruct == "predictive":
        other = batch["flow"].at[:, T - task.horizon :].set(jnp.nan)
    np.testing.assert_array_equal(found(other), before)
    changed = jnp.where(visible[..., None] > 0, 1.5 * batch["flow"] + 0.3, 0)
    assert not np.allclose(found(changed), before, atol=1e-3)


def test_losses_are_means_of_errors_over_what_is_hidden():
    """Against float64 numpy, clip by clip and pixel by pixel."""
    rng = np.random.default_rng(0)
    flow = rng.normal(size=(2, T, 6, 7, 2))
    valid = rng.random(flow.shape[:-1]) > 0.2
    hidden = valid & (rng.random(valid.shape) > 0.4)
    theta, camera = rng.normal(size=(2, 2, T, 12))
    found = rng.normal(size=flow.shape)
    arrays = (found, camera, flow, valid.astype(np.float32), hidden, theta)
    errors = hidden_flow.errors(*(jnp.asarray(array) for array in arrays))
    motion = np.asarray(global_flow(jnp.asarray(theta), 6, 7), np.float64)
    y, x = np.meshgrid(np.linspace(-1, 1, 6), np.linspace(-1, 1, 7), indexing="ij")
    one = np.ones_like(x)
    basis = np.stack([one, x, y, x * x, x * y, y * y])
    coefficients = theta.reshape(2, T, 2, 6)
    expected = np.einsum("btcj,jhw->bthwc", coefficients, basis)
    np.testing.assert_allclose(np.sort(motion.ravel()), np.sort(expected.ravel()), atol=1e-4)
    for clip in range(2):
        residual = flow[clip] - motion[clip]
        scale = np.abs(residual[valid[clip]]).mean()
        speed = np.abs(flow[clip][valid[clip]]).mean()
        off = np.abs(found[clip] - residual)[hidden[clip]].mean()
        np.testing.assert_allclose(errors.flow[clip], off / scale, rtol=1e-4)
        np.testing.assert_allclose(
            errors.camera[clip], np.abs(camera[clip] - theta[clip]).mean() / speed, rtol=1e-4
        )
        np.testing.assert_allclose(
            errors.unfilled[clip], np.abs(residual[hidden[clip]]).mean() / scale, rtol=1e-4
        )


def test_divergence_is_that_of_gaussians():
    from scipy import integrate, stats

    mean, deviation = 0.7, 0.4
    own, prior = stats.norm(mean, deviation), stats.norm()
    expected, _ = integrate.quad(lambda z: own.pdf(z) * (own.logpdf(z) - prior.logpdf(z)), -5, 5)
    found = hidden_flow.divergences(
        jnp.array([[mean, 0.0]]), jnp.array([[2 * np.log(deviation), 0.0]])
    )
    np.testing.assert_allclose(found, [[expected, 0]], rtol=1e-5, atol=1e-6)


def test_every_kind_has_its_parts_and_a_picture(task, variables):
    batch = clips()
    output = jax.jit(lambda v, b: task.loss(v, b, step=0, key=None))(variables, batch)
    assert output.loss.shape == (2,)
    assert np.isfinite(output.loss).all()
    names = {"flow", "camera", "unexplained"}
    kind = task.config.reconstruct
    assert set(output.metrics) == names | ({"divergence"} if kind == "variational" else set())
    picture = task.picture(variables, batch)
    assert picture.shape == (3 * (H + 2), 2 * (W + 2), 3)
    assert picture.dtype == np.uint8


def test_a_clip_without_flow_counts_nowhere(variables, task):
    batch = clips()
    batch["valid"] = batch["valid"].at[1].set(0)
    output = jax.jit(lambda v, b: task.loss(v, b, step=0, key=None))(variables, batch)
    np.testing.assert_array_equal(output.weight, [1, 0])
    assert np.isfinite(output.loss).all()
    for total, count in output.metrics.values():
        assert total[1] == count[1] == 0


def test_at_first_what_is_hidden_moves_much_as_the_nearest_pixel_that_is_seen():
    """Against SciPy's nearest pixels, of which several are often as near."""
    task, batch = CONFIG.build(DATA), clips()
    fresh = jax.jit(task.init)(jax.random.key(0), batch)
    output = jax.jit(lambda v, b: task.loss(v, b, step=0, key=None))(fresh, batch)
    total, count = output.metrics["unexplained"]
    flow = jnp.where(batch["valid"][..., None] > 0, batch["flow"], 0)
    hidden = task.hide(jax.random.split(jax.random.key(0), 3)[1], flow, batch["valid"])
    seen = ~hidden & (batch["valid"] > 0)
    motion = global_flow(fit_global_motion(flow, seen.astype(jnp.float32)), H, W)
    for index, (left, whole) in enumerate(zip(total, count, strict=True)):
        field, inside, where = (np.asarray(x[index]) for x in (flow - motion, seen, hidden))
        places = (
            distance_transform_edt(~known, return_distances=False, return_indices=True)
            for known in inside
        )
        nearest = np.stack([v[tuple(at)] for v, at in zip(field, places, strict=True)])
        left_out = nearest / (1 + np.exp(-2)) - field
        expected = np.abs(left_out)[where].sum() / np.abs(field)[where].sum()
        assert 0.3 < expected < 1.2
        assert left / whole == pytest.approx(expected, rel=0.08)


def test_it_learns_what_is_hidden():
    """A square that always moves against the ground, half of it hidden: more is found than seen."""
    import optax

    config = dataclasses.replace(
        CONFIG,
        network=dataclasses.replace(NETWORK, widths=(8, 16)),
        tubes=TubesConfig(size=4, share=(0.5, 0.5)),
    )
    task, batch, optimizer = config.build(DATA), clips(), optax.adam(5e-3)

    @jax.jit
    def train(params):
        def loss(params, key):
            output = task.loss({"params": params}, batch, step=0, key=key)
            total, count = output.metrics["unexplained"]
            return jnp.mean(output.loss), jnp.sum(total) / jnp.sum(count)

        def step(carry, key):
            params, state = carry
            gradient, left = jax.grad(loss, has_aux=True)(params, key)
            updates, state = optimizer.update(gradient, state)
            return (optax.apply_updates(params, updates), state), left

        keys = jax.random.split(jax.random.key(0), 250)
        return jax.lax.scan(step, (params, optimizer.init(params)), keys)[1]

    left = np.asarray(train(jax.jit(task.init)(jax.random.key(0), batch)["params"]))
    assert left[0] > 0.8
    assert left[-20:].mean() < 0.75


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: TubesConfig(share=(0.9, 0.5)), "expected the least share and the greatest"),
        (lambda: TubesConfig(share=(0.0, 0.5)), "above 0"),
        (lambda: TubesConfig(size=0), "tubes.size 0"),
        (lambda: NetworkConfig(known_channel=True, stem=1), "network.stem 2 only"),
        (
            lambda: MaskedConfig(network=NetworkConfig(num_masks=3)),
            r"network.num_masks, .*: expected as they are",
        ),
        (
            lambda: dataclasses.replace(
                CONFIG, augment=dataclasses.replace(CONFIG.augment, corruption_probability=0.1)
            ),
            "augment.corruption_probability 0.1: expected 0",
        ),
        (
            lambda: dataclasses.replace(CONFIG, reconstruct="predictive").build(DataConfig()),
            "data.clip_length 1: expected at least 2",
        ),
    ],
)
def test_wrong_options_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        wrong()


def test_the_configuration_is_read_again():
    config = get_config("masked")
    assert from_json(type(config), to_json(config)) == config


def shapes_of(name):
    """The task of an experiment, and the shapes of its variables."""
    config = get_config(name)
    task = config.task.build(config.data)
    batch = example_batch(task.spec, {"H": 64, "W": 112})
    return task, jax.eval_shape(task.init, jax.random.key(0), batch)


def words_of_start(task, fresh, trained):
    words = []

    def transfer(fresh, trained):
        variables, said = task.transfer(fresh, trained)
        words.append(said)
        return variables

    started = jax.eval_shape(transfer, fresh, trained)
    assert jax.tree.map(lambda x: x.shape, started) == jax.tree.map(lambda x: x.shape, fresh)
    return words[0]


@pytest.mark.parametrize("name", ["em", "st_ms", "lt_ms", "instances", "foreground"])
def test_other_methods_start_from_it(name):
    _, trained = shapes_of("masked")
    words = words_of_start(*shapes_of(name), trained)
    assert "stem (without raw flow), unet" in words
    assert "known (all counts as known)" in words.partition("not used")[2]
    assert ("unet (summed over time)" in words) == (name == "em")


@pytest.mark.parametrize("reconstruct", KINDS)
def test_it_starts_from_a_shipped_segmenter(reconstruct):
    config = get_config("masked")
    assert isinstance(config.task, MaskedConfig)
    task = dataclasses.replace(config.task, reconstruct=reconstruct).build(config.data)
    batch = example_batch(task.spec, {"H": 64, "W": 112})
    fresh = jax.eval_shape(task.init, jax.random.key(0), batch)
    trained = load_trained("st-ms-k4").variables
    words = words_of_start(task, fresh, jax.tree.map(jnp.asarray, dict(trained)))
    assert words.startswith("taken: stem (raw flow from zero), unet; fresh: ")
    assert "known (from zero)" in words


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_experiment_trains_and_is_scored(tmp_path, kind):
    config = get_config("masked")
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, height=H, width=W, clip_length=T, validation_clips=2),
        task=dataclasses.replace(CONFIG, reconstruct=kind),
        steps=2,
        evals=dataclasses.replace(config.evals, frames=8),
        picture_every=0,
    )
    run_experiment(config, tmp_path)
    scores = final_scores(tmp_path, baselines=True)
    assert {"hidden_L1", "hidden_L1_motion", "hidden_L1_place", "hidden_L1_time"} < set(scores)
    best = min(scores[f"hidden_L1_{name}"] for name in ("motion", "place", "time"))
    np.testing.assert_allclose(scores["of_the_best"], scores["hidden_L1"] / best)
