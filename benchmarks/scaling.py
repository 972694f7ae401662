"""What training would need on up to 512 accelerators, from programs compiled on this machine.

    python benchmarks/scaling.py [--config lt_ms] [--cases FILE]

Nothing runs. A few training steps are compiled for eight virtual CPU devices, and of each the
program of one device is read (`hlo.py`): matrix products and convolutions, bytes touched, bytes
exchanged, temporaries, how many kernels and exchanges follow one another. How these depend on
the clips and frames of a device, and on the length of a clip, follows from how the program is
built (`Law`); least squares finds the constants, and a case that it has not seen says how well
that holds. With a chip's published figures this gives the least time of a step, what bounds it,
and the longest clip that fits. ``--cases`` keeps what was compiled, and takes it from there.
"""

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls


@dataclasses.dataclass(frozen=True)
class Chip:
    """Published figures of an accelerator.

    Attributes:
        name: of the chip.
        products: FLOP/s of float32 products as a chip computes them unless told otherwise: with
            TF32 on a GPU, with bfloat16 on a TPU.
        exact: FLOP/s of float32 products (`Precision.HIGHEST`).
        bandwidth: bytes/s of its memory.
        memory: bytes of it.
        link: bytes/s that it sends to its neighbors, over all its links together.
        island: devices that share these links; beyond, `network` counts.
        network: bytes/s that it sends beyond.
        launch: seconds from one kernel to the next. Assumed, not published.
        exchange: seconds that the smallest exchange takes. Assumed, not published.
    """

    name: str
    products: float
    exact: float
    bandwidth: float
    memory: float
    link: float
    island: int
    network: float
    launch: float
    exchange: float


CHIPS = [
    # NVIDIA's H100 data sheet, SXM: 989 TFLOP/s TF32 with sparsity, so half of it for dense
    # products; 67 TFLOP/s float32; 80 GB at 3.35 TB/s; NVLink 900 GB/s, both ways together. Eight
    # share it in a DGX H100, whose data sheet gives each GPU a network adapter of 400 Gb/s.
    Chip("H100 SXM", 494.5e12, 67e12, 3.35e12, 80e9, 450e9, 8, 50e9, 3e-6, 15e-6),
    # Google Cloud's page on TPU v5p: 459 TFLOP/s bfloat16, 95 GB at 2,765 GB/s, 1,200 GB/s between
    # chips, both ways together, 50 Gb/s beyond. An exact float32 product is six bfloat16 ones.
    Chip("TPU v5p", 459e12, 459e12 / 6, 2.765e12, 95e9, 600e9, 8960, 6.25e9, 1e-6, 5e-6),
    # The page on TPU v6e: 918 TFLOP/s bfloat16, 32 GB at 1,600 GB/s, 800 GB/s between the 256 chips
    # of a pod, both ways together, and 25.6 Tb/s from a pod to the network.
    Chip("TPU v6e", 918e12, 918e12 / 6, 1.6e12, 32e9, 400e9, 256, 12.5e9, 1e-6, 5e-6),
]


@dataclasses.dataclass(frozen=True)
class Case:
    """A training step on a mesh.

    Attributes:
        data: devices that divide the clips.
        time: devices that divide the frames.
        clips: of a batch, for each of the ``data`` devices.
        frames: of a clip, a multiple of ``time``.
    """

    data: int
    time: int
    clips: int
    frames: int

    @property
    def devices(self) -> int:
        """All of them."""
        return self.data * self.time


# The last one is left out of the fit, to check it.
COMPILED = [
    Case(1, 1, 1, 480),
    Case(1, 8, 1, 480),
    Case(1, 8, 1, 64),
    Case(1, 8, 2, 64),
    Case(8, 1, 1, 9),
    Case(2, 4, 1, 120),
]

QUANTITIES = (
    "products",
    "exact",
    "touched",
    "temporaries",
    "kernels",
    "halo",
    "sums",
    "parameters",
    "exchanges",
)


def law(case: Case, quantity: str) -> list[float]:
    """How a quantity of one device depends on the case, but for the constants.

    Work and memory grow with the clips and frames of a device, and with the matrices of the fit:
    one block for every control point of the whole clip, summed over the frames of the device.
    Neighbors exchange as many frames whatever they hold; sums over the frames are of the fit's
    matrices, one for every control point, and of statistics. Gradients are summed over all devices.
    Where these share the frames of all clips, those of parameters that act on no frame (the
    decoder's, on its queries) are the same everywhere and not summed: the rest counts as a sum.
    """
    shared, frames = float(case.time > 1), case.frames / case.time
    of_clips = [frames, case.frames, frames * case.frames]
    match quantity:
        case "halo":
            return [shared * case.clips]
        case "sums":
            alone = shared * (case.data == 1)
            return [alone, shared * case.clips, shared * case.clips * case.frames]
        case "parameters":
            return [float(case.data > 1)]
        case "exchanges":
            return [float(case.devices > 1), shared]
        case "kernels":
            return [1.0, float(case.frames), shared]
    return [1.0] + [case.clips * term for term in of_clips]


