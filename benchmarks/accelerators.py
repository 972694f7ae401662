"""Compiles the programs of training and inference for accelerators that need not be there.

    python benchmarks/accelerators.py [--targets v5e h100] [--programs em_train lt_ms_480_train]

Needs the extra `[accelerators]`, libtpu, for TPUs; for the H100 also `jax-cuda12-plugin` and
`jax-cuda12-pjrt` of the version of jax, and the wheels of CUDA that they name. Nothing runs on a
device: the compilers are the real ones, and what they make of a program is read from it
(`hlo.py`): whether it compiles at all, the memory of one device, how many kernels run, what devices
exchange, and on TPUs the compiler's own estimate of cycles, which is no measurement. Each program
is compiled in a process of its own. ``--out`` keeps what is known and takes it from there.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
TPUS = {
    "v5e": {1: "v5e:1x1", 8: "v5e:2x4"},
    "v5p": {1: "v5p:1x1x1", 8: "v5p:2x2x2"},
    "v6e": {1: "v6e:1x1", 8: "v6e:2x4"},
}
TARGETS = (*TPUS, "h100")


@dataclasses.dataclass(frozen=True)
class Program:
    """A program to compile.

    Attributes:
        config: name of the experiment.
        kind: `"train"` or `"validate"`, a step of the trainer; `"segment"`, what a trained network
            makes of windows or frames.
        clips: clips of a batch for each device along `data`.
        frames: frames of a clip.
        data: number of devices that divide the clips.
        time: number of devices that divide the frames.
    """

    config: str
    kind: str
    clips: int
    frames: int
    data: int = 1
    time: int = 1

    @property
    def devices(self) -> int:
        """Number of devices."""
        return self.data * self.time


PROGRAMS = {
    "em_train": Program("em", "train", 4, 1),
    "em_validate": Program("em", "validate", 4, 1),
    "em_segment": Program("em", "segment", 8, 1),
    "st_ms_train": Program("st_ms", "train", 6, 3),
    "st_ms_validate": Program("st_ms", "validate", 6, 3),
    "st_ms_segment": Program("st_ms", "segment", 3, 3),
    "lt_ms_train": Program("lt_ms", "train", 2, 9),
    "lt_ms_validate": Program("lt_ms", "validate", 2, 9),
    "lt_ms_segment": Program("lt_ms", "segment", 1, 96),
    "nims_train": Program("nims", "train", 32, 1),
    "nims_validate": Program("nims", "validate", 32, 1),
    "nims_segment": Program("nims", "segment", 32, 1),
    "foreground_train": Program("foreground", "train", 2, 12),
    "instances_train": Program("instances", "train", 2, 8),
    "soflow_train": Program("soflow", "train", 3, 2),
    "lt_ms_8x1_train": Program("lt_ms", "train", 1, 9, data=8),
    "lt_ms_480_train": Program("lt_ms", "train", 1, 480, time=8),
}


def devices_of(target: str, count: int) -> list[Any]:
    """Described devices: none of them is there.

    Args:
        target: one of `TARGETS`.
        count: number of devices, 1 or 8.
    """
    from jax.experimental import topologies

    if target == "h100":
        topology = topologies.get_topology_desc(
            "h100",
            "cuda",
            target_config=(HERE / "h100.txtpb").read_text(),
            topology=f"1x1x{count}",
        )
    else:
        bounds = {"chips_per_host_bounds": [1, 1, 1]} if count == 1 else {}
        topology = topologies.get_topology_desc(
            topology_name=TPUS[target][count], platform="tpu", **bounds
        )
    return list(topology.devices)[:count]


def lower(program: Program, target: str) -> Any:
    """The program, traced for the target and ready to be compiled."""
    import jax

    from jaxmotion.configs import get_config
    from jaxmotion.training.config import MeshConfig
    from jaxmotion.training.program import jit_functions, under_mesh
    from jaxmotion.training.shardings import make_mesh

    config = get_config(program.config)
    config = dataclasses.replace(
        config,
        batch_size=program.data * program.clips,
        mesh=MeshConfig(program.data, program.time),
        data=dataclasses.replace(config.data, clip_length=program.frames),
    )
    mesh = make_mesh(config.mesh, config.batch_size, devices_of(target, program.devices))
    task = config.task.build(config.data)
    sizes = {"B": config.batch_size, "T": program.frames}
    sizes |= {"H": config.data.height, "W": config.data.width}
    shapes = {
        name: jax.ShapeDtypeStruct(
            tuple(sizes.get(axis) or int(axis) for axis in axes.split()),
            np.int32 if name == "labels" else np.float32,
        )
        for name, axes in task.spec.items()
    }
    functions = jit_functions(config, task, mesh, shapes)
    with under_mesh(mesh):
        if program.kind == "train":
            return functions.train_step.lower(functions.state, functions.batch)
        if program.kind == "validate":
            return functions.validation_step.lower(functions.state, functions.batch, functions.real)
        variables = {"params": functions.state.params, **functions.state.collections}
        return jax.jit(task.predict).lower(variables, functions.batch)


def measure(name: str, target: str, effort: float) -> dict[str, Any]:
    """What the compiler makes of a program for one device of the target."""
    import hlo
    import jax

    if effort < 0:
        jax.config.update("jax_exec_time_optimization_effort", effort)
    lowered = lower(PROGRAMS[name], target)
    start = time.process_time()
    compiled = lowered.compile()
    seconds = time.process_time() - start
    text, memory = compiled.as_text(), compiled.memory_analysis()
    work, exchanged = hlo.work(text), hlo.collectives(text)
    row: dict[str, Any] = {
        "seconds": seconds,
        "code": memory.generated_code_size_in_bytes,
        "temporaries": memory.temp_size_in_bytes,
        "arguments": memory.argument_size_in_bytes,
        "outputs": memory.output_size_in_bytes,
        "aliased": memory.alias_size_in_bytes,
        "written": work.written,
        "kernels": work.kernels,
        "cycles": work.cycles,
    }
    for kind in hlo.COLLECTIVES:
        of_kind = [c for c in exchanged if c.kind == kind]
        row[kind] = [
            sum(c.times for c in of_kind),
            sum(c.times * c.bytes for c in of_kind),
        ]
    return row


def in_its_own_process(name: str, target: str, effort: float, limit: float) -> dict[str, Any]:
    """As `measure`; a compiler that fails, or takes too long, says so in the row.

    Args:
        name: one of `PROGRAMS`.
        target: one of `TARGETS`.
        effort: effort of the compiler.
        limit: most seconds it may take.
    """
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "",
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "TPU_ACCELERATOR_TYPE": "v5litepod-4",
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_WORKER_ID": "0",
    }
    command = [sys.executable, __file__, "--measure", name, target, "--effort", str(effort)]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done in {limit:.0f} s"}
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        named = [line for line in lines if "Error: " in line] or lines
        return {"error": named[-1][:300] if named else f"status {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table."""
    if "error" in row:
        return [row["error"]] + [""] * 6
    exchanged = [
        f"{kind} {times:,} × ({size / 1e6:.2f} MB)"
        for kind in ("all-to-all", "all-gather", "collective-permute", "all-reduce")
        for times, size in [row[kind]]
        if times
    ]
    return [
        f"{row['seconds']:.0f} s",
        f"{row['code'] / 1e6:.1f} MB",
        f"{row['temporaries'] / 1e6:,.0f} MB",
        f"{row['aliased'] / 1e6:.2f} of {row['outputs'] / 1e6:.2f} MB",
        f"{row['written']:,} / {row['kernels']:,}",
        f"{row['cycles'] / 1e6:.1f} M" if row["cycles"] else "–",
        "; ".join(exchanged) or "–",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--programs", nargs="+", default=list(PROGRAMS), choices=PROGRAMS)
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=TARGETS)
    parser.add_argument(
        "--effort", type=float, default=0.0, help="of the compiler; -1 is a quarter of the time"
    )
    parser.add_argument("--limit", type=float, default=3600, help="seconds for one program")
    parser.add_argument("--out", type=Path, help="file that keeps what was compiled")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        name, target = arguments.measure
        print(json.dumps(measure(name, target, arguments.effort)))
        return
    out: Path | None = arguments.out
    known = json.loads(out.read_text()) if out and out.exists() else {}
    columns = ("program", "target", "compiled in", "code", "temporaries", "given on")
    columns += ("kernels", "cycles", "moved")
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for name in arguments.programs:
        for target in arguments.targets:
            key = f"{name} {target} {arguments.effort}"
            if key not in known:
                known[key] = in_its_own_process(name, target, arguments.effort, arguments.limit)
                if out:
                    out.write_text(json.dumps(known, indent=1))
            print("| " + " | ".join([name, target, *cells(known[key])]) + " |", flush=True)


if __name__ == "__main__":
    main()
