"""The configuration of adversarial saliency: whom to convince, and by which multiplier."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tyro.conf import Suppress

from jaxmotion.data.config import AugmentConfig, DataConfig
from jaxmotion.errors import InputError
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.options import CountOrZero, Meta, NotNegative, Positive, check_fields
from jaxmotion.tasks.config import TaskConfig
from jaxmotion.tasks.segmentation_config import SegmentationConfig

if TYPE_CHECKING:
    from jaxmotion.tasks.adversarial import AdversarialTask


@dataclass(frozen=True)
class ConstraintConfig:
    """The constraint that no frame is salient once the salient masks are filled.

    Attributes:
        violation: how much a frame violates it. ``"hinge"``: how far its logit is above
            ``-margin``; ``"sigma"``: its probability where that is 0.5 or more, as published, which
            jumps.
        multiplier: what moves the multiplier. ``"projected"``: plain ascent at a rate of its own,
            never below zero; ``"shared"``: it is a parameter, and the optimizer moves it like the
            others, as published, for which ``optimizer.groups`` has to name a group
            ``multiplier/.*`` of rate -1.
        start: value of the multiplier at the start.
        rate: rate of the projected multiplier, for the mean violation of a batch.
        tolerance: mean violation that is allowed. The projected multiplier falls below it.
        margin: how far below zero the logit of a filled frame has to be.
    """

    violation: Literal["hinge", "sigma"] = "hinge"
    multiplier: Literal["projected", "shared"] = "projected"
    start: NotNegative = 0.1
    rate: Positive = 0.05
    tolerance: NotNegative = 0.1
    margin: NotNegative = 0.5

    def __post_init__(self) -> None:
        check_fields(self, "constraint")


@dataclass(frozen=True)
class AdversarialConfig(TaskConfig):
    """Adversarial saliency: the least that has to be filled for nothing to be salient.

    Attributes:
        classifier: the frame classifier to convince, as `jaxmotion saliency --checkpoint` takes it.
        network: architecture of the segmenter. Its first mask is the background.
        salient: numbers of the masks that are salient; their sum is filled.
        constraint: the constraint, and what moves its multiplier.
        reconstruction: weight of the misfit of all masks' motion models to the flow (eq. 6.11), for
            several masks; 0 for none.
        adjoint: gradient of the motion of a fill by the mask: ``"stop"`` takes it for a constant,
            as published; ``"implicit"`` is exact.
        hard: whether a fill covers the pixels that a salient mask wins, and no others; the gradient
            is that of soft masks. A soft mask lowers the contrast of an object for less area than
            the object has.
        augment: random changes of a training frame, of which only the flips count.
    """

    kind: Annotated[Literal["adversarial"], Suppress] = "adversarial"
    changeable: ClassVar[tuple[str, ...]] = ("network.remat", "network.compute_dtype")

    classifier: str = "runs/nims_crowd"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    salient: Annotated[tuple[CountOrZero, ...], Meta(min_length=1, max_length=255)] = (1,)
    constraint: ConstraintConfig = field(default_factory=ConstraintConfig)
    reconstruction: NotNegative = 0.0
    adjoint: Literal["stop", "implicit"] = "stop"
    hard: bool = True
    augment: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(flip_horizontal=0.5, flip_vertical=0.5)
    )

    def __post_init__(self) -> None:
        check_fields(self)
        most = self.network.num_masks - 1
        if not all(1 <= number <= most for number in self.salient):
            raise InputError(f"salient {self.salient}: expected numbers from 1 to {most}")

    def segmentation(self) -> SegmentationConfig:
        """The segmenter alone, as if it had been trained for segmentation."""
        return SegmentationConfig(network=self.network)

    def build(
        self, data: DataConfig, load: Callable[[str], Any] | None = None
    ) -> "AdversarialTask":
        """Makes the task, with the frame classifier; arguments as in `TaskConfig.build`."""
        from jaxmotion.tasks.adversarial import AdversarialTask, Judge  # late: it needs JAX

        judge = None if load is None else Judge.of(load(self.classifier), self.classifier)
        return AdversarialTask(self, self.segmentation().build(data), judge)
