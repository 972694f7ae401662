"""The parts of `accelerator.py` that JAX runs. Each appends rows to a file as it goes."""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from accelerator_timing import time_calls

try:
    from jaxmotion.training.peaks import PEAKS
except ImportError:  # of a version that does not know them yet
    PEAKS = {}

SIZE, SMALL_SIZE = (128, 224), (16, 24)
MOST_FRAMES = 4096
"""The largest number of frames of a batch that is tried, however large the memory."""

PUBLISHED = {"em": (8, 1), "st_ms": (8, 3), "lt_ms": (2, 9)}
"""Clips and frames of the published networks; `accelerator_twin.py` has the same."""


class Rows:
    """The file of rows, and what is known of the device."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.device = jax.devices()[0]
        stats = self.device.memory_stats() or {}
        self.memory = stats.get("bytes_limit")
        about = {"device": self.device.device_kind, "jax": jax.__version__}
        if self.memory:
            about["memory"] = f"{self.memory / 1e9:.0f} GB"
        self._about = about

    def attempt(self, measure: Callable[[], dict[str, Any]], **what: Any) -> dict[str, Any]:
        """Adds the row of what is measured, or of why it was not.

        Args:
            measure: function to the rest of the row.
            **what: what is known beforehand.

        Returns:
            The row: with ``note`` where the memory is too small, with ``error`` where the program
            did not compile or run.
        """
        try:
            row = what | measure()
        except jax.errors.JaxRuntimeError as error:
            words = " ".join(str(error).split())
            full = "RESOURCE_EXHAUSTED" in words
            row = what | ({"note": "more than the memory"} if full else {"error": words[:300]})
        self.add(**row)
        return row

    def add(self, **row: Any) -> None:
        """Adds a row, with its MFU where all that it needs is known."""
        peak = PEAKS.get(self.device.device_kind)
        if peak and row.get("flops") and row.get("seconds"):
            row["mfu"] = row["flops"] / row["seconds"] / peak
        with self._path.open("a") as file:
            file.write(json.dumps({**row, "about": self._about}) + "\n")


def compiled(function: Any, *arguments: Any) -> tuple[Any, dict[str, Any]]:
    """A compiled function, with the seconds, FLOPs and bytes that it takes."""
    start = time.perf_counter()
    lowered = function.lower(*arguments)
    program = lowered.compile()
    seconds = time.perf_counter() - start
    plan = program.memory_analysis()
    used = plan.temp_size_in_bytes + plan.argument_size_in_bytes + plan.output_size_in_bytes
    # On GPUs products become calls of libraries, which are not counted once they are compiled.
    flops = max((stage.cost_analysis() or {}).get("flops", 0.0) for stage in (lowered, program))
    return program, {
        "compilation": seconds,
        "memory": used - plan.alias_size_in_bytes,
        "flops": flops if flops > 0 else None,
    }


def configured(name: str, frames: int, clips: int, small: bool) -> Any:
    """One of our configurations, for clips of so many frames."""
    from jaxmotion.configs import get_config

    config = get_config(name)
    height, width = SMALL_SIZE if small else SIZE
    data = dataclasses.replace(config.data, height=height, width=width, clip_length=frames)
    return dataclasses.replace(config, data=data, batch_size=clips)


def random_batch(shape: tuple[int, ...]) -> dict[str, jax.Array]:
    """Smooth flow with an object, on the device."""
    key = jax.random.key(0)
    coarse = jax.random.normal(key, (*shape[:2], 4, 6, 2)) * 3
    flow = jax.image.resize(coarse, (*shape, 2), "linear")
    return {"flow": flow, "valid": jnp.ones(shape)}


def functions_of(config: Any) -> tuple[Any, Any, dict[str, jax.Array]]:
    """The functions of a run on one device, its mesh, and a batch."""
    from jaxmotion.training.program import jit_functions
    from jaxmotion.training.shardings import MeshConfig, make_mesh

    config = dataclasses.replace(config, mesh=MeshConfig(1))
    mesh = make_mesh(config.mesh, config.batch_size, jax.devices()[:1])
    task = config.task.build(config.data)
    shape = (config.batch_size, config.data.clip_length, config.data.height, config.data.width)
    batch = jax.jit(random_batch, static_argnums=0)(shape)
    functions = jit_functions(config, task, mesh, batch)
    return functions, mesh, batch


def train(rows: Rows, name: str, frames: int, clips: int, small: bool, seconds: float) -> None:
    """Training steps with a configuration's own batch, and with as many clips as memory takes."""
    row = train_once(rows, name, frames, clips, small, seconds)
    if small or not rows.memory or "memory" not in row:
        return
    each = max(row["memory"] / clips, 1)
    most = min(0.8 * rows.memory / each, MOST_FRAMES / frames)
    larger = 2 ** int(np.log2(max(most, 1)))
    while larger > clips:
        if "note" not in train_once(rows, name, frames, larger, small, seconds):
            return
        larger //= 2


def train_once(
    rows: Rows, name: str, frames: int, clips: int, small: bool, seconds: float
) -> dict[str, Any]:
    """Adds a row (`Rows.attempt`)."""
    from jaxmotion.training.program import under_mesh

    config = configured(name, frames, clips, small)
    functions, mesh, batch = functions_of(config)

    def measure() -> dict[str, Any]:
        with under_mesh(mesh):
            step, known = compiled(functions.train_step, functions.state, functions.batch)
            state = functions.init(batch)
        loss = None

        def call() -> Any:
            nonlocal state, loss
            state, metrics = step(state, batch)
            loss = metrics["loss"]
            return loss

        timed = time_calls(call, jax.block_until_ready, seconds / 8)
        if not np.isfinite(float(loss if loss is not None else np.nan)):
            raise FloatingPointError(f"{name}, {clips} clips of {frames} frames: loss {loss}")
        return known | timed

    what = {"clips": described(config), "frames": clips * frames}
    return rows.attempt(measure, program=f"{name} training step", **what)


