"""RAFT beside PyTorch's: time of a pair of frames, and memory of both correlations. A table.

    python benchmarks/raft.py [--short] [--iterations N]

Both run in turn in one process on the same frames with the same random weights, so that whatever
else the machine does falls on both; PyTorch (`pip install jaxmotion[torch]`; left out where absent)
as published and, to be strict, without the upsampling in every iteration, see `torch_raft.py`.
Memory is what a process of its own peaks at above weights and frames, after compilation.
"""

import argparse
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from memory import peak_above

from jaxmotion.networks.raft import LARGE, RAFT, SMALL
from jaxmotion.optical_flow.raft import load_weights

SIZE, SHORT_SIZE = (480, 854), (128, 224)
ARCHITECTURES = {"large": LARGE, "small": SMALL}
CORRELATIONS = ("all_pairs", "on_demand")
Call = Callable[[], np.ndarray]


def frames(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A texture and the same moved by (3, 2) pixels, `[1, H, W, 3]` in 0..255."""
    rng = np.random.default_rng(0)
    small = rng.uniform(0, 255, (height // 4 + 8, width // 4 + 8, 3))
    texture = np.kron(small, np.ones((4, 4, 1)))
    first, second = texture[8:, 8:], texture[6:, 5:]
    first, second = (image[None, :height, :width].astype("f4") for image in (first, second))
    return first, second


def ours(name: str, correlation: str, variables: Any, iterations: int, images) -> Call:
    """A call of ours, compiled."""
    network = RAFT(ARCHITECTURES[name], correlation)  # pyright: ignore[reportArgumentType]
    variables = jax.device_put(variables)
    images = jax.device_put(images)
    estimate = jax.jit(lambda variables, a, b: network.apply(variables, a, b, iterations))
    compiled = estimate.lower(variables, *images).compile()
    return lambda: np.asarray(compiled(variables, *images))


def theirs(module, name: str, state: dict, every: bool, iterations: int, images) -> Call:
    """A call of PyTorch's; its frames are padded beforehand."""
    import torch

    network = module.RAFT(name == "small", upsample_every=every).eval()
    network.load_state_dict(state)
    height, width = (-(-side // 8) * 8 for side in images[0].shape[1:3])
    rows, columns = height - images[0].shape[1], width - images[0].shape[2]
    padding = ((0, 0), (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2))
    padded = [np.pad(image[0].transpose(2, 0, 1), padding, mode="edge")[None] for image in images]
    tensors = [torch.from_numpy(image) for image in padded]
    inside = (slice(padding[1][0], height - padding[1][1]),)
    inside += (slice(padding[2][0], width - padding[2][1]),)
    return lambda: network(*tensors, iterations).numpy().transpose(0, 2, 3, 1)[:, *inside]


def random_variables(name: str) -> Any:
    """Variables of ours where there is no PyTorch to draw weights with."""
    rng = np.random.default_rng(0)
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
    shapes = jax.eval_shape(RAFT(ARCHITECTURES[name]).init, jax.random.key(0), image, image)
    return jax.tree.map(lambda x: 0.05 * np.abs(rng.normal(size=x.shape)).astype("f4"), shapes)


def compare(name: str, iterations: int, size: tuple[int, int], repeats: int) -> None:
    """Prints the times of a network, run in turn."""
    images = frames(*size)
    calls: dict[str, Call] = {}
    if importlib.util.find_spec("torch"):
        import torch
        import torch_raft

        torch.set_num_threads(os.cpu_count() or 1)
        torch.manual_seed(0)
        state = torch_raft.RAFT(name == "small").state_dict()
        with tempfile.TemporaryDirectory() as folder:
            torch.save(state, Path(folder) / "random.pth")
            variables = load_weights(Path(folder) / "random.pth", ARCHITECTURES[name])
        for label, every in (("torch, as published", True), ("torch, one upsampling", False)):
            calls[label] = theirs(torch_raft, name, state, every, iterations, images)
    else:
        variables = random_variables(name)
    for correlation in CORRELATIONS:
        calls[correlation] = ours(name, correlation, variables, iterations, images)
    results = {label: call() for label, call in calls.items()}  # the first call warms up
    times: dict[str, list[float]] = {label: [] for label in calls}
    for _ in range(repeats):
        for label, call in calls.items():
            start = time.perf_counter()
            call()
            times[label].append(time.perf_counter() - start)
    first = next(iter(results.values()))
    for label, seconds in times.items():
        apart = np.linalg.norm(results[label] - first, axis=-1).mean()
        print(
            f"{name:>6} {label:>22}  {1000 * min(seconds):8.0f} ms at best, "
            f"{1000 * float(np.median(seconds)):8.0f} ms median, {apart:.1e} px from the first row",
            flush=True,
        )


def peak_memory(name: str, correlation: str, iterations: int, short: bool) -> float:
    """MB that a call peaks at above weights and frames, in a process of its own."""
    command = [sys.executable, __file__, "--measure", name, correlation]
    command += ["--iterations", str(iterations), *(["--short"] if short else [])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(name: str, correlation: str, iterations: int, size: tuple[int, int]) -> None:
    """Prints what `peak_memory` reads."""
    variables = random_variables(name)
    print(peak_above(ours(name, correlation, variables, iterations, frames(*size))))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="small frames, twice: does it run?")
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--only", choices=("time", "memory"))
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = SHORT_SIZE if options.short else SIZE
    if options.measure:
        name, correlation = options.measure
        measure(name, correlation, options.iterations, size)
        return
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"jax {jax.__version__}; {options.iterations} iterations"
    )
    if options.only != "memory":
        print(f"time of a pair of frames of {size[1]} x {size[0]}")
        for name in ARCHITECTURES:
            compare(name, options.iterations, size, repeats=2 if options.short else 5)
    if options.only != "time":
        print(f"peak memory at {size[1]} x {size[0]}")
        for name in ARCHITECTURES:
            for correlation in CORRELATIONS:
                megabytes = peak_memory(name, correlation, options.iterations, options.short)
                print(f"{name:>6} {correlation:>22}  {megabytes:8.0f} MB", flush=True)


if __name__ == "__main__":
    main()
