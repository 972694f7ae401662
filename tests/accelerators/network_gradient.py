"""The gradient of a small network whose frames eight devices share; run by the tests.

python network_gradient.py tpu       its program for a TPU v5e of 2x4, compiled without one
python network_gradient.py compare   how far it is on eight devices from the same on one
python network_gradient.py memory    bytes that that of LT-MS needs on one v5e, by what saves them
"""

import dataclasses
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxmotion.configs import get_config
from jaxmotion.networks import INPUT_CHANNELS, DecoderConfig, NetworkConfig, build_segmenter

CONFIG = NetworkConfig(
    num_masks=4,
    widths=(8, 16),
    kernel=(3, 3, 3),
    norm_frames=9,
    decoder=DecoderConfig("transformer", layers=1, feed_forward=16),
)
FRAMES, HEIGHT, WIDTH = 64, 32, 48
MODULE = build_segmenter(CONFIG)


def frame_bytes() -> list[int]:
    """Bytes of a frame of what each convolution over time is given, and, last, of the features."""
    fine, coarse = CONFIG.widths
    inner = HEIGHT // 2 * WIDTH // 2
    left, right = [inner * fine] * 2, [inner * 2 * fine, inner * fine]
    below = [inner // 4 * fine, inner // 4 * coarse]
    shortcut = [HEIGHT * WIDTH * INPUT_CHANNELS[CONFIG.input]]
    return [4 * numbers for numbers in left + below + right + shortcut]


def loss(variables, features, valid):
    """A number that depends on every mask."""
    return jnp.mean(MODULE.apply(variables, features, valid).masks[..., 0] ** 2)


def arguments(clips: int) -> tuple:
    """Parameters, features, and valid with a frame of padding and unknown pixels."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(clips, FRAMES, HEIGHT, WIDTH, 3)).astype(np.float32)
    valid = (rng.random(features.shape[:-1]) > 0.05).astype(np.float32)
    valid[:, -1] = 0
    features *= valid[..., None]
    variables = jax.jit(MODULE.init)(jax.random.key(0), features[:1, :1])
    noise = lambda x: x + rng.normal(0, 0.1, x.shape).astype(np.float32)  # noqa: E731
    return jax.tree.map(noise, variables), features, valid


def shardings(mesh: Mesh) -> tuple:
    """Of the arguments."""
    clips = NamedSharding(mesh, PartitionSpec("data", "time"))
    return NamedSharding(mesh, PartitionSpec()), clips, clips


def mesh_of(devices, data: int) -> Mesh:
    """Devices that share clips and frames."""
    grid = np.array(devices).reshape(data, -1)
    return Mesh(grid, ("data", "time"), axis_types=(AxisType.Auto,) * 2)


def tpu() -> None:
    """Prints the program."""
    jax.config.update("jax_exec_time_optimization_effort", -1.0)
    devices = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x4").devices
    mesh = mesh_of(devices, data=1)
    given = jax.eval_shape(lambda: arguments(1))
    with jax.set_mesh(mesh):
        compiled = jax.jit(jax.grad(loss), in_shardings=shardings(mesh)).lower(*given).compile()
    print(compiled.as_text())


def compare() -> None:
    """Prints, for meshes of eight, the relative difference of the loss and of the gradient."""
    given = arguments(2)
    expected = jax.jit(jax.value_and_grad(loss))(*given)
    for data in (1, 2):
        mesh = mesh_of(jax.devices(), data)
        with jax.set_mesh(mesh):
            found = jax.jit(jax.value_and_grad(loss), in_shardings=shardings(mesh))(*given)
        far = []
        for one, eight in zip(expected, found, strict=True):
            one, eight = (
                np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(value)])
                for value in (one, eight)
            )
            far.append(float(np.linalg.norm(one - eight) / np.linalg.norm(one)))
        print(json.dumps(far))


def memory() -> None:
    """Prints the temporaries of 64 frames: as it is, with parts computed twice, in bfloat16."""
    jax.config.update("jax_exec_time_optimization_effort", -1.0)
    chip = topologies.get_topology_desc(
        platform="tpu", topology_name="v5e:1x1", chips_per_host_bounds=[1, 1, 1]
    ).devices[0]
    one = jax.sharding.SingleDeviceSharding(chip)
    config = get_config("lt_ms").task.network
    shape = (1, 64, 64, 112, INPUT_CHANNELS[config.input])
    features = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=one)
    needed = {}
    for saving in ({}, {"remat": "norms"}, {"remat": "blocks"}, {"compute_dtype": "bfloat16"}):
        module = build_segmenter(dataclasses.replace(config, **saving))
        variables = jax.eval_shape(module.init, jax.random.key(0), features)

        def mean_square(variables, features, module=module):
            return jnp.mean(module.apply(variables, features).masks[..., 0] ** 2)

        compiled = jax.jit(jax.grad(mean_square)).lower(variables, features).compile()
        memory = compiled.memory_analysis()
        assert memory is not None
        needed["".join(saving.values())] = memory.temp_size_in_bytes
    print(json.dumps(needed))


if __name__ == "__main__":
    {"tpu": tpu, "compare": compare, "memory": memory}[sys.argv[1]]()
