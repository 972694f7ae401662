"""How `accelerator.py` times a call, in JAX and in PyTorch alike."""

import statistics
import time
from collections.abc import Callable
from typing import Any


def time_calls(
    call: Callable[[], Any], wait: Callable[[Any], Any], seconds: float
) -> dict[str, Any]:
    """The seconds of a call: the median over groups of calls, each waited for at its end.

    A device works through calls one after the other while the host prepares the next, as in
    training; a group lasts a twentieth of the time, so that waiting for its end weighs little.

    Args:
        call: function to time; it has been compiled, and runs twice more before it counts.
        wait: function that returns when what a call gives is there.
        seconds: seconds to spend; at least one group is timed.

    Returns:
        ``seconds`` of a call, its ``quartiles`` over the groups, and the number of ``calls``.
    """
    for _ in range(2):
        start = time.perf_counter()
        wait(call())
        one = time.perf_counter() - start
    group = max(1, min(200, round(seconds / 20 / max(one, 1e-6))))
    times = []
    end = time.perf_counter() + seconds
    while not times or (time.perf_counter() < end and len(times) < 20):
        start = time.perf_counter()
        for _ in range(group):
            last = call()
        wait(last)
        times.append((time.perf_counter() - start) / group)
    quartiles = statistics.quantiles(times, n=4) if len(times) > 1 else [times[0]] * 3
    return {
        "seconds": statistics.median(times),
        "quartiles": [quartiles[0], quartiles[2]],
        "calls": group * len(times),
    }