def fit_laws(measured: dict[Case, dict[str, float]]) -> dict[str, np.ndarray]:
    """The constants of the laws, not negative, by least squares of relative errors.

    Cases that have nothing of a quantity, and for which its law has nothing either, are left out.
    """
    constants = {}
    for quantity in QUANTITIES:
        values = {case: row[quantity] for case, row in measured.items() if any(law(case, quantity))}
        terms = np.array([law(case, quantity) for case in values])
        terms /= np.array(list(values.values()))[:, None]
        columns = np.maximum(terms.max(0), 1e-30)
        solution, _ = nnls(terms / columns, np.ones(len(values)))
        constants[quantity] = solution / columns
    return constants


def predict(constants: dict[str, np.ndarray], case: Case) -> dict[str, float]:
    """Every quantity of one device in a case."""
    return {name: float(np.dot(constants[name], law(case, name))) for name in QUANTITIES}


def step_time(chip: Chip, case: Case, row: dict[str, float]) -> tuple[float, str]:
    """The least seconds of a step, and what takes them: the longest of four things.

    Compute, memory and network go on side by side at the published peaks; in the worst of latency
    nothing does: one kernel and one exchange after the other.
    """
    link = chip.link if case.time <= chip.island else chip.network
    wide = chip.link if case.devices <= chip.island else chip.network
    time, all_devices = case.time, case.devices
    seconds = {
        "compute": (row["products"] - row["exact"]) / chip.products + row["exact"] / chip.exact,
        "memory": row["touched"] / chip.bandwidth,
        # Ring algorithms: a sum over p devices sends 2 (p - 1) / p of it.
        "network": (row["halo"] + 2 * row["sums"] * (time - 1) / time) / link
        + 2 * row["parameters"] * (all_devices - 1) / all_devices / wide,
        "latency": row["kernels"] * chip.launch + row["exchanges"] * chip.exchange,
    }
    bound = max(seconds, key=lambda name: seconds[name])
    return seconds[bound], bound


def longest_clip(chip: Chip, constants: dict[str, np.ndarray], time: int, state: float) -> int:
    """The most frames of one clip that nine tenths of the memory, and the program, hold."""
    frames = 0
    for step in 2 ** np.arange(14, -1, -1):
        case = Case(1, time, 1, (frames + int(step)) * time)
        fits = predict(constants, case)["temporaries"] + state < 0.9 * chip.memory
        if fits and tables(case.frames) < 2**31:
            frames += int(step)
    return frames * time


