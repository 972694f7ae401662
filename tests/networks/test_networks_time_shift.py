import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.networks.time_shift import beside, shift_time


def shifted(x, step):
    """As plain as can be."""
    y = np.zeros_like(x)
    for t in range(x.shape[1]):
        if 0 <= t + step < x.shape[1]:
            y[:, t] = x[:, t + step]
    return y


@pytest.mark.parametrize("step", range(-6, 7))
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_every_frame_is_the_one_a_step_later(step, dtype):
    x = np.random.default_rng(0).integers(1, 99, size=(2, 5, 3, 2)).astype(dtype)
    found = shift_time(jnp.asarray(x), step)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, shifted(x, step))


def test_gradients_go_back_to_where_frames_came_from():
    x, y = np.random.default_rng(0).normal(size=(2, 2, 5, 3)).astype(np.float32)
    for step in (-2, 1):
        _, pull = jax.vjp(lambda x, step=step: shift_time(x, step), jnp.asarray(x))
        np.testing.assert_array_equal(pull(jnp.asarray(y))[0], shifted(y, -step))


def test_frames_beside_each_other_stand_earliest_first():
    x = np.random.default_rng(0).normal(size=(1, 4, 2, 2, 3)).astype(np.float32)
    expected = np.concatenate([shifted(x, step) for step in (-1, 0, 1)], axis=-1)
    np.testing.assert_array_equal(beside(jnp.asarray(x), 1), expected)
    assert beside(x, 0) is x


# Every clips-by-frames mesh of eight, and one with a third axis; a clip that devices cannot share.
ON_EIGHT_DEVICES = """
import json
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxmotion.networks.time_shift import shift_time

for sizes, clips in (((1, 8, 1), 2), ((2, 4, 1), 2), ((2, 2, 2), 2), ((2, 4, 1), 1)):
    mesh = jax.make_mesh(sizes, ("data", "time", "model"), axis_types=(AxisType.Auto,) * 3)
    x, y = np.random.default_rng(0).normal(size=(2, clips, 16, 3, 5)).astype(np.float32)
    spec = PartitionSpec("data" if clips > 1 else None, "time")
    sharding = NamedSharding(mesh, spec)
    for step in (-3, -2, -1, 0, 1, 2):
        def both(x, y):
            value, pull = jax.vjp(lambda x: shift_time(x, step), x)
            return value, pull(y)[0]
        with jax.set_mesh(mesh):
            program = jax.jit(both, in_shardings=sharding, out_shardings=sharding)
            compiled = program.lower(x, y).compile()
            found = compiled(*jax.device_put((x, y), sharding))
        for value, given, by in zip(found, (x, y), (step, -step)):
            moved = np.roll(given, -by, axis=1)
            moved[:, (slice(16 - by, None) if by > 0 else slice(0, -by))] = 0
            np.testing.assert_array_equal(value, moved)
        print("CASE", json.dumps([sizes, clips, step]))
        print(compiled.as_text())
"""


@pytest.mark.sharding
def test_devices_hand_each_other_a_frame_a_step(on_eight_devices):
    import hlo

    for case in on_eight_devices(ON_EIGHT_DEVICES).split("CASE ")[1:]:
        named, text = case.split("\n", 1)
        (data, time, _), clips, step = json.loads(named)
        if 0 < abs(step) <= 16 // time:
            found = hlo.collectives(text[text.index("HloModule ") :])
            part = clips // data if clips > 1 else clips
            assert {exchange.kind for exchange in found} == {"collective-permute"}
            assert [exchange.bytes for exchange in found] == [4 * part * abs(step) * 3 * 5] * 2
