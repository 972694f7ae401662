"""One module per published experiment, plus the quickstart; each gives a `Config`."""

from collections.abc import Callable

from jaxmotion.configs import em, quickstart
from jaxmotion.errors import InputError
from jaxmotion.training.config import Config

CONFIGS: dict[str, Callable[[], Config]] = {
    "quickstart": quickstart.config,
    "em": em.config,
    "em_published": em.published,
}


def get_config(name: str) -> Config:
    """The configuration of an experiment by its name.

    Raises:
        InputError: on an unknown name.
    """
    if name not in CONFIGS:
        raise InputError(f"unknown config {name!r}: expected one of {', '.join(CONFIGS)}")
    return CONFIGS[name]()


__all__ = ["CONFIGS", "get_config"]
