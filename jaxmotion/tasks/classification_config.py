"""The configuration of frame classification: network, what counts as salient, fills, flips."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Suppress

from jaxmotion.data.config import AugmentConfig, DataConfig
from jaxmotion.networks.classifier_config import ClassifierConfig
from jaxmotion.options import Count, Share, check_fields
from jaxmotion.tasks.config import TaskConfig

if TYPE_CHECKING:
    from jaxmotion.tasks.classification import ClassificationTask


@dataclass(frozen=True)
class FillConfig:
    """The parts of a training frame that are filled with the motion of the rest.

    Where everything that moves is filled nothing moves in the frame: a pair of the real frame in
    which only the object differs. Other parts are filled in both kinds of frames, so that a fill
    by itself tells nothing.

    Attributes:
        hide_probability: probability that what moves is filled: all of it in every second of
            these frames, and some labels or none in the others, so that what is left tells.
        other_probability: probability that something else is: the outline of what moves in another
            clip, or a random blob.
        margin: pixels around what moves that are filled with it.
    """

    hide_probability: Share = 0.4
    other_probability: Share = 0.4
    margin: Count = 2

    def __post_init__(self) -> None:
        check_fields(self, "fill")


@dataclass(frozen=True)
class ClassificationConfig(TaskConfig):
    """Frame classification.

    Attributes:
        network: architecture of the classifier.
        least_area: share of a frame that what moves has to cover for the frame to be salient.
        fill: parts of training frames that are filled with the motion of the rest.
        augment: random changes of a training frame, of which only the flips count.
    """

    kind: Annotated[Literal["classification"], Suppress] = "classification"
    network: ClassifierConfig = field(default_factory=ClassifierConfig)
    least_area: Share = 0.005
    fill: FillConfig = field(default_factory=FillConfig)
    augment: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(flip_horizontal=0.5, flip_vertical=0.5)
    )

    def __post_init__(self) -> None:
        check_fields(self)

    def build(
        self, data: DataConfig, load: Callable[[str], Any] | None = None
    ) -> "ClassificationTask":
        """Makes the task; arguments as in `TaskConfig.build`, no other network is loaded."""
        from jaxmotion.tasks.classification import ClassificationTask  # late: it needs JAX

        return ClassificationTask(self.network, self.least_area, self.fill, self.augment)