def described(config: Any) -> str:
    """The shape of a batch in words."""
    data = config.data
    return f"{config.batch_size} × {data.clip_length} × {data.height} × {data.width}"


def validate(rows: Rows, small: bool, seconds: float) -> None:
    """Validation steps of all methods."""
    from jaxmotion.training.program import under_mesh

    for name, (clips, frames) in {"em": (4, 1), "st_ms": (6, 3), "lt_ms": (2, 9)}.items():
        config = configured(name, frames, clips, small)

        def measure(config=config) -> dict[str, Any]:
            functions, mesh, batch = functions_of(config)
            arguments = (functions.state, functions.batch, functions.real)
            with under_mesh(mesh):
                step, known = compiled(functions.validation_step, *arguments)
                state = functions.init(batch)
            real = jnp.ones(config.batch_size)
            call = lambda: step(state, batch, real)  # noqa: E731
            return known | time_calls(call, jax.block_until_ready, seconds / 12)

        what = {"clips": described(config), "frames": clips * frames}
        rows.attempt(measure, program=f"{name} validation step", **what)


def segment(rows: Rows, small: bool, seconds: float) -> None:
    """A video through the shipped networks: resizing, windows and linking on the host included."""
    import jaxmotion as jm

    frames, size = (3, (24, 32)) if small else (96, (480, 854))
    flow = np.asarray(random_batch((1, frames, *size))["flow"])[0]
    for name in ("em-k2",) if small else ("em-k2", "st-ms-k4", "lt-ms-k4"):

        def measure(name=name) -> dict[str, Any]:
            segmenter = jm.Segmenter.load(name)
            start = time.perf_counter()
            segmenter(flow)
            first = time.perf_counter() - start
            timed = time_calls(lambda: segmenter(flow), lambda masks: masks, seconds / 8)
            return timed | {"compilation": max(first - timed["seconds"], 0.0)}

        clips = f"{frames} × {size[0]} × {size[1]}"
        rows.attempt(measure, program=f"segment, {name}", clips=clips, frames=frames)


def networks(rows: Rows, small: bool, seconds: float) -> None:
    """The published networks, forward and with the gradient of the mean square of their logits."""
    from jaxmotion.networks import (
        PUBLISHED_EM,
        PUBLISHED_LT_MS,
        PUBLISHED_ST_MS,
        Segmentation,
        build_segmenter,
    )

    configs = {"em": PUBLISHED_EM, "st_ms": PUBLISHED_ST_MS, "lt_ms": PUBLISHED_LT_MS}
    for name, (clips, frames) in PUBLISHED.items():
        config = configs[name]
        clips = 1 if small else clips
        if small:
            config = dataclasses.replace(config, widths=config.widths[:3])
        size = SMALL_SIZE if small else SIZE
        network = build_segmenter(config)
        flow = jax.random.normal(jax.random.key(0), (clips, frames, *size, 2))
        variables = jax.jit(network.init)(jax.random.key(1), flow[:1])

        def forward(variables, flow, network=network):
            return cast(Segmentation, network.apply(variables, flow)).logits

        def loss(variables, flow, forward=forward):
            return jnp.mean(jnp.square(forward(variables, flow)))

        for kind, function in (("forward", forward), ("with gradient", jax.grad(loss))):

            def measure(function=function, given=(variables, flow)) -> dict[str, Any]:
                program, known = compiled(jax.jit(function), *given)
                call = lambda: program(*given)  # noqa: E731
                return known | time_calls(call, jax.block_until_ready, seconds / 20)

            what = {"clips": f"{clips} × {frames} × {size[0]} × {size[1]}"}
            what |= {"program": f"published {name}, {kind}", "frames": clips * frames}
            rows.attempt(measure, **what)


def raft(rows: Rows, small: bool, seconds: float) -> None:
    """RAFT on a pair of frames, from the host and back to it."""
    from raft import frames, ours, random_variables

    height, width = (64, 96) if small else (480, 854)
    images, iterations = frames(height, width), 2 if small else 12
    for name in ("small",) if small else ("large", "small"):

        def measure(name=name) -> dict[str, Any]:
            start = time.perf_counter()
            call = ours(name, "all_pairs", random_variables(name), iterations, images)
            compilation = time.perf_counter() - start
            return time_calls(call, lambda flow: flow, seconds / 6) | {"compilation": compilation}

        what = {"program": f"RAFT {name}, {iterations} iterations", "clips": f"{height} × {width}"}
        rows.attempt(measure, **what, frames=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part")
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    rows, small, seconds = Rows(options.rows), options.small, options.seconds
    if small:
        seconds = 0.0  # two calls of each
    of_training = {
        "train_em": ("em", 1, 4),
        "train_st_ms": ("st_ms", 3, 6),
        "train_lt_ms": ("lt_ms", 9, 2),
        "train_lt_ms_64": ("lt_ms", 4 if small else 64, 1),
        "train_lt_ms_480": ("lt_ms", 5 if small else 480, 1),
    }
    if options.part in of_training:
        train(rows, *of_training[options.part], small, seconds)
    else:
        parts = {"validate": validate, "segment": segment, "networks": networks, "raft": raft}
        parts[options.part](rows, small, seconds)


if __name__ == "__main__":
    main()
