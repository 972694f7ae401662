"""The sizes of SoFlow."""

from dataclasses import dataclass
from typing import Annotated, Literal

from jaxmotion.networks.config import Width
from jaxmotion.options import Meta, check_fields

Radius = Annotated[int, Meta(ge=1, le=64)]


@dataclass(frozen=True)
class SoFlowConfig:
    """Options of SoFlow, which works at half the size of the frames.

    Attributes:
        features: channels of the features that are compared.
        context: channels of what the update sees of the first frame.
        hidden: channels of the recurrent state.
        radius: greatest shift that the correlations cover, in pixels at half the size.
        levels: number of volumes of correlations; each is of features smoothed once more and has
            twice the reach of the one before.
        lookup: radius of the windows that the update reads from each volume.
        iterations: number of updates of the flow.
        contrast: radius of the window, in pixels of the frame, by whose mean and contrast a pixel
            is normalized.
        start: flow before the first update: ``"expected"``, the mean shift, weighted by the softmax
            of the correlations; ``"zero"``, none, as in RAFT.
    """

    features: Width = 24
    context: Width = 16
    hidden: Width = 24
    radius: Radius = 6
    levels: Annotated[int, Meta(ge=1, le=6)] = 2
    lookup: Radius = 3
    iterations: Annotated[int, Meta(ge=1, le=1_000)] = 4
    contrast: Radius = 7
    start: Literal["expected", "zero"] = "expected"

    def __post_init__(self) -> None:
        check_fields(self, "network")

    def reach(self, iterations: int) -> int:
        """Distance that a vector of the result depends on, in pixels of the frame.

        Args:
            iterations: number of updates of the flow.
        """
        widest = 2 ** (self.levels - 1)
        volume = self.radius * widest + widest - 1  # the smoothing reaches 1 + 2 + 4 + ...
        encoder = 4  # four convolutions of 3 x 3
        # Flow 7 x 7 and 3 x 3, both together, gates, candidate, two of the head.
        update = 9 * iterations
        upsampling = 2
        return 2 * (volume + encoder + update + upsampling) + 3 + 2 * self.contrast
