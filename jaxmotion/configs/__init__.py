"""One module per published experiment, plus the quickstart; each gives a `Config`."""

from collections.abc import Callable

from jaxmotion.configs import (
    adversarial,
    em,
    events,
    foreground,
    instances,
    lt_ms,
    masked,
    nims,
    quickstart,
    soflow,
    st_ms,
)
from jaxmotion.errors import InputError
from jaxmotion.training.config import Config

CONFIGS: dict[str, Callable[[], Config]] = {
    "quickstart": quickstart.config,
    "em": em.config,
    "st_ms": st_ms.config,
    "lt_ms": lt_ms.config,
    "lt_ms_sa": lt_ms.slots,
    "foreground": foreground.config,
    "instances": instances.config,
    "masked": masked.config,
    "events": events.config,
    "nims": nims.config,
    "nims_crowd": nims.crowd,
    "adversarial": adversarial.config,
    "soflow": soflow.config,
    "em_published": em.published,
    "st_ms_published": st_ms.published,
    "lt_ms_published": lt_ms.published,
    "adversarial_published": adversarial.published,
    "soflow_published": soflow.published,
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
