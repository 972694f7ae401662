"""Speed of the networks and of training, beside the published systems in PyTorch.

    python benchmarks/throughput.py [--short] [--only LT-MS]

Three rows a method: the published network here, its torch twin (`torch_networks.py`; left out
without `pip install jaxmotion[torch]`), and the small network of our own configuration. All see
the same clips of procedural scenes. Forward is flow to masks. A training step is all of it:
network, fit of the motion models, loss, gradient, update; the twin fits as published, 20
iterations of L-BFGS on dense design matrices. Every row is measured in a process of its own, so
that neither the threads nor the memory of one framework weigh on the other. Linux.
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from memory import peak

from jaxmotion.configs import get_config
from jaxmotion.data.config import AugmentConfig
from jaxmotion.scenes import LEVELS, generate
from jaxmotion.tasks.segmentation_config import SegmentationConfig
from jaxmotion.training.config import Config

METHODS = {"published": "published network", "torch": "torch twin", "small": "our configuration"}


@dataclasses.dataclass(frozen=True)
class Setting:
    """A method of the thesis, and the clips it is timed on.

    Attributes:
        name: of the method.
        config: of our own network; with `_published` behind, of the published one.
        twin: the class in `torch_networks`.
        batch: clips a step.
        short: tiny clips and a shallow EM network: whether it runs, not how fast.
    """

    name: str
    config: str
    twin: str
    batch: int
    short: bool = False

    def configuration(self, method: str) -> Config:
        """What is trained; the published one without augmentation, which the twin lacks too."""
        config = get_config(self.config + "_published" * (method != "small"))
        config = dataclasses.replace(config, batch_size=1 if self.short else self.batch)
        task = segmentation(config)
        if method != "small":
            task = dataclasses.replace(task, augment=AugmentConfig())
        if self.short:
            network = dataclasses.replace(task.network, widths=task.network.widths[:3])
            task = dataclasses.replace(task, network=network)
            small = dataclasses.replace(config.data, height=32, width=48)
            config = dataclasses.replace(config, data=small)
        return dataclasses.replace(config, task=task)


def segmentation(config: Config) -> SegmentationConfig:
    """The task, which is motion segmentation."""
    assert isinstance(config.task, SegmentationConfig)
    return config.task


SETTINGS = [
    Setting("EM", "em", "EM", batch=4),
    Setting("ST-MS", "st_ms", "STMS", batch=2),
    Setting("LT-MS", "lt_ms", "LTMS", batch=1),
]


def draw_flow(config: Config) -> np.ndarray:
    """Clips of procedural scenes, `[B, T, H, W, 2]`."""
    data = config.data
    scenes = (
        generate(LEVELS["default"], data.clip_length, data.height, data.width, seed=n)
        for n in range(config.batch_size)
    )
    return np.stack([scene.flow for scene in scenes])


def prepare_jax(config: Config) -> tuple[Callable, Callable, str]:
    """Forward and training step, compiled, as functions without arguments; what they run on."""
    import jax
    import jax.numpy as jnp

    from jaxmotion.training.step import init_state, make_train_step

    task = config.task.build(config.data)
    flow = draw_flow(config)
    batch = {"flow": jnp.asarray(flow), "valid": jnp.ones(flow.shape[:-1])}
    state = jax.jit(lambda b: init_state(task, config.optimizer, b, 0))(batch)
    step = make_train_step(task, config.optimizer, config.steps, 0)
    step = jax.jit(step, donate_argnums=0)
    predict = jax.jit(lambda variables, batch: task.predict(variables, batch)["masks"])

    def forward() -> None:
        predict(state.best_guess, batch).block_until_ready()

    def train() -> float:
        nonlocal state
        state, metrics = step(state, batch)
        return float(metrics["loss"])

    return forward, train, f"jax {jax.__version__} on {jax.default_backend()}"


def prepare_torch(twin: str, config: Config) -> tuple[Callable, Callable, str]:
    """The same of the torch twin."""
    import torch
    import torch_networks

    torch.manual_seed(0)
    task = segmentation(config)
    masks = task.network.num_masks
    arguments = (masks, task.network.widths) if twin == "EM" else (masks,)
    network = getattr(torch_networks, twin)(*arguments)
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    flow = draw_flow(config)
    design = np.asarray(task.motion.design(*flow.shape[1:4]), np.float32)

    def forward() -> None:
        network.eval()
        with torch.inference_mode():
            torch.softmax(network(torch.from_numpy(flow)), dim=-1)

    def train() -> float:
        network.train()
        return torch_networks.training_step(network, optimizer, flow, design)

    return forward, train, f"torch {torch.__version__} with {torch.get_num_threads()} threads"


def measure(setting: Setting, method: str) -> dict:
    """Median seconds of a forward pass and of a training step, after one of each to warm up."""
    config = setting.configuration(method)
    if method == "torch":
        forward, train, versions = prepare_torch(setting.twin, config)
    else:
        forward, train, versions = prepare_jax(config)
    median = {}
    for name, call in (("forward", forward), ("training", train)):
        call()
        seconds = []
        for _ in range(1 if setting.short else 5):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        median[name] = float(np.median(seconds))
    loss = train()
    if not np.isfinite(loss):
        raise FloatingPointError(f"{setting.name}, {METHODS[method]}: loss {loss}")
    return {**median, "memory": peak(), "versions": versions}


def measure_apart(index: int, method: str, short: bool) -> dict:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--measure", method, "--setting", str(index)]
    command += ["--short"] * short
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def print_table(indices: list[int], short: bool) -> None:
    methods = [m for m in METHODS if m != "torch" or importlib.util.find_spec("torch") is not None]
    print("| method | clips | network | forward | | training | | peak memory |")
    print("|---|---|---|---|---|---|---|---|")
    versions = {}
    for index in indices:
        config = dataclasses.replace(SETTINGS[index], short=short).configuration("published")
        batch, frames = config.batch_size, config.data.clip_length
        results = {method: measure_apart(index, method, short) for method in methods}
        for method, result in results.items():
            versions[method] = result["versions"]
            rates = []
            units = {"forward": (batch * frames, "frames/s"), "training": (batch, "clips/s")}
            for phase, (count, unit) in units.items():
                ratio = ""
                if "torch" in results and method != "torch":
                    ratio = f"{results['torch'][phase] / result[phase]:.1f} ×"
                rates += [f"{count / result[phase]:.3g} {unit}", ratio]
            clips = f"{batch} × {frames} × {config.data.height} × {config.data.width}"
            name, memory = SETTINGS[index].name, f"{result['memory']:.0f} MB"
            cells = [name, clips, METHODS[method], *rates, memory]
            print("| " + " | ".join(cells) + " |", flush=True)
    print("\n× is how many times as fast as the torch twin.")
    print("; ".join(sorted(set(versions.values()))))
    print(f"Load at the end {os.getloadavg()[0]:.1f}.")
    if "torch" not in methods:
        print("torch is not installed: no twin to compare with.")


def main() -> None:
    names = [setting.name for setting in SETTINGS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="tiny clips, once")
    parser.add_argument("--only", choices=names, action="append", help="this method")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--setting", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        setting = dataclasses.replace(SETTINGS[arguments.setting], short=arguments.short)
        print(json.dumps(measure(setting, arguments.measure)))
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}\n")
    chosen = arguments.only or names
    print_table([index for index, name in enumerate(names) if name in chosen], arguments.short)


if __name__ == "__main__":
    main()