def tables(frames: int) -> int:
    """Bytes of the fit's temporal tables, constants of a program, which can hold 2 GiB.

    Four float32 numbers for every frame and control point (`motion.equations`), of which there is
    one every three frames.
    """
    return 4 * 4 * frames * (2 + (frames - 2) // 3)


def measure(name: str, case: Case) -> dict[str, float]:
    """Compiles the training step of a configuration and reads off the program of one device."""
    import hlo
    import jax

    from jaxmotion.configs import get_config
    from jaxmotion.motion import moments
    from jaxmotion.training.config import MeshConfig
    from jaxmotion.training.program import jit_functions
    from jaxmotion.training.shardings import make_mesh

    # The sweeps of the fit in as few steps as on an accelerator.
    moments._RESIDUALS_PER_STEP_ON_CPU = moments._RESIDUALS_PER_STEP
    config = get_config(name)
    batch = case.data * case.clips
    config = dataclasses.replace(config, batch_size=batch)
    devices = jax.devices()[: case.devices]
    mesh = make_mesh(MeshConfig(case.data, case.time), batch, devices)
    shape = (batch, case.frames, config.data.height, config.data.width)
    shapes = {
        "flow": jax.ShapeDtypeStruct((*shape, 2), np.float32),
        "valid": jax.ShapeDtypeStruct(shape, np.float32),
    }
    task = config.task.build(dataclasses.replace(config.data, clip_length=case.frames))
    jitted = jit_functions(config, task, mesh, shapes)
    compiled: Any = jitted.lower_train_step().compile()
    text = compiled.as_text()
    exchanged = hlo.collectives(text)
    done = hlo.work(text)
    parameters = sum(4.0 * leaf.size for leaf in jax.tree.leaves(jitted.state.params))
    moved = {True: 0.0, False: 0.0}
    for collective in exchanged:
        moved[collective.kind == "collective-permute"] += collective.bytes * collective.times
    # All of them where clips are divided; of what else is exchanged, see `law`.
    gradients = min(parameters if case.time > 1 else moved[False], moved[False])
    gradients = gradients if case.data > 1 else 0.0
    return {
        "products": done.products,
        "exact": done.exact,
        "touched": done.touched,
        "kernels": done.kernels,
        "temporaries": float(compiled.memory_analysis().temp_size_in_bytes),
        "halo": moved[True],
        "sums": moved[False] - gradients,
        "parameters": gradients,
        "exchanges": float(sum(collective.times for collective in exchanged)),
        "state": sum(
            float(leaf.size * leaf.dtype.itemsize) for leaf in jax.tree.leaves(jitted.state)
        ),
    }


def compiled_cases(name: str, path: Path | None) -> dict[Case, dict[str, float]]:
    """What the cases give; kept in ``path`` as soon as it is known, and taken from there."""
    known = json.loads(path.read_text()) if path and path.exists() else {}
    measured = {}
    for case in COMPILED:
        key = f"{name}: {case.data} x {case.time}, {case.clips} x {case.frames}"
        if key not in known:
            print(f"compiling {key}", file=sys.stderr, flush=True)
            known[key] = measure(name, case)
            if path:
                path.write_text(json.dumps(known, indent=1))
        measured[case] = known[key]
    return measured


MESHES = [(1, 1), (8, 1), (1, 8), (8, 8), (64, 1), (1, 64), (8, 64), (64, 8), (512, 1)]
FRAMES = [9, 64, 480, 4096]


def print_tables(measured: dict[Case, dict[str, float]]) -> None:
    """What was compiled, what follows for a device, and what that means on each chip."""
    cases = list(measured)
    constants = fit_laws({case: measured[case] for case in cases[:-1]})
    state = max(row["state"] for row in measured.values())
    print("Compiled, per device; in brackets what the laws give.\n")
    header = ["data × time", "T", "products", "touched", "temporaries", "exchanged", "kernels"]
    print_rows(
        header,
        [
            [f"{case.data} × {case.time}" + " †" * (case == cases[-1]), str(case.frames)]
            + [
                f"{show(a)} ({show(b)})"
                for a, b in zip(
                    amounts(measured[case]), amounts(predict(constants, case)), strict=True
                )
            ]
            for case in cases
        ],
    )
    print("\n† not used for the laws.\n\nComputed, per device, one clip for each `data` device.\n")
    print_rows(
        [*header, *(chip.name for chip in CHIPS)],
        [
            [f"{data} × {time}", str(frames), *map(show, amounts(row))]
            + [show_time(chip, case, row, state) for chip in CHIPS]
            for frames in FRAMES
            for data, time in MESHES
            if time <= frames
            for case in [Case(data, time, 1, -(-frames // time) * time)]
            for row in [predict(constants, case)]
        ],
    )
    print("\nThe longest clip that fits, in frames, one for each `data` device.\n")
    times = (1, 8, 64, 512)
    print_rows(
        ["devices along `time`", *map(str, times)],
        [
            [chip.name, *(f"{longest_clip(chip, constants, time, state):,}" for time in times)]
            for chip in CHIPS
        ],
    )


def amounts(row: dict[str, float]) -> list[float]:
    """What the tables show of a device."""
    exchanged = row["halo"] + row["sums"] + row["parameters"]
    return [row["products"], row["touched"], row["temporaries"], exchanged, row["kernels"]]


def show(value: float) -> str:
    """A number with two digits and a decimal prefix."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value:.3g}"


def show_time(chip: Chip, case: Case, row: dict[str, float], state: float) -> str:
    """Milliseconds and what bounds them, or that it does not fit."""
    if row["temporaries"] + state > 0.9 * chip.memory:
        return "does not fit"
    seconds, bound = step_time(chip, case, row)
    return f"{1e3 * seconds:.3g} ms, {bound}"


def print_rows(header: list[str], rows: list[list[str]]) -> None:
    for cells in (header, ["---"] * len(header), *rows):
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", default="lt_ms", help="of the training step")
    parser.add_argument("--cases", type=Path, help="file that keeps what was compiled")
    arguments = parser.parse_args()
    # Before JAX is imported; machine code that never runs need not be good.
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = (
        "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0 "
        "--xla_llvm_disable_expensive_passes=true"
    )
    measured = compiled_cases(arguments.config, arguments.cases)
    print_tables(measured)


if __name__ == "__main__":
    main()
