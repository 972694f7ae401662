"""train.py that says at its end how often this process took part in a collective of its own."""

import functools
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from jax.experimental import multihost_utils

ASKING = ("process_allgather", "broadcast_one_to_all", "sync_global_devices", "assert_equal")
count = 0


def counted(function):
    @functools.wraps(function)
    def ask(*args, **kwargs):
        global count
        count += 1
        return function(*args, **kwargs)

    return ask


if __name__ == "__main__":
    for name in ASKING:
        setattr(multihost_utils, name, counted(getattr(multihost_utils, name)))
    from jaxmotion.cli import run

    status = run("train", sys.argv[1:], prog="train.py")
    print(f"asked {count} times", flush=True)
    sys.exit(status)
