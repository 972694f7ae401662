"""Real processes that train together on this machine, each with virtual devices of its own."""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from xla_flags import virtual_devices

from jaxmotion.optical_flow import write_flow_npz

ROOT = Path(__file__).parents[2]
PATIENCE = 3600
"""Seconds after which a test gives up on processes; far more than they need."""

# Two segments of constant motion by least squares: what compiles fastest and is the real thing.
OPTIONS = (
    "--data.height 16 --data.width 24 --data.validation-clips 5 --motion.spatial translation "
    "--network.widths 4 8 --network.stem 1 --network.num-masks 2 --network.input scaled "
    "--objective.penalty squared --objective.normalisation pixels "
    "--optimizer.schedule constant --optimizer.warmup-steps 1 "  # whatever the number of steps
    "--batch-size 8 --log-every 1 --validate-every 6 --checkpoint-every 100 --picture-every 0"
)


@pytest.fixture(scope="session")
def sequences(tmp_path_factory) -> Path:
    """Four short sequences of two motions each."""
    folder = tmp_path_factory.mktemp("flow")
    rng = np.random.default_rng(0)
    for number in range(4):
        flow = np.zeros((9, 16, 24, 2), np.float32)
        flow += rng.normal(0, 3, (9, 1, 1, 2))
        flow[:, 4:10, 5:15] += rng.normal(0, 3, (9, 1, 1, 2))
        write_flow_npz(folder / f"s{number}.npz", flow + rng.normal(0, 0.1, flow.shape))
    return folder


@pytest.fixture(scope="session")
def programs(tmp_path_factory) -> Path:
    """Compiled programs, so that each topology compiles once."""
    return tmp_path_factory.mktemp("programs")


@dataclass
class Run:
    """Processes of one run, and what they wrote."""

    workdir: Path
    processes: list[subprocess.Popen]
    logs: list[Path]

    def lines(self) -> list[dict]:
        path = self.workdir / "metrics.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def curve(self) -> dict[tuple[int, str], float]:
        """Every logged number but those of the clock, by its step and name; none stands twice."""
        rows = [(line["step"], name, v) for line in self.lines() for name, v in line.items()]
        rows = [row for row in rows if not row[1].startswith("watch/")]
        values = {(step, name): value for step, name, value in rows}
        losses = [step for step, name, _ in rows if name == "loss"]
        assert len(losses) == len(set(losses))
        return values

    def wait_for_step(self, step: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while not (lines := self.lines()) or lines[-1]["step"] < step:
            assert time.monotonic() < deadline, self.text()
            assert all(process.poll() is None for process in self.processes), self.text()
            time.sleep(0.05)

    def end(self) -> list[int]:
        """The exit statuses of all, once they have ended."""
        deadline = time.monotonic() + PATIENCE
        return [process.wait(deadline - time.monotonic()) for process in self.processes]

    def text(self, index: int | None = None) -> str:
        chosen = self.logs if index is None else [self.logs[index]]
        return "\n".join(log.read_text() for log in chosen)


@pytest.fixture
def launch(tmp_path, sequences, programs):
    """Starts ``python train.py`` once or, as one run, several times; nothing outlives the test."""
    started: list[subprocess.Popen] = []

    def start(
        name: str,
        count: int = 1,
        *,
        steps: int,
        devices: int = 2,
        more: str = "",
        last: str = "",
        place: Path | None = None,
        program: Path = ROOT / "train.py",
    ) -> Run:
        """``more`` options of all processes and of the ``last`` one; the run's ``place``."""
        place = place or tmp_path / name
        command = [sys.executable, str(program), "--workdir", str(place)]
        command += ["--data.source", str(sequences), "--steps", str(steps)]
        command += shlex.split(OPTIONS) + shlex.split(more)
        together = f"--distributed --coordinator 127.0.0.1:{_free_port()} --num-processes {count}"
        cache = {"JAX_COMPILATION_CACHE_DIR": str(programs)}
        run = Run(place, [], [])
        for index in range(count):
            log = tmp_path / f"{name}.{len(started)}.log"
            own = shlex.split(f"{together} --process-id {index}") if count > 1 else []
            own += shlex.split(last) if index == count - 1 else []
            with log.open("w") as output:
                process = subprocess.Popen(
                    command + own,
                    env=os.environ | virtual_devices(devices) | cache,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            started.append(process)
            run.processes.append(process)
            run.logs.append(log)
        return run

    yield start
    for process in started:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
