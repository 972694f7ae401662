"""The fit against the thesis's: time, distance from the optimum, memory. Prints a table.

    python benchmarks/fit.py [--short]

Both fits run in turn in one process on the same clips, so that whatever else the machine does
falls on both. PyTorch's L-BFGS (`pip install jaxmotion[torch]`; left out where absent) runs as
the thesis describes it: see `torch_lbfgs.py`. The gap is taken to a lower bound of the minimum,
which a long fit in float64 certifies. Memory is what a process of its own peaks at above its
inputs.
"""

import argparse
import dataclasses
import importlib.util
import os
import platform
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from memory import peak_above

from jaxmotion.motion import MotionModel, fit, parametric_flow

HEIGHT, WIDTH = 128, 224
SPLINE = MotionModel("quadratic", "bspline", knot_spacing=3)


@dataclasses.dataclass(frozen=True)
class Setting:
    """A configuration of the benchmark."""

    name: str
    batch: int
    frames: int
    segments: int
    model: MotionModel

    def design_gigabytes(self) -> float:
        """What the dense design matrices of all samples and masks take."""
        rows = 2 * self.frames * HEIGHT * WIDTH
        columns = self.model.num_parameters(self.frames)
        return 4e-9 * self.batch * self.segments * rows * columns


SETTINGS = [
    Setting("EM, K = 2", 8, 1, 2, MotionModel()),
    Setting("EM, K = 4", 8, 1, 4, MotionModel()),
    Setting("ST", 4, 3, 4, MotionModel("quadratic", "polynomial")),
    Setting("LT", 2, 9, 4, SPLINE),
    Setting("LT, 120 frames", 1, 120, 4, SPLINE),
    Setting("LT, 480 frames", 1, 480, 4, SPLINE),
]
LARGEST_DESIGN = 4.0  # GB of dense design matrices that the L-BFGS side is tried with


def smooth_field(rng: np.random.Generator, count: int, frames: int) -> np.ndarray:
    """Waves that drift with time, standard deviation about one: `[T, H, W, count]`."""
    x, y = np.meshgrid(np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT))
    field = np.zeros((frames, HEIGHT, WIDTH, count), np.float32)
    time_axis = np.linspace(0, frames / 30, frames)[:, None, None]
    for n in range(count):
        for _ in range(4):
            a, b, drift, phase = rng.normal(size=4) * (4, 4, 1, 6)
            field[..., n] += np.sin(a * x + b * y + drift * time_axis + phase) / np.sqrt(2)
    return field


