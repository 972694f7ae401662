"""The configuration of instances: embedding, loss, clustering, augmentation, windows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tyro.conf import Suppress

from jaxmotion.data.config import AugmentConfig, DataConfig
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.embeddings.modes import Mode, Rule
from jaxmotion.errors import InputError
from jaxmotion.networks.config import NetworkConfig, Width, check_makes_no_masks
from jaxmotion.options import (
    Count,
    CountOrZero,
    Meta,
    NotNegative,
    Positive,
    Share,
    check_fields,
)
from jaxmotion.tasks.config import TaskConfig

if TYPE_CHECKING:
    from jaxmotion.tasks.instances import InstancesTask


@dataclass(frozen=True)
class EmbeddingConfig:
    """The vector of a pixel.

    Attributes:
        mode: channels of the vector: place (xy), time (t), free ones (f).
        free_std: standard deviation of the free channels, which is the same for all objects.
        time_scale: greatest coordinate of time, in half sides of a frame.
        decoder: what is between the backbone and the vector: ``"linear"``, nothing but a linear
            map of each pixel's features; ``"squeeze_expand"``, the published decoder, for clips and
            windows of 2, 4, 8, 16, 24 or 32 frames that no devices share.
        decoder_widths: channels of the branches of the published decoder, coarsest first, multiples
            of 32.
    """

    mode: Mode = "xyff"
    free_std: Positive = 0.3
    time_scale: Positive = 1.0
    decoder: Literal["linear", "squeeze_expand"] = "linear"
    decoder_widths: tuple[Width, Width, Width, Width] = (256, 256, 128, 128)

    def __post_init__(self) -> None:
        check_fields(self, "embedding")
        if any(width % 32 for width in self.decoder_widths):
            raise InputError(
                f"embedding.decoder_widths {self.decoder_widths}: expected multiples of 32"
            )


@dataclass(frozen=True)
class InstanceLossConfig:
    """The loss, as weights of its parts.

    Attributes:
        lovasz_weight: weight of the Lovász hinge of each object's Gaussian.
        smoothness_weight: weight of how far the bandwidth differs within an object.
        seediness_weight: weight of how far the seed is from the Gaussian's probability.
        bins: number of bins of the histogram that the Lovász hinge is computed from; 0 sorts the
            pixels, which is exact and slower.
        most_instances: largest label of a clip that is looked at.
    """

    lovasz_weight: NotNegative = 1.0
    smoothness_weight: NotNegative = 10.0
    seediness_weight: NotNegative = 1.0
    bins: CountOrZero = 1024
    most_instances: Annotated[int, Meta(ge=1, le=1_000)] = 5

    def __post_init__(self) -> None:
        check_fields(self, "objective")


@dataclass(frozen=True)
class ClusteringConfig:
    """From embeddings to objects.

    Attributes:
        least_seed: seediness above which a pixel may belong to an object.
        min_seed: least seediness from which an object is grown.
        primary: least probability of a pixel of an object.
        secondary: least probability of a pixel that no object has taken.
        max_instances: greatest number of objects of a window.
        covered: share of what an object would take that others may have taken; above it, it is the
            rim of one of them. 1 for the rule as published.
        rule: rule of clustering, that of the paper or that of the released code.
    """

    least_seed: Share = 0.25
    min_seed: Share = 0.8
    primary: Share = 0.5
    secondary: Share = 0.3
    max_instances: Annotated[int, Meta(ge=1, le=1_000)] = 20
    covered: Share = 0.7
    rule: Rule = "paper"

    def __post_init__(self) -> None:
        check_fields(self, "clustering")


@dataclass(frozen=True)
class InstancesConfig(TaskConfig):
    """Instances: the objects of a clip, however many.

    Attributes:
        network: architecture of the backbone. What it says of masks has to stay as it is.
        embedding: channels of the embedding.
        objective: the loss, as weights of its parts.
        clustering: thresholds that make objects of embeddings, in validation and prediction.
        augment: random changes of a training clip.
        inference: length and overlap of the windows of a trained network over a video.
        most_tracks: greatest number of tracks of a video; of more the longest are kept.
    """

    kind: Annotated[Literal["instances"], Suppress] = "instances"
    network: NetworkConfig = field(
        default_factory=lambda: NetworkConfig(kernel=(3, 3, 3), norm_frames=8)
    )
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    objective: InstanceLossConfig = field(default_factory=InstanceLossConfig)
    clustering: ClusteringConfig = field(default_factory=ClusteringConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    inference: InferenceConfig = field(default_factory=lambda: InferenceConfig(window=8, overlap=3))
    most_tracks: Count = 20

    changeable: ClassVar[tuple[str, ...]] = (
        "network.remat",
        "network.compute_dtype",
        "clustering",
        "inference",
        "most_tracks",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        check_makes_no_masks(self.network, "a network of instances")

    def build(self, data: DataConfig, load: Callable[[str], Any] | None = None) -> "InstancesTask":
        """Makes the task; arguments as in `TaskConfig.build`, no other network is loaded."""
        from jaxmotion.tasks.instances import InstancesTask  # late: it needs JAX

        return InstancesTask(self, data.clip_length)
