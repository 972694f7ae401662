"""The TPU's compiler, in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def for_a_tpu() -> Callable[..., str]:
    """Runs a script that compiles for TPUs, named from this folder on; gives what it prints."""
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("no TPU compiler (pip install jaxmotion[accelerators])")

    def run(script: str, *arguments: str) -> str:
        # Nothing is asked of the machine, and another process may have the compiler loaded, too.
        nothing = {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
        done = subprocess.run(
            [sys.executable, str(Path(__file__).parent / script), *arguments],
            env=os.environ | nothing | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
