"""Traces of chosen steps, for TensorBoard and XProf to show."""

import importlib.util
import os
from pathlib import Path

import jax

from jaxmotion.errors import InputError


class Profile:
    """The trace of the chosen steps, or of those that are left of them when a run is continued.

    Args:
        steps: the steps to trace.
        folder: folder of the trace, ``plugins/profile`` in it.

    Raises:
        InputError: where JAX's profiler would end the process.
    """

    def __init__(self, steps: range, folder: Path) -> None:
        no_tpu = jax.default_backend() == "cpu" and os.environ.get("JAX_PLATFORMS") != "cpu"
        if steps and no_tpu and importlib.util.find_spec("libtpu") is not None:
            raise InputError(
                "--profile_steps: libtpu is installed and there is no TPU, which its profiler does "
                "not survive; expected the environment variable JAX_PLATFORMS=cpu"
            )
        self._steps, self._folder = steps, folder
        self._running = False

    def begins(self, step: int) -> bool:
        """Whether the trace is to be started before this step."""
        return step in self._steps and not self._running

    def ends(self, step: int) -> bool:
        """Whether the trace is to be stopped after this step."""
        return self._running and step + 1 not in self._steps

    def start(self) -> None:
        """Starts the trace."""
        jax.profiler.start_trace(str(self._folder))
        self._running = True

    def stop(self) -> None:
        """Stops the trace, where one runs, and writes it."""
        if self._running:
            self._running = False
            jax.profiler.stop_trace()
