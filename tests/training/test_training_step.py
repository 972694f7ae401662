"""Steps of training, against Adam and its companions written out in numpy, in float64."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.tasks.task import Output, Task
from jaxmotion.training.config import OptimizerConfig
from jaxmotion.training.optimizer import learning_rate
from jaxmotion.training.step import init_state, make_train_step, make_validation_step

STEPS = 12
START = {"a": np.float32(3.0), "b": np.float32([-1.0, 0.5])}


@dataclass(frozen=True)
class Line(Task):
    """Fits y = a x + b_c, c being one of two classes."""

    @property
    def spec(self):
        return {"x": "B N 2", "y": "B N 2"}

    def init(self, key, batch):
        return {"params": jax.tree.map(jnp.asarray, START)}

    def loss(self, variables, batch, *, step, key):
        params = variables["params"]
        error = params["a"] * batch["x"] + params["b"] - batch["y"]
        return Output(jnp.mean(error**2, axis=(1, 2)), metrics={"a": (params["a"], 1)})


def batch_of(number, clips=4):
    rng = np.random.default_rng(number)
    x = rng.normal(size=(clips, 5, 2))
    y = 2 * x + [1.0, -1.0] + 0.1 * rng.normal(size=x.shape)
    return {"x": x.astype(np.float32), "y": y.astype(np.float32)}


def gradient_of(a, b, batch):
    x, y = (batch[name].astype(float) for name in "xy")
    error = a * x + b - y
    return np.array([2 * (error * x).mean(), *error.mean((0, 1))]), (error**2).mean()


def rate_of(config, step, steps=STEPS):
    """By the docstring of `OptimizerConfig`."""
    warmup = min(config.warmup_steps, steps // 2)
    if step < warmup:
        return config.learning_rate * (1 / warmup + step * (1 - 1 / warmup) / warmup)
    since = step - warmup
    return (
        config.learning_rate
        * {
            "constant": 1.0,
            "cosine": 0.5 * (1 + np.cos(np.pi * since / (steps - warmup))),
            "halving": 0.5 ** (since // config.halve_every),
        }[config.schedule]
    )


def expected_run(config, batches):
    """Parameters, their average, loss, gradient's norm and rate after each step."""
    flat = np.array([3.0, -1.0, 0.5])
    average, first, second = flat.copy(), np.zeros(3), np.zeros(3)
    rows = []
    for step, batch in enumerate(batches):
        gradient, loss = gradient_of(flat[0], flat[1:], batch)
        norm = np.linalg.norm(gradient)
        if config.clip_norm > 0:
            gradient = gradient * min(1.0, config.clip_norm / norm)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        unbiased = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
        move = unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
        if config.kind == "adamw":
            move = move + config.weight_decay * flat
        rate = rate_of(config, step)
        flat = flat - rate * move
        decay = min(config.ema_decay, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * flat
        rows.append((flat, average, loss, norm, rate))
    return rows


def flattened(params):
    return np.concatenate([[params["a"]], params["b"]])


CONFIGS = {
    "adam": OptimizerConfig(schedule="constant", warmup_steps=0, clip_norm=0.0, ema_decay=0.5),
    "clipped": OptimizerConfig(schedule="constant", warmup_steps=0, clip_norm=2.5, ema_decay=0.0),
    "decayed": OptimizerConfig(kind="adamw", weight_decay=0.3, warmup_steps=4, clip_norm=0.0),
    "halved": OptimizerConfig(schedule="halving", halve_every=3, warmup_steps=2, clip_norm=2.5),
    "all": OptimizerConfig(kind="adamw", weight_decay=0.1, warmup_steps=99, clip_norm=2.5),
}


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("name", CONFIGS)
def test_steps_are_those_of_the_optimizer_written_out(name, accumulate):
    config = CONFIGS[name]
    config = OptimizerConfig(**{**vars(config), "learning_rate": 0.05})
    task = Line()
    batches = [batch_of(number) for number in range(STEPS)]
    averaged = config.ema_decay > 0
    state = init_state(task, config, batches[0], 0)
    step = jax.jit(make_train_step(task, config, STEPS, 0, accumulate))
    norms = []
    for number, (batch, expected) in enumerate(
        zip(batches, expected_run(config, batches), strict=True)
    ):
        assert state.step == number
        state, metrics = step(state, batch)
        flat, average, loss, norm, lr = expected
        norms.append(norm)
        np.testing.assert_allclose(metrics["loss"], loss, rtol=2e-4, atol=1e-6)
        np.testing.assert_allclose(metrics["gradient_norm"], norm, rtol=2e-4, atol=1e-5)
        np.testing.assert_allclose(metrics["learning_rate"], lr, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(flattened(state.params), flat, rtol=1e-4, atol=1e-5)
        if averaged:
            np.testing.assert_allclose(flattened(state.average), average, rtol=1e-4, atol=1e-5)
            assert state.best_guess == {"params": state.average}
        else:
            assert state.average is None
            assert state.best_guess == {"params": state.params}
        assert state.finite
    assert config.clip_norm == 0 or max(norms) > config.clip_norm > min(norms)


def test_what_is_not_said_stays_as_it_was():
    """The configurations of the shipped models name what differs from these."""
    assert OptimizerConfig() == OptimizerConfig(
        kind="adam",
        learning_rate=2e-3,
        schedule="cosine",
        warmup_steps=100,
        halve_every=10_000,
        weight_decay=1e-4,
        clip_norm=1.0,
        ema_decay=0.999,
    )
    assert hash(OptimizerConfig()) == hash(OptimizerConfig())


def test_the_rate_outlives_its_schedule():
    """A run that is continued for longer has its schedule from the new number of steps."""
    for schedule in ("constant", "cosine", "halving"):
        config = OptimizerConfig(schedule=schedule, warmup_steps=10, halve_every=20)
        rate = learning_rate(config, 100)
        for step in (0, 1, 9, 10, 11, 29, 30, 55, 99, 100):
            np.testing.assert_allclose(rate(step), rate_of(config, step, 100), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_what_is_not_finite_is_remembered(bad):
    class Poisoned(Line):
        def loss(self, variables, batch, *, step, key):
            output = super().loss(variables, batch, step=step, key=key)
            if bad == "loss":
                return output._replace(loss=jnp.where(step == 1, jnp.inf, output.loss))
            # sqrt(0 * a) has value 0 and an infinite slope.
            slope = jnp.where(step == 1, jnp.sqrt(0 * variables["params"]["a"]), 0.0)
            return output._replace(loss=output.loss + slope)

    config = OptimizerConfig()
    state = init_state(Poisoned(), config, batch_of(0), 0)
    step = jax.jit(make_train_step(Poisoned(), config, STEPS, 0))
    finite = []
    for number in range(4):
        state, _ = step(state, batch_of(number))
        finite.append(bool(state.finite))
    # An infinite slope behind a `where` that does not choose it is NaN in every step.
    assert finite == ([True, False, False, False] if bad == "loss" else [False] * 4)


def test_the_randomness_of_a_step_is_its_own():
    """Other steps, seeds and parts of a batch draw otherwise; the same step draws the same."""

    class Noisy(Line):
        def loss(self, variables, batch, *, step, key):
            drawn = jax.random.uniform(key, batch["x"].shape[:1])
            return Output(drawn + 0 * variables["params"]["a"])

    config = OptimizerConfig(ema_decay=0.0)
    state = init_state(Noisy(), config, batch_of(0), 0)

    def losses(seed, accumulate=1):
        step = jax.jit(make_train_step(Noisy(), config, STEPS, seed, accumulate))
        now, found = state, []
        for _ in range(3):
            now, metrics = step(now, batch_of(0))
            found.append(float(metrics["loss"]))
        return found

    drawn = losses(0)
    assert losses(0) == drawn
    values = drawn + losses(1) + losses(0, accumulate=2)
    assert len(set(values)) == len(values)
    # Two clips and two parts: with one key for both parts, their draws would be the same.
    key = jax.random.fold_in(jax.random.key(0), 0)
    parts = [jax.random.uniform(jax.random.fold_in(key, n), (2,)) for n in (0, 1)]
    np.testing.assert_allclose(losses(0, accumulate=2)[0], np.mean(parts), rtol=1e-6)


def test_a_clip_that_is_padding_counts_in_no_validation_loss():
    batch = batch_of(0)
    batch["x"][1] = np.nan
    state = init_state(Line(), OptimizerConfig(), batch, 0)
    found = jax.jit(make_validation_step(Line()))(state, batch, np.float32([1, 0, 0, 1]))
    real = [{name: array[[n]] for name, array in batch.items()} for n in (0, 3)]
    expected = sum(gradient_of(3.0, START["b"].astype(float), clip)[1] for clip in real)
    np.testing.assert_allclose(found["loss"][0], expected, rtol=1e-5)
    assert found["loss"][1] == 2
    np.testing.assert_array_equal(found["a"], [6, 2])