def clip(setting: Setting, masks: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Flow of segments that move quadratically, with relief, noise and outliers; soft masks.

    "good" masks follow the segments; "near-uniform" ones know nearly nothing, as those of an
    untrained network.
    """
    rng = np.random.default_rng(seed)
    flows, soft = [], []
    for _ in range(setting.batch):
        logits = 4 * smooth_field(rng, setting.segments, setting.frames)
        labels = logits.argmax(-1)
        flow = np.zeros((*labels.shape, 2), np.float32)
        for k in range(setting.segments):
            count = 2 + setting.frames // 20
            motion = SPLINE if setting.frames > 3 else MotionModel()
            theta = 3 * rng.normal(size=motion.num_parameters(setting.frames))
            theta = np.asarray(theta.reshape(-1, 12).cumsum(0) / count, np.float32).reshape(-1)
            shape = (setting.frames, HEIGHT, WIDTH)
            flow[labels == k] = np.asarray(parametric_flow(motion, theta, shape))[labels == k]
        flow += 0.5 * smooth_field(rng, 2, setting.frames)
        flow += 0.3 * rng.laplace(size=flow.shape).astype(np.float32)
        wild = rng.random(labels.shape) < 0.02
        flow[wild] += 20 * rng.normal(size=(int(wild.sum()), 2)).astype(np.float32)
        flows.append(flow)
        if masks == "near-uniform":
            logits = 0.05 * smooth_field(rng, setting.segments, setting.frames)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        soft.append(weights / weights.sum(-1, keepdims=True))
    return np.stack(flows), np.stack(soft).astype(np.float32)


def objective(setting: Setting, flow: np.ndarray, masks: np.ndarray, theta) -> np.ndarray:
    """Sum of mask * |residual|_1, accumulated in float64: `[B, K]`."""
    total = np.zeros((setting.batch, setting.segments))
    for b, k in np.ndindex(total.shape):
        motion = parametric_flow(setting.model, jnp.asarray(theta[b, k]), flow.shape[1:4])
        residual = np.abs(flow[b] - np.asarray(motion)).sum(-1)
        total[b, k] = np.sum(residual * masks[b, ..., k], dtype=np.float64)
    return total


def lower_bound(setting: Setting, flow: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """A certified lower bound of the minimum, `[B, K]`."""
    if setting.frames > 30:  # float64 of the long clips would not fit everywhere
        found = fit(flow, masks, setting.model, passes=12)
    else:
        with jax.enable_x64(True):
            double = flow.astype(np.float64), masks.astype(np.float64)
            found = fit(*double, setting.model, passes=40)
    return np.asarray(found.objective, np.float64) - np.asarray(found.gap, np.float64)


def prepare(method: str, setting: Setting, flow: np.ndarray, masks: np.ndarray):
    """The fit as a function without arguments, compiled, its inputs where it needs them."""
    if method == "jaxmotion":
        arrays = jnp.asarray(flow), jnp.asarray(masks)
        compiled = jax.jit(fit, static_argnums=2).lower(*arrays, setting.model).compile()
        return lambda: np.asarray(compiled(*arrays).theta)
    from torch_lbfgs import lbfgs_fit

    design = setting.model.design(setting.frames, HEIGHT, WIDTH).astype(np.float32)
    return lambda: lbfgs_fit(flow, masks, design)


def peak_memory(method: str, index: int) -> float:
    """MB that the fit peaks at above its inputs, in a process of its own."""
    command = [sys.executable, __file__, "--measure", method, "--setting", str(index)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(method: str, setting: Setting) -> None:
    """Print what `peak_memory` reads."""
    print(peak_above(prepare(method, setting, *clip(setting, "near-uniform", 0))))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="EM and ST, once")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--setting", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, SETTINGS[arguments.setting])
        return

    has_torch = importlib.util.find_spec("torch") is not None
    settings = SETTINGS[:3] if arguments.short else SETTINGS
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}, jax {jax.__version__} on {jax.default_backend()}\n")
    print("| setting | masks | fit | time | per frame | gap, worst (mean) | peak memory | faster |")
    print("|---|---|---|---|---|---|---|---|")
    for index, setting in enumerate(settings):
        for kind in ("good", "near-uniform"):
            flow, masks = clip(setting, kind, seed=index)
            bound = lower_bound(setting, flow, masks)
            methods = ["jaxmotion"]
            if has_torch and setting.design_gigabytes() < LARGEST_DESIGN:
                methods.append("L-BFGS")
            calls = {m: prepare(m, setting, flow, masks) for m in methods}
            calls["jaxmotion"]()
            seconds, theta = {m: [] for m in methods}, {}
            for _ in range(1 if arguments.short else 3):
                for method, call in calls.items():
                    start = time.perf_counter()
                    theta[method] = call()
                    seconds[method].append(time.perf_counter() - start)
            median = {m: float(np.median(s)) for m, s in seconds.items()}
            for method in methods:
                gap = 100 * (objective(setting, flow, masks, theta[method]) / bound - 1)
                ratio = f"{median[method] / median['jaxmotion']:.0f} ×"
                cells = [
                    setting.name,
                    kind,
                    method,
                    f"{1e3 * median[method]:.0f} ms",
                    f"{1e3 * median[method] / setting.frames / setting.batch:.1f} ms",
                    f"{gap.max():.3f} % ({gap.mean():.3f} %)",
                    f"{peak_memory(method, index):.0f} MB" if kind == "near-uniform" else "",
                    "" if method == "jaxmotion" else f"jaxmotion {ratio}",
                ]
                print("| " + " | ".join(cells) + " |", flush=True)
            if "L-BFGS" not in methods:
                reason = (
                    f"design matrices of {setting.design_gigabytes():.0f} GB"
                    if has_torch
                    else "torch is not installed"
                )
                print(f"| {setting.name} | {kind} | L-BFGS | not run: {reason} |||||", flush=True)


if __name__ == "__main__":
    main()
