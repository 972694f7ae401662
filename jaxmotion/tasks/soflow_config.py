"""The configuration of SoFlow: network, and the loss by the frames alone."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Suppress

from jaxmotion.data.config import DataConfig
from jaxmotion.errors import InputError
from jaxmotion.networks.soflow.config import SoFlowConfig
from jaxmotion.options import CountOrZero, Meta, NotNegative, Positive, check_fields
from jaxmotion.tasks.config import TaskConfig

if TYPE_CHECKING:
    from jaxmotion.tasks.soflow import SoFlowTask


@dataclass(frozen=True)
class PhotometricConfig:
    """The loss: likeness of the frames + smoothness + sparsity, over all iterations (eq. 7.40).

    Attributes:
        likeness: difference of a frame and the other one brought back, ``"census"`` or ``"ssim"``
            (eq. 7.37).
        window: side of the neighborhood by which two pixels are compared, odd.
        noise: gray levels by which neighbors differ for sure, of the census.
        smoothness: weight of the smoothness (eq. 7.39).
        edge: α_smoo; a step of 1 / α in the frame divides the weight of the smoothness by e.
        sparsity: weight of the sparsity (eq. 7.41) of the flow without the camera's motion.
        change: α_spar; a change of 1 / α between the frames divides the weight of the sparsity by
            e.
        occlusion: way with what is hidden in the other frame: ``"consistency"`` leaves out where
            the flow and the flow back disagree, ``"none"`` lets it count like the rest, as
            published.
        occlusion_from: first step in which it is left out; until then the flow is too bad to tell.
        decay: γ, weight of an iteration relative to the next (eq. 7.36).
        crop: side of the part of a training frame that the network sees, while the loss follows the
            flow out of it, over the whole frame; 0 for all of the frame.
    """

    likeness: Literal["census", "ssim"] = "census"
    window: Annotated[int, Meta(ge=3, le=31)] = 5
    noise: Positive = 2.0
    smoothness: NotNegative = 0.015
    edge: NotNegative = 50.0
    sparsity: NotNegative = 0.0
    change: NotNegative = 50.0
    occlusion: Literal["consistency", "none"] = "consistency"
    occlusion_from: CountOrZero = 500
    decay: Annotated[float, Meta(gt=0, le=1)] = 0.8
    crop: CountOrZero = 64

    def __post_init__(self) -> None:
        check_fields(self, "objective")
        if self.window % 2 == 0:
            raise InputError(f"objective.window {self.window}: expected an odd number")
        if self.crop % 2:
            raise InputError(f"objective.crop {self.crop}: expected an even number")


@dataclass(frozen=True)
class SoFlowTaskConfig(TaskConfig):
    """Flow of small objects.

    Attributes:
        network: sizes of the network.
        objective: the loss.
    """

    kind: Annotated[Literal["soflow"], Suppress] = "soflow"
    network: SoFlowConfig = field(default_factory=SoFlowConfig)
    objective: PhotometricConfig = field(default_factory=PhotometricConfig)

    def __post_init__(self) -> None:
        check_fields(self)

    def build(self, data: DataConfig, load: Callable[[str], Any] | None = None) -> "SoFlowTask":
        """Makes the task; arguments as in `TaskConfig.build`, no other network is loaded."""
        from jaxmotion.tasks.soflow import SoFlowTask  # late: it needs JAX

        crop = self.objective.crop
        if crop > min(data.height, data.width):
            raise InputError(
                f"objective.crop {crop}: expected at most the clips' {data.height} x {data.width}"
            )
        if data.height % 2 or data.width % 2:
            raise InputError(
                f"data.height {data.height} and data.width {data.width}: expected even numbers, "
                "SoFlow works at half of them"
            )
        return SoFlowTask(self.network, self.objective)
