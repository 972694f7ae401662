"""One process, and what is wrong before there are several; see tests/multihost for real ones."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxmotion.errors import InputError
from jaxmotion.training.config import Processes
from jaxmotion.training.distributed import anywhere, gather, is_main, joined, on_host

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"coordinator": "a:1"}, "expected all three or none with --distributed"),
        ({"distributed": True, "process_id": 0}, "expected all three or none"),
        (
            {"distributed": True, "join_timeout": 0},
            "join_timeout 0: expected a whole number",
        ),
    ],
)
def test_what_belongs_together(options, words):
    with pytest.raises(InputError, match=words):
        Processes(**options)


@pytest.mark.parametrize(
    ("coordinator", "count", "index", "words"),
    [
        ("host", 2, 0, "--coordinator host: expected HOST:PORT"),
        ("host:port", 2, 0, "--coordinator host:port: expected HOST:PORT"),
        (":8080", 2, 0, "--coordinator :8080: expected HOST:PORT"),
        ("host:70000", 2, 0, "--coordinator host:70000: expected HOST:PORT"),
        ("host:8080", 0, 0, "--num-processes 0: expected at least 1"),
        ("host:8080", 2, 2, "--process-id 2: expected 0 to 1"),
        ("host:8080", 2, -1, "--process-id -1: expected 0 to 1"),
    ],
)
def test_wrong_numbers_and_names(coordinator, count, index, words):
    with pytest.raises(InputError, match=words):
        Processes(True, coordinator, count, index)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        # A port that nothing listens on: 1 needs privileges.
        (
            "--coordinator 127.0.0.1:1 --num-processes 2 --process-id 1 --join-timeout 1",
            "not all processes came to 127.0.0.1:1 within 1 s",
        ),
        ("", "expected a TPU pod, SLURM"),
        ("--num-processes 2", "expected all three or none"),
    ],
    ids=["nobody there", "nothing to go by", "half of it"],
)
def test_a_set_up_that_cannot_be_is_one_line(tmp_path, options, words):
    clusters = ("SLURM_", "OMPI_", "PMI_", "KUBERNETES_", "TPU_", "JAX_")
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", "--distributed", *shlex.split(options)],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith(clusters)}
        | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert words.lower() in line.lower()
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_one_process_alone_agrees_with_itself():
    with joined(Processes()):
        assert is_main()
        assert anywhere(True)
        assert not anywhere(False)
        np.testing.assert_array_equal(gather(3), [3])
        tree = {"a": np.ones(2)}
        assert on_host(tree) is tree
