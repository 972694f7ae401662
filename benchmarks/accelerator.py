"""What one accelerator makes of jaxmotion: does it compile, how fast, how much memory. One table.

    python benchmarks/accelerator.py [--small] [--only train_em] [--out accelerator.json]

`benchmarks/accelerator.sh` installs what it needs first. Parts, each in a process of its own with a
time limit, so that one that fails is reported by name and ends no other:

- ``train_*``: whole training steps (flow to masks, fit, loss, gradient, update) of our
  configurations, with their own batch and with one that fills the memory;
- ``validate``: their validation steps; ``segment``: `jaxmotion.Segmenter` on a video, with what
  the host does;
- ``networks``, ``twin_networks``: the published networks here and in PyTorch (`torch_networks.py`,
  the same numbers by tests/networks), forward and with gradient, on the same shapes. The twin has
  TF32, channels last and `torch.compile`; of eager and compiled the faster counts;
- ``raft``, ``twin_raft``: flow of a pair of frames of 480 x 854, as `raft.py`.

A time is the median over groups of calls, each group waited for at its end, after two calls to
warm up; compilation is apart. All flags of XLA are at their defaults. MFU is the FLOPs that the
compiler counts in the program (before or after compilation, the larger) over what the device does
at best in bfloat16, as published; the body of a loop counts once, so that it is a lower figure. On
CPU there is none. The memory is what JAX's program needs by its plan, and what PyTorch had at
most.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

PARTS = {
    "train_em": 90,
    "train_st_ms": 90,
    "train_lt_ms": 100,
    "train_lt_ms_64": 100,
    "train_lt_ms_480": 110,
    "validate": 90,
    "segment": 80,
    "networks": 90,
    "twin_networks": 110,
    "raft": 60,
    "twin_raft": 60,
}
"""The parts, with the seconds that each may take."""

COLUMNS = ("program", "clips", "compiled in", "a call", "calls/s", "frames/s", "TFLOP/s", "MFU")
COLUMNS += ("memory",)


def run_part(name: str, python: str, small: bool, limit: float) -> dict[str, Any]:
    """The rows of a part, or what went wrong with it.

    Args:
        name: one of `PARTS`.
        python: interpreter that runs it.
        small: whether it runs in its tiny form.
        limit: seconds that it may take.

    Returns:
        ``rows``, a list of dictionaries, as far as the part came; ``error``, if it went wrong;
        ``seconds``.
    """
    start = time.monotonic()
    script = HERE / ("accelerator_twin.py" if name.startswith("twin_") else "accelerator_parts.py")
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        command = [python, str(script), name, "--rows", str(rows), *(["--small"] if small else [])]
        command += ["--seconds", str(limit)]
        error = None
        with open(Path(folder) / "log", "w+") as log:
            try:
                status = subprocess.run(
                    command, env=environment(small), stdout=log, stderr=log, timeout=limit
                ).returncode
                if status:
                    log.seek(0)
                    error = last_words(log.read(), status)
            except subprocess.TimeoutExpired:
                error = f"not done in {limit:.0f} s"
            except OSError as problem:
                error = f"{python}: {problem.strerror}"
        lines = rows.read_text().splitlines() if rows.exists() else []
    found = {"rows": [json.loads(line) for line in lines], "seconds": time.monotonic() - start}
    return found if error is None else {**found, "error": error}


def environment(small: bool) -> dict[str, str]:
    """The environment of a part: the flags of XLA at their defaults, but for whether it runs."""
    kept = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    if small:
        kept["JAX_PLATFORMS"] = "cpu"
        kept["XLA_FLAGS"] = (
            "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
        )
    return kept


def last_words(log: str, status: int) -> str:
    """The line of a log that says what went wrong."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    wrong = [line for line in lines if "Error" in line.split(":")[0] or "Error:" in line]
    return (wrong or lines or [f"status {status}"])[-1][:300]


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table; what is not known stays empty."""

    def shown(name: str, form: str, factor: float = 1.0) -> str:
        value = row.get(name)
        return "" if value is None else form.format(value * factor)

    spread = row.get("quartiles")
    call = shown("seconds", "{:.3g} ms", 1e3)
    if call and spread:
        call += f" ({spread[0] * 1e3:.3g} to {spread[1] * 1e3:.3g})"
    seconds, frames = row.get("seconds"), row.get("frames")
    return [
        row["program"],
        row.get("clips", ""),
        shown("compilation", "{:.1f} s"),
        call or row.get("note", "does not run" if "error" in row else ""),
        f"{1 / seconds:.3g}" if seconds else "",
        f"{frames / seconds:.4g}" if seconds and frames else "",
        f"{row['flops'] / seconds / 1e12:.3g}" if seconds and row.get("flops") else "",
        shown("mfu", "{:.1%}"),
        shown("memory", "{:,.0f} MB", 1e-6),
    ]


def print_table(parts: dict[str, Any]) -> None:
    """All rows, then the parts and programs that failed, by name."""
    print("\n| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    for part in parts.values():
        for row in part["rows"]:
            print("| " + " | ".join(cells(row)) + " |")
    failed = failures(parts)
    for name, error in failed.items():
        print(f"\nfailed: {name}: {error}")
    if not failed:
        print("\nEvery program compiled and ran with the default flags.")


def failures(parts: dict[str, Any]) -> dict[str, str]:
    """What went wrong, by the names of parts and programs."""
    failed = {name: part["error"] for name, part in parts.items() if "error" in part}
    rows = [row for part in parts.values() for row in part["rows"] if "error" in row]
    return failed | {f"{row['program']}, {row['clips']}": row["error"] for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny, on CPU: does it run?")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path("accelerator.json"))
    parser.add_argument("--twin-python", default=sys.executable, help="interpreter with torch")
    parser.add_argument("--limit", type=float, default=660, help="seconds for all parts together")
    options = parser.parse_args()
    start = time.monotonic()
    about = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
    }
    parts: dict[str, Any] = {}
    for name in options.only:
        left = options.limit - (time.monotonic() - start)
        if left < 10:
            parts[name] = {"rows": [], "seconds": 0.0, "error": "no time was left for it"}
            continue
        python = options.twin_python if name.startswith("twin_") else sys.executable
        # On two busy cores compilation alone takes longer than all of it on a machine with a GPU.
        limit = left if options.small else min(PARTS[name], left)
        parts[name] = run_part(name, python, options.small, limit)
        words = parts[name].get("error", "done")
        print(f"{name}: {words} ({parts[name]['seconds']:.0f} s)", flush=True)
        for row in parts[name]["rows"]:
            about |= row.pop("about", {})
        options.out.write_text(json.dumps({"about": about, "parts": parts}, indent=1) + "\n")
    print("\n" + ", ".join(f"{name} {value}" for name, value in about.items()))
    print_table(parts)
    print(f"\n{time.monotonic() - start:.0f} s in all; {options.out}")
    sys.exit(bool(failures(parts)))


if __name__ == "__main__":
    main()
