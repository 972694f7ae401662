"""How fast a run is, what it waits for, and what it has cost: the figures beside the loss.

All their names begin with ``watch/``::

    watch/step_seconds       time for a step, from one that is done to the next
    watch/clips_per_second   clips of the whole batch in that time
    watch/frames_per_second  frames of these clips
    watch/input_wait         share of that time in which the devices waited for a batch
    watch/flop_utilization   operations of the step as the compiler counts them, by that time, as a
                             share of the device's peak (`operations`, `peaks`)
    watch/memory_bytes       most memory in use so far, on the fullest device of the main process
    watch/device_hours       devices times hours that the run has had them, over all restarts
    watch/goodput            share of the time since the run's first start in which the devices
                             computed steps that count

The first four are means over the steps since the last line of the log, without pauses for
validation, checkpoints and pictures. What the backend does not tell is left out.
"""

import logging
import time
from pathlib import Path

import jax

from jaxmotion.errors import InputError
from jaxmotion.training.distributed import is_main
from jaxmotion.training.flights import Landed
from jaxmotion.training.metrics import read_json, write_json
from jaxmotion.training.peaks import PEAKS

FILE = "goodput.json"
"""File in a run's folder with what `Costs` goes on from."""

_LOG = logging.getLogger(__name__)


class Watch:
    """The figures of a run.

    Args:
        clips: number of clips of a step, over all devices.
        frames: number of frames of a clip.
        flops: operations of a step on one device; None where the compiler does not count them.
        workdir: the run's folder.
        step: number of steps done when the run was started or continued.
    """

    def __init__(
        self, clips: int, frames: int, flops: float | None, workdir: Path, step: int
    ) -> None:
        self._clips, self._frames, self._flops = clips, frames, flops
        self._peak = PEAKS.get(jax.local_devices()[0].device_kind)
        self._costs = Costs(workdir, step, jax.device_count())
        self._landed: list[Landed] = []

    def add(self, landed: Landed) -> None:
        """Notes a step that is done."""
        self._landed.append(landed)
        self._costs.useful += landed.busy

    def take(self) -> dict[str, float]:
        """The figures by name, since they were last taken."""
        count = len(self._landed)
        seconds = sum(landed.seconds for landed in self._landed)
        waited = sum(landed.waited for landed in self._landed)
        self._landed = []
        values = {}
        if seconds > 0:
            values |= {
                "step_seconds": seconds / count,
                "clips_per_second": self._clips * count / seconds,
                "frames_per_second": self._clips * self._frames * count / seconds,
                "input_wait": waited / seconds,
            }
            if self._flops and self._peak:
                values["flop_utilization"] = self._flops * count / seconds / self._peak
        if (most := most_memory()) is not None:
            values["memory_bytes"] = most
        return {f"watch/{name}": value for name, value in (values | self._costs.values()).items()}

    def save(self, step: int) -> None:
        """Stores what the next start of the run goes on from, for a checkpoint of this step."""
        self._costs.save(step)


class Costs:
    """What a run has cost since its first start, kept in its folder by the main process.

    A step counts if it comes before the checkpoint that the run is continued from; what was
    computed after that, and is computed again, counts once.

    Args:
        workdir: the run's folder.
        step: number of steps done when the run was started or continued.
        devices: number of devices that it has.

    Attributes:
        useful: seconds in which the devices computed steps that count.
    """

    def __init__(self, workdir: Path, step: int, devices: int) -> None:
        self._path, self._devices, self._here = workdir / FILE, devices, time.time()
        try:
            stored = _read(self._path) if self._path.exists() else {}
        except InputError as error:
            _LOG.warning("%s; goodput and device hours are counted from now on", error)
            stored = {}
        self._first = stored.get("first_start", self._here)
        self._device_seconds = stored.get("device_seconds", 0.0)
        useful = {int(s): v for s, v in stored.get("useful_seconds", {}).items()}
        self._useful = {s: seconds for s, seconds in sorted(useful.items()) if s <= step}
        self.useful = max(self._useful.values(), default=0.0)
        self._write()

    def values(self) -> dict[str, float]:
        """Device hours and goodput, now."""
        now = time.time()
        return {
            "device_hours": self._device_seconds_at(now) / 3600,
            "goodput": self.useful / max(now - self._first, 1e-9),
        }

    def save(self, step: int) -> None:
        """Stores them for a checkpoint of this step."""
        self._useful[step] = self.useful
        self._write()

    def _device_seconds_at(self, now: float) -> float:
        return self._device_seconds + self._devices * (now - self._here)

    def _write(self) -> None:
        # A run goes on from one of its newest checkpoints; those before are forgotten.
        self._useful = dict(sorted(self._useful.items())[-3:])
        if is_main():
            values = {
                "first_start": self._first,
                "device_seconds": self._device_seconds_at(time.time()),
                "useful_seconds": {str(step): v for step, v in self._useful.items()},
            }
            write_json(self._path, values)


def _read(path: Path) -> dict:
    values = read_json(path)
    useful = values.get("useful_seconds")
    useful = useful if isinstance(useful, dict) else {"": None}
    numbers = (values.get("first_start"), values.get("device_seconds"), *useful.values())
    if not all(step.isdecimal() for step in useful) or not all(
        isinstance(number, int | float) for number in numbers
    ):
        raise InputError(f"{path}: expected what a run wrote there")
    return values


def most_memory() -> float | None:
    """Most bytes in use so far on the fullest device here; None where the backend does not tell."""
    peaks = [
        stats["peak_bytes_in_use"]
        for device in jax.local_devices()
        if (stats := device.memory_stats()) and "peak_bytes_in_use" in stats
    ]
    return float(max(peaks)) if peaks else None
