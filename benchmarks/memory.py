"""Peak memory of the process, read from Linux."""

import ctypes
from collections.abc import Callable


def peak() -> float:
    """MB that this process has peaked at."""
    return _status("VmHWM")


def peak_above(call: Callable[[], object]) -> float:
    """MB that a call peaks at above what the process held before; call it once to compile first."""
    ctypes.CDLL(None).malloc_trim(0)  # what compilation left over would hide what the call takes
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak is counted from here
    before = _status("VmRSS")
    call()
    return peak() - before


def _status(name: str) -> float:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) / 1024
