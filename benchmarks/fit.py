"""The fit beside PyTorch's L-BFGS on a dense design matrix, as the thesis runs it.

    python -m pip install -e ".[torch]" && python benchmarks/fit.py

Every configuration is at 128×224. In one run the two take turns, and the ratio is the median over
the turns; compilation is not counted. Half of the clips have masks near the true segments, half
have masks that are nearly uniform. The gap is the objective over that of a float64 fit with many
passes, whose own certificate is printed. Memory: what XLA plans beside its arguments, and by how
much the peak of a fresh process grows over the L-BFGS fit.
"""

import functools
import multiprocessing
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro

import jaxmotion as jm
from jaxmotion.scenes import LEVELS, generate

HEIGHT, WIDTH = 128, 224
CONVERGED_PASSES = 60


class Case(NamedTuple):
    """One configuration of the thesis."""

    name: str
    batch: int
    frames: int
    segments: int
    model: jm.MotionModel
    lbfgs: bool = True


CONSTANT = jm.MotionModel("quadratic", "constant")
POLYNOMIAL = jm.MotionModel("quadratic", "polynomial")
SPLINE = jm.MotionModel("quadratic", "bspline", knot_spacing=3)
CASES = (
    Case("EM, K = 2", 8, 1, 2, CONSTANT),
    Case("EM, K = 4", 8, 1, 4, CONSTANT),
    Case("ST-MS", 4, 3, 4, POLYNOMIAL),
    Case("LT-MS", 2, 9, 4, SPLINE),
    Case("LT-MS, long", 1, 120, 4, SPLINE, lbfgs=False),
    Case("LT-MS, long", 1, 480, 4, SPLINE, lbfgs=False),
)


@dataclass(frozen=True)
class Arguments:
    """What to measure.

    Attributes:
        turns: how often the two take turns.
        passes: full-resolution passes of `jaxmotion.fit`.
        short: the first configuration only, one turn.
    """

    turns: int = 3
    passes: int = 5
    short: bool = False


