"""Training steps of small networks on meshes of eight virtual devices; run by the tests.

    python train_sharded.py compare CASE…    loss and gradient on the case's meshes and one device
    python train_sharded.py hlo CASE         the compiled training step
    python train_sharded.py memory CASE      temporaries of a device in bytes, for each mesh
    python train_sharded.py train CASE       the loss of one training step

A case is JSON: ``{"method": "lt_ms", "frames": 9, "batch": 4, "meshes": [[2, 4]], …}``.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from math import prod

import jax
import numpy as np
import optax

from jaxmotion.configs import get_config
from jaxmotion.data.config import AugmentConfig
from jaxmotion.networks.config import AttentionConfig
from jaxmotion.training.config import Config, MeshConfig
from jaxmotion.training.program import RunFunctions, jit_functions, under_mesh
from jaxmotion.training.shardings import make_mesh, put_batch

SPEC = {"flow": "B T H W 2", "valid": "B T H W", "labels": "B T H W"}
TYPES = {"flow": np.float32, "valid": np.float32, "labels": np.int32}


def configuration(case: dict) -> Config:
    """A method with a small network, without augmentation unless the case has some."""
    config = get_config(case["method"])
    task = config.task
    network = replace(task.network, widths=tuple(case.get("widths", (4, 8))))
    network = replace(network, **case.get("network", {}))
    network = replace(network, attention=AttentionConfig(**case.get("attention", {})))
    if network.decoder.kind != "linear":
        decoder = replace(network.decoder, feed_forward=16, layers=1)
        network = replace(network, decoder=decoder)
    own = dict(case.get("task", {}))
    if "objective" in case:
        own["objective"] = replace(task.objective, **case["objective"])
    height, width = case.get("size", (16, 24))
    return replace(
        config,
        data=replace(config.data, height=height, width=width, clip_length=case["frames"]),
        task=replace(
            task, network=network, augment=AugmentConfig(**case.get("augment", {})), **own
        ),
        # So that the first moment of Adam is a tenth of the gradient.
        optimizer=replace(config.optimizer, clip_norm=0.0),
        batch_size=case["batch"],
        accumulate=case.get("accumulate", 1),
    )


def clips(config: Config) -> dict[str, np.ndarray]:
    """A camera motion, a rectangle that moves by itself, some noise, some unknown pixels."""
    rng = np.random.default_rng(0)
    data = config.data
    shape = (config.batch_size, data.clip_length, data.height, data.width)
    flow = rng.normal(0, 0.3, (*shape, 2)) + rng.normal(0, 2, (shape[0], 1, 1, 1, 2))
    flow[:, :, 4:10, 6:14] += 3
    valid = (rng.random(shape) > 0.02).astype(np.float32)
    labels = np.zeros(shape, np.int32)
    labels[:, :, 4:10, 6:14] = 1
    labels[:, :, 2:12, 16:20] = 2  # moves like the rest
    return {"flow": flow.astype(np.float32), "valid": valid, "labels": labels}


def program(case: dict, config: Config, mesh: MeshConfig, devices=None) -> RunFunctions:
    """The functions of a run on a mesh."""
    grid = make_mesh(mesh, config.batch_size, devices)
    time, data = grid.shape["time"], config.data
    frames = -(-data.clip_length // time) * time
    shape = (config.batch_size, frames, data.height, data.width)
    task = config.task.build(data)
    batch = {
        name: jax.ShapeDtypeStruct((*shape, *map(int, axes.split()[4:])), TYPES[name])
        for name, axes in task.spec.items()
    }
    return jit_functions(config, task, grid, batch)


def first_step(jitted: RunFunctions, batch: dict[str, np.ndarray]) -> tuple[float, np.ndarray]:
    """Loss and gradient, as one vector, of the first training step."""
    compiled = jitted.lower_train_step().compile()
    spec = {name: SPEC[name] for name in jitted.batch}
    batch = put_batch(jitted.mesh, spec, {name: batch[name] for name in spec})
    with under_mesh(jitted.mesh):
        state = jitted.init(batch)
    state, metrics = compiled(state, batch)
    [adam] = (part for part in state.optimizer if isinstance(part, optax.ScaleByAdamState))
    gradient = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(adam.mu)])
    return float(metrics["loss"]), gradient


def compare(case: dict) -> None:
    """Prints, for each mesh, how far loss and gradient are from those of one device, relatively."""
    config = configuration(case)
    batch = clips(config)
    loss, gradient = first_step(program(case, config, MeshConfig(), jax.devices()[:1]), batch)
    changed = configuration(case | case.get("changed", {}))
    for sizes in case["meshes"]:
        mesh = MeshConfig(*sizes, fsdp=case.get("fsdp", False))
        jitted = program(case, replace(changed, mesh=mesh), mesh, jax.devices()[: prod(sizes)])
        other_loss, other = first_step(jitted, batch)
        far = np.linalg.norm(other - gradient) / np.linalg.norm(gradient)
        print(json.dumps([sizes, abs(other_loss / loss - 1), float(far)]), flush=True)


def on_its_meshes(case: dict) -> Iterator[RunFunctions]:
    """The program of each mesh of the case, on as many devices as it has."""
    for sizes in case["meshes"]:
        yield program(case, configuration(case), MeshConfig(*sizes), jax.devices()[: prod(sizes)])


def main(what: str, case: dict) -> None:
    """See above."""
    if what == "compare":
        compare(case)
        return
    for jitted in on_its_meshes(case):
        if what == "train":
            print(first_step(jitted, clips(configuration(case)))[0])
            continue
        compiled = jitted.lower_train_step().compile()
        memory = compiled.memory_analysis()
        print(compiled.as_text() if what == "hlo" else memory.temp_size_in_bytes)


if __name__ == "__main__":
    for text in sys.argv[2:]:
        main(sys.argv[1], json.loads(text))
