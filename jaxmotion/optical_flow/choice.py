"""Choice of an estimator: the best that is there, and advice on how to have a better one."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jaxmotion.errors import InputError
from jaxmotion.optical_flow.estimators import ESTIMATORS
from jaxmotion.optical_flow.raft.official import Weights, default_weights, fetch

AUTO = "auto"

# Mean J of the masks that `lt-ms-k4` makes of each flow, on six DAVIS sequences: docs/models.md.
MEAN_J = {"refined": 0.734, "dis": 0.636, "raft_small": 0.745, "raft": 0.787}


class Choice(NamedTuple):
    """An estimator to make.

    Attributes:
        name: name of the estimator in `ESTIMATORS`.
        weights: file of its weights; None where it needs none.
        reason: line for the user, that says what was taken and how to have better flow; empty
            where the user chose.
    """

    name: str
    weights: Path | None
    reason: str


def choose_estimator(
    name: str,
    weights: Path | None = None,
    *,
    refined: bool = True,
    may_download: bool = False,
    ask: Callable[[str], bool] | None = None,
) -> Choice:
    """Resolves `auto`, and finds the weights of an estimator in the user's cache.

    `auto` is RAFT where its weights are there and an accelerator makes it quick, and else DIS.
    Nothing is downloaded without a yes.

    Args:
        name: name of the estimator in `ESTIMATORS`, or "auto".
        weights: file of weights of the user's; None to look into the cache.
        refined: whether DIS is refined, which the line for the user says.
        may_download: whether the user has said yes to a download before.
        ask: function that puts a question to the user; None where nobody can be asked.

    Returns:
        The choice.

    Raises:
        InputError: an unknown name, weights for `auto`, which are of one network, or a download
            that failed.
    """
    if name == AUTO:
        if weights is not None:
            raise InputError("weights are of one network: expected --estimator raft or raft_small")
        return _best(refined, may_download, ask)
    if name not in ESTIMATORS:
        names = ", ".join([AUTO, *ESTIMATORS])
        raise InputError(f"estimator {name!r}: unknown, expected one of {names}")
    if name in ("raft", "raft_small") and weights is None:
        weights = _cached_or_fetched(default_weights(name), may_download, ask)
    return Choice(name, weights, "")


def _best(refined: bool, may_download: bool, ask: Callable[[str], bool] | None) -> Choice:
    import jax

    dis = "refined" if refined else "dis"
    basis = f"flow: DIS{', refined' * refined} (masks of J {MEAN_J[dis]} on DAVIS)"
    better = default_weights("raft")
    gain = f"RAFT gives {MEAN_J['raft']}"
    if jax.default_backend() == "cpu":
        get = "" if better.path.is_file() else f"jaxmotion weights fetch {better.name}, then "
        return Choice(
            "dis",
            None,
            f"{basis}; {gain} and takes seconds a frame without an accelerator: "
            f"{get}--estimator raft",
        )
    path = _cached_or_fetched(better, may_download, ask)
    if path is not None:
        return Choice("raft", path, f"flow: RAFT (masks of J {MEAN_J['raft']} on DAVIS)")
    small = default_weights("raft_small")
    if small.path.is_file():
        return Choice(
            "raft_small",
            small.path,
            f"flow: RAFT small (masks of J {MEAN_J['raft_small']} on DAVIS); {gain}: "
            f"jaxmotion weights fetch {better.name}",
        )
    return Choice("dis", None, f"{basis}; {gain}: jaxmotion weights fetch {better.name}")


def _cached_or_fetched(
    weights: Weights, may_download: bool, ask: Callable[[str], bool] | None
) -> Path | None:
    if weights.path.is_file():
        return weights.path
    question = f"download {weights.name}, {weights.megabytes} MB, from {weights.url}?"
    if may_download or (ask is not None and ask(question)):
        return fetch(weights.name)
    return None


def ask_at_terminal() -> Callable[[str], bool] | None:
    """A function that asks the user at a terminal; None where there is none, or in CI."""
    if os.environ.get("CI") or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(question: str) -> bool:
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    return ask