def problem(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Flow and masks of procedural scenes; every second clip has masks that say little."""
    rng = np.random.default_rng(0)
    flows, masks = [], []
    for clip in range(case.batch):
        scene = generate(LEVELS["default"], case.frames, HEIGHT, WIDTH, seed=clip)
        logits = rng.normal(0, 0.2, (*scene.labels.shape, case.segments))
        if clip % 2 == 0:
            logits += 4 * (scene.labels[..., None] % case.segments == np.arange(case.segments))
        weights = np.exp(logits)
        flows.append(scene.flow)
        masks.append(weights / weights.sum(-1, keepdims=True))
    return np.stack(flows).astype(np.float32), np.stack(masks).astype(np.float32)


def objective(flow, masks, model: jm.MotionModel, theta) -> np.ndarray:
    """The L1 objective of every problem `[B, K]`, in float64."""
    with jax.enable_x64(True):
        cost = jax.jit(functools.partial(_objective, model))
        arrays = (jnp.asarray(np.asarray(a), jnp.float64) for a in (flow, masks, theta))
        return np.asarray(cost(*arrays))


def _objective(model, flow, masks, theta):
    def of_segment(k):
        parametric = jm.parametric_flow(model, theta[:, k], flow.shape[1:4])
        return jnp.sum(masks[..., k] * jnp.abs(flow - parametric).sum(-1), axis=(1, 2, 3))

    return jnp.stack([of_segment(k) for k in range(masks.shape[-1])], axis=1)


def converged(flow, masks, model: jm.MotionModel) -> tuple[np.ndarray, float]:
    """Float64 objectives after many passes, and the largest relative gap they may still have."""
    with jax.enable_x64(True):
        arrays = (jnp.asarray(a, jnp.float64) for a in (flow, masks))
        theta, info = jm.fit(*arrays, model, passes=CONVERGED_PASSES, return_info=True)
        certificate = np.max(np.asarray(info.gap) / np.asarray(info.objective))
    return objective(flow, masks, model, theta), float(certificate)


def seconds(function, *args) -> tuple[float, np.ndarray]:
    """Time and result of one call."""
    start = time.perf_counter()
    result = np.asarray(function(*args))
    return time.perf_counter() - start, result


def lbfgs_peak(case: Case, answers) -> None:
    """Puts by how many bytes an L-BFGS fit raises the peak of this process."""
    from torch_lbfgs import lbfgs_fit

    flow, masks = problem(case)
    design = case.model.design(case.frames, HEIGHT, WIDTH).astype(np.float32)
    Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak so far
    before = _resident("VmRSS")
    lbfgs_fit(flow, masks, design, iterations=2)
    answers.put(_resident("VmHWM") - before)


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def measure(case: Case, arguments: Arguments) -> dict[str, str]:
    """One row of the table."""
    flow, masks = problem(case)
    fit = jax.jit(lambda f, m: jm.fit(f, m, case.model, passes=arguments.passes))
    device = (jnp.asarray(flow), jnp.asarray(masks))
    compiled = fit.lower(*device).compile()
    analysis = compiled.memory_analysis()
    planned = analysis.temp_size_in_bytes if analysis is not None else float("nan")
    size = flow.nbytes + masks.nbytes
    row = {
        "configuration": f"{case.name}: B = {case.batch}, T = {case.frames}, K = {case.segments}",
        "memory / input": f"{planned / size:.1f}",
    }
    compiled(*device)
    if case.lbfgs:
        from torch_lbfgs import lbfgs_fit

        design = case.model.design(case.frames, HEIGHT, WIDTH).astype(np.float32)
        lbfgs_fit(flow, masks, design, iterations=1)
    ours, theirs = [], []
    for _ in range(arguments.turns):
        duration, theta = seconds(compiled, *device)
        ours.append(duration)
        if case.lbfgs:
            duration, theta_lbfgs = seconds(lbfgs_fit, flow, masks, design)
            theirs.append(duration)
    row["ms / frame"] = f"{1000 * np.median(ours) / (case.batch * case.frames):.1f}"
    row["fit"] = f"{1000 * np.median(ours):.0f} ms"
    if not case.lbfgs:
        return row
    optimum, certificate = converged(flow, masks, case.model)
    row["gap, all / worst"] = _gaps(objective(flow, masks, case.model, theta), optimum)
    row["L-BFGS"] = f"{np.median(theirs):.2f} s"
    row["L-BFGS gap, all / worst"] = _gaps(objective(flow, masks, case.model, theta_lbfgs), optimum)
    row["ratio"] = f"{np.median(np.array(theirs) / np.array(ours)):.0f}×"
    answers = multiprocessing.get_context("spawn").Queue()
    child = multiprocessing.get_context("spawn").Process(target=lbfgs_peak, args=(case, answers))
    child.start()
    row["L-BFGS memory / input"] = f"{answers.get() / size:.0f}"
    child.join()
    row["optimum certified to"] = f"{100 * certificate:.3f} %"
    return row


def _gaps(reached: np.ndarray, optimum: np.ndarray) -> str:
    """How far the sum over all problems, and the worst single problem, are above the optimum."""
    total, worst = reached.sum() / optimum.sum() - 1, (reached / optimum - 1).max()
    return f"{100 * total:.3f} % / {100 * worst:.3f} %"


def main() -> None:
    """Prints the table."""
    arguments = tyro.cli(Arguments)
    cases = CASES[:1] if arguments.short else CASES
    turns = 1 if arguments.short else arguments.turns
    arguments = Arguments(turns, arguments.passes, arguments.short)
    device = jax.devices()[0].device_kind
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {device}, JAX {jax.__version__}; ", end=""
    )
    print(f"{arguments.passes} passes, median of {turns} turns\n")
    columns = (
        "configuration", "fit", "ms / frame", "gap, all / worst", "memory / input", "L-BFGS",
        "L-BFGS gap, all / worst", "L-BFGS memory / input", "ratio", "optimum certified to",
    )  # fmt: skip
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns), flush=True)
    for case in cases:
        row = measure(case, arguments)
        print("| " + " | ".join(row.get(column, "") for column in columns) + " |", flush=True)


if __name__ == "__main__":
    main()
