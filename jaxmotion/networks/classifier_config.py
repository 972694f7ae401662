"""The configuration of a frame classifier."""

from dataclasses import dataclass
from typing import Annotated, Literal

from jaxmotion.errors import InputError
from jaxmotion.networks.config import Extent, Width
from jaxmotion.options import Meta, check_fields

ClassifierInput = Literal["residual", "raw_and_residual", "directions"]


@dataclass(frozen=True)
class ClassifierConfig:
    """Options of a frame classifier.

    Attributes:
        input: kind of the features of the flow, the `kind` of `classifier_features`.
        widths: channels of each block, each of which halves the frame.
        kernels: extent of the convolution of each block, in pixels of a side.
    """

    input: ClassifierInput = "directions"
    widths: Annotated[tuple[Width, ...], Meta(min_length=1, max_length=8)] = (12, 24, 48)
    kernels: Annotated[tuple[Extent, ...], Meta(min_length=1, max_length=8)] = (3, 3, 3)

    def __post_init__(self) -> None:
        check_fields(self, "network")
        if len(self.kernels) != len(self.widths) or any(k % 2 == 0 for k in self.kernels):
            raise InputError(
                f"network.kernels {self.kernels}: expected an odd number for each of the "
                f"{len(self.widths)} blocks"
            )
