"""The configuration of a network that tells events."""

from dataclasses import dataclass
from typing import Annotated

from jaxmotion.errors import InputError
from jaxmotion.networks.config import Width
from jaxmotion.options import Count, Meta, check_fields


@dataclass(frozen=True)
class EventHeadConfig:
    """Options of a pyramid over the numbers of a track.

    Attributes:
        channels: number of channels, in all levels.
        heads: number of heads of the attention, a divisor of the channels.
        levels: number of levels; each has half the times of the one before.
        reach: steps before and after that a place looks at, at each level: 9 for windows of 19.
        expansion: channels within an MLP, in multiples of the channels.
    """

    channels: Width = 32
    heads: Count = 4
    levels: Annotated[int, Meta(ge=1, le=12)] = 6
    reach: Annotated[int, Meta(ge=1, le=1_000)] = 9
    expansion: Annotated[int, Meta(ge=1, le=64)] = 2

    def __post_init__(self) -> None:
        check_fields(self, "network")
        if self.channels % self.heads:
            raise InputError(
                f"network.channels {self.channels}: expected a multiple of the {self.heads} heads"
            )
