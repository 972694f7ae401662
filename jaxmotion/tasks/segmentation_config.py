"""The configuration of motion segmentation: network, motion model, loss, augmentation, windows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tyro.conf import Suppress

from jaxmotion.data.config import AugmentConfig, DataConfig
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.motion.model import MotionModel
from jaxmotion.motion.names import PenaltyName
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.options import CountOrZero, Meta, NotNegative, check_fields
from jaxmotion.tasks.config import TaskConfig

if TYPE_CHECKING:
    from jaxmotion.tasks.segmentation import SegmentationTask


@dataclass(frozen=True)
class ObjectiveConfig:
    """The loss: coherence + α Σ m log m + prior + β L_c.

    Attributes:
        penalty: robust penalty of a residual (δ of eq. 2.10), for the fit and the coherence alike.
        normalisation: what the coherence of a frame is divided by: ``"pixels"``, the mean over
            pixels in px (algorithm 7.1.4); ``"flow"``, the sum of the flow's norm (eq. 3.4);
            ``"residual"``, the sum of the norm of the flow minus a robust global quadratic motion,
            which adding a global motion does not change.
        remove_global_motion: explains what is left of the flow after a robust global quadratic
            motion of each frame. A camera that shakes makes the motion of every segment jump from
            frame to frame, which no model that is smooth over time explains; what moves against
            the background is smooth. Clips of one frame have the same loss either way.
        entropy_weight: weight of the entropy of the masks (α of algorithm 7.1.4).
        foreground_cost: cost of a pixel outside the first mask: −α log p(z) of eq. 2.9 with a prior
            by which the first mask, the background, is more likely. 0 is the uniform prior of the
            thesis. Above 0 a pixel leaves the background only where another motion explains it
            better by this much, in the unit of the normalization (with ``"residual"``: mean norms
            of the residual), so parallax and water stay in the background.
        border_cost: additional cost of a foreground pixel on the border of the frame; it falls
            toward the center with the fourth power of the distance. It is a prior by place: who
            films an object keeps it in the frame. Water, ground and branches close to the camera
            reach over the border, and a global motion does not explain them either.
        consistency_weight: weight of the temporal consistency L_c of the masks (β of eq. 3.7);
            clips of one frame have no L_c.
        consistency_ramp: number of steps over which the weight of L_c grows from 0; 0 gives the
            full weight from the start.
        occlusion_quantile: share of the sites that L_c looks at (eq. 3.6).
    """

    penalty: PenaltyName = "l1"
    normalisation: Literal["pixels", "flow", "residual"] = "residual"
    remove_global_motion: bool = False
    entropy_weight: NotNegative = 0.01
    foreground_cost: NotNegative = 0.0
    border_cost: NotNegative = 0.0
    consistency_weight: NotNegative = 0.0
    consistency_ramp: CountOrZero = 0
    occlusion_quantile: Annotated[float, Meta(gt=0, le=1)] = 0.99

    def __post_init__(self) -> None:
        check_fields(self, "objective")


@dataclass(frozen=True)
class MaskTaskConfig(TaskConfig):
    """What the configurations of all tasks that train a segmenter share.

    Attributes:
        network: architecture of the segmenter.
        motion: the motion model of a segment.
        augment: random changes of a training clip.
        inference: length and overlap of the windows of a trained network over a video.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    motion: MotionModel = field(
        default_factory=lambda: MotionModel(spatial="quadratic", temporal="constant")
    )
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)

    changeable: ClassVar[tuple[str, ...]] = ("network.remat", "network.compute_dtype")
    # The rule by which masks are read as one foreground, where they mean something by themselves.
    select: ClassVar[str | None] = None

    @property
    def penalty(self) -> PenaltyName:
        """The penalty by which the motion models of segments are fitted."""
        return "l1"

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class SegmentationConfig(MaskTaskConfig):
    """Motion segmentation.

    Attributes:
        objective: the loss, with the weights of its parts.
    """

    kind: Annotated[Literal["segmentation"], Suppress] = "segmentation"
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)

    @property
    def penalty(self) -> PenaltyName:
        """The penalty by which the motion models of segments are fitted: that of the loss."""
        return self.objective.penalty

    def build(
        self, data: DataConfig, load: Callable[[str], Any] | None = None
    ) -> "SegmentationTask":
        """Makes the task; arguments as in `TaskConfig.build`, no other network is loaded."""
        if self.network.num_masks < 2:
            raise InputError(
                f"network.num_masks {self.network.num_masks}: expected at least 2 to train; a "
                "single mask is the same whatever the network learns"
            )
        from jaxmotion.tasks.segmentation import SegmentationTask  # late: it needs JAX

        return SegmentationTask(
            self.network, self.motion, self.augment, data.clip_length, objective=self.objective
        )
