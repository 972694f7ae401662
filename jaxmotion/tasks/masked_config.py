"""The configuration of masked flow modeling: what is hidden, network, loss, windows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tyro.conf import Suppress

from jaxmotion.data.config import AugmentConfig, DataConfig
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.networks.config import NetworkConfig, check_makes_no_masks
from jaxmotion.options import CountOrZero, Meta, NotNegative, Share, check_fields
from jaxmotion.tasks.config import TaskConfig

if TYPE_CHECKING:
    from jaxmotion.tasks.masked import MaskedTask

Reconstruct = Literal["masked", "variational", "predictive"]


@dataclass(frozen=True)
class TubesConfig:
    """The parts of a clip that are hidden: squares of pixels, the same in many frames.

    Attributes:
        size: side of a square in pixels.
        frames: number of frames of a tube; 0 for those of the clip.
        share: least and greatest share of a clip that is hidden.
        following: share of the clips whose tubes move along the flow. What moves behind tubes that
            stand still shows itself in other frames.
    """

    size: Annotated[int, Meta(ge=1, le=1_024)] = 8
    frames: CountOrZero = 0
    share: tuple[Share, Share] = (0.75, 0.9)
    following: Share = 0.5

    def __post_init__(self) -> None:
        check_fields(self, "tubes")
        low, high = self.share
        if not 0 < low <= high < 1:
            raise InputError(
                f"tubes.share ({low}, {high}): expected the least share and the greatest, above 0 "
                "and below 1"
            )


@dataclass(frozen=True)
class LatentConfig:
    """The one vector of a clip, where the whole clip is decoded from it.

    Attributes:
        size: number of channels.
        weight: weight of the Kullback-Leibler divergence from the standard normal distribution (β).
        free_bits: nats of each channel that cost nothing.
    """

    size: Annotated[int, Meta(ge=1, le=65_536)] = 64
    weight: NotNegative = 1e-3
    free_bits: NotNegative = 0.1

    def __post_init__(self) -> None:
        check_fields(self, "latent")


@dataclass(frozen=True)
class MaskedConfig(TaskConfig):
    """Masked flow modeling: flow that is hidden, from flow that is seen.

    Attributes:
        reconstruct: what is reconstructed. ``"masked"``: tubes that are hidden. ``"predictive"``:
            the last half of the clip, from the first. ``"variational"``: the whole clip, from one
            vector.
        network: architecture of the backbone. What it says of masks has to stay as it is.
        tubes: what is hidden.
        latent: the vector of ``"variational"``.
        camera_weight: weight of the error of the motion of each frame.
        augment: random changes of a training clip; none may be of the network's input alone.
        inference: length and overlap of the windows of a trained network over a video.
    """

    kind: Annotated[Literal["masked"], Suppress] = "masked"
    reconstruct: Reconstruct = "masked"
    network: NetworkConfig = field(
        default_factory=lambda: NetworkConfig(
            input="raw_and_residual", kernel=(3, 3, 3), norm_frames=8, known_channel=True
        )
    )
    tubes: TubesConfig = field(default_factory=TubesConfig)
    latent: LatentConfig = field(default_factory=LatentConfig)
    camera_weight: NotNegative = 0.5
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    inference: InferenceConfig = field(
        default_factory=lambda: InferenceConfig(window=8, linking="none")
    )

    changeable: ClassVar[tuple[str, ...]] = (
        "network.remat",
        "network.compute_dtype",
        "inference",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        check_makes_no_masks(self.network, "a network that reconstructs flow")
        if self.augment.corruption_probability:
            raise InputError(
                f"augment.corruption_probability {self.augment.corruption_probability}: expected "
                "0; what is hidden has to be the flow itself"
            )

    def build(self, data: DataConfig, load: Callable[[str], Any] | None = None) -> "MaskedTask":
        """Makes the task; arguments as in `TaskConfig.build`, no other network is loaded."""
        if self.reconstruct == "predictive" and data.clip_length < 2:
            raise InputError(
                f"data.clip_length {data.clip_length}: expected at least 2, of which the last half "
                "is predicted"
            )
        from jaxmotion.tasks.masked import MaskedTask  # late: it needs JAX

        return MaskedTask(self, data.clip_length)
