"""The configuration of supervised foreground segmentation: network, loss, augmentation, windows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tyro.conf import Suppress

from jaxmotion.data.config import DataConfig
from jaxmotion.errors import InputError
from jaxmotion.options import NotNegative, check_fields
from jaxmotion.tasks.segmentation_config import MaskTaskConfig

if TYPE_CHECKING:
    from jaxmotion.tasks.foreground import ForegroundTask


@dataclass(frozen=True)
class ForegroundLossConfig:
    """The loss of a foreground by labels, as weights of its parts.

    Attributes:
        cross_entropy_weight: weight of the cross entropy, in which both kinds of pixels weigh the
            same.
        lovasz_weight: weight of the Lovász hinge, the loss of the Jaccard index.
        consistency_weight: weight of how much the masks change from frame to frame.
        regions_weight: weight of the cross entropy of the region weights of a gate, which are to
            find the foreground; without a gate there are none.
    """

    cross_entropy_weight: NotNegative = 1.0
    lovasz_weight: NotNegative = 1.0
    consistency_weight: NotNegative = 0.1
    regions_weight: NotNegative = 0.1

    def __post_init__(self) -> None:
        check_fields(self, "objective")


@dataclass(frozen=True)
class ForegroundConfig(MaskTaskConfig):
    """Foreground by labels: what moves on its own against the rest.

    Attributes:
        objective: the loss, as weights of its parts.
    """

    kind: Annotated[Literal["foreground"], Suppress] = "foreground"
    objective: ForegroundLossConfig = field(default_factory=ForegroundLossConfig)

    select: ClassVar[str | None] = "nonzero"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network.num_masks != 2:
            raise InputError(
                f"network.num_masks {self.network.num_masks}: expected 2, background and foreground"
            )

    def build(self, data: DataConfig, load: Callable[[str], Any] | None = None) -> "ForegroundTask":
        """Makes the task; arguments as in `TaskConfig.build`, no other network is loaded."""
        from jaxmotion.tasks.foreground import ForegroundTask  # late: it needs JAX

        return ForegroundTask(
            self.network, self.motion, self.augment, data.clip_length, objective=self.objective
        )
