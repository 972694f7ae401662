"""Training as a stranger interrupts it: real processes, real signals, random moments."""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxmotion.training.checkpoints import Checkpoints
from jaxmotion.training.kept import load_best

ROOT = Path(__file__).parents[2]
OPTIONS = (
    "--data.height 16 --data.width 24 --network.widths 4 8 --network.stem 1 "
    "--batch-size 4 --log-every 1 --validate-every 10 --checkpoint-every 10 --picture-every 0 "
    "--optimizer.schedule constant --optimizer.warmup-steps 1 "  # whatever the number of steps
    "--data.validation-clips 4 --steps {steps}"
)
PATIENCE = 3600
"""Seconds after which a test gives up on a process; far more than it needs."""
ENDLESS = 1_000_000
"""Steps of a run that is to be interrupted before its end, however fast or busy the machine."""


def start(workdir, cache, steps):
    return subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "train.py"),
            "--workdir",
            str(workdir),
            *shlex.split(OPTIONS.format(steps=steps)),
        ],
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def steps_of(workdir):
    path = workdir / "metrics.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def wait_for_step(process, workdir, step):
    while process.poll() is None:
        lines = steps_of(workdir)
        if lines and lines[-1]["step"] >= step:
            return
        time.sleep(0.02)
    raise AssertionError(f"ended before step {step}: {process.stdout.read()[-2000:]}")


def interrupt(workdir, cache, rounds):
    rng = random.Random(rounds)
    for number in range(rounds):
        before = steps_of(workdir)[-1]["step"] if steps_of(workdir) else 0
        process = start(workdir, cache, ENDLESS)
        wait_for_step(process, workdir, before + rng.randint(1, 8))
        time.sleep(rng.uniform(0, 0.3))
        # SIGINT and SIGKILL in turn.
        process.send_signal(signal.SIGKILL if number % 2 else signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == (-signal.SIGKILL if number % 2 else 130), output[-2000:]
        assert ("continuing from step" in output) == (number > 0), output[-2000:]
        assert "Traceback" not in output


@pytest.mark.parametrize(
    "rounds", [pytest.param(2, id="short"), pytest.param(10, id="ten", marks=pytest.mark.slow)]
)
def test_interrupted_at_random_moments_training_goes_on(tmp_path, rounds):
    cache = tmp_path / "cache"
    interrupt(tmp_path / "parts", cache, rounds)
    steps = steps_of(tmp_path / "parts")[-1]["step"] + 10
    last = start(tmp_path / "parts", cache, steps)
    output, _ = last.communicate(timeout=PATIENCE)
    assert last.returncode == 0, output[-2000:]
    assert "foreground IoU" in output

    lines = steps_of(tmp_path / "parts")
    losses = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    assert [step for step, _ in losses] == list(range(1, steps + 1))
    load_best(tmp_path / "parts")
    checkpoints = Checkpoints(tmp_path / "parts", {})
    assert checkpoints.newest_step == steps
    checkpoints.close()

    if rounds == 10:
        whole = start(tmp_path / "whole", cache, steps)
        output, _ = whole.communicate(timeout=PATIENCE)
        assert whole.returncode == 0, output[-2000:]
        expected = [(x["step"], x["loss"]) for x in steps_of(tmp_path / "whole") if "loss" in x]
        assert losses == expected
