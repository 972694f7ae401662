"""The configuration of events that are learned: network, loss, changes of clips, windows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tyro.conf import Suppress

from jaxmotion.data.config import DataConfig
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.networks.event_head_config import EventHeadConfig
from jaxmotion.options import NotNegative, Positive, Share, check_fields
from jaxmotion.tasks.config import TaskConfig

if TYPE_CHECKING:
    from jaxmotion.tasks.events import EventsTask


@dataclass(frozen=True)
class EventChangesConfig:
    """Random changes of the numbers of a track. What it does stays, or changes with them.

    Attributes:
        reverse: share of the clips that run backward: who enters leaves.
        turn: whether ways are turned by any angle, and mirrored.
        noise: greatest standard deviation of what is added to the numbers.
        lost: greatest share of frames in which the track is not seen.
    """

    reverse: Share = 0.5
    turn: bool = True
    noise: NotNegative = 0.2
    lost: Share = 0.1

    def __post_init__(self) -> None:
        check_fields(self, "changes")


@dataclass(frozen=True)
class EventsConfig(TaskConfig):
    """Events of tracks: what each does, and when.

    Attributes:
        network: sizes of the network.
        span_weight: weight of the ends of the events in the loss.
        radius: distance from the middle of an event within which places learn to propose it, in
            places of their level.
        changes: random changes of a training clip.
        inference: length and overlap of the windows of a trained network over a video.
    """

    kind: Annotated[Literal["events"], Suppress] = "events"
    network: EventHeadConfig = field(default_factory=EventHeadConfig)
    span_weight: NotNegative = 1.0
    radius: Positive = 1.5
    changes: EventChangesConfig = field(default_factory=EventChangesConfig)
    inference: InferenceConfig = field(
        default_factory=lambda: InferenceConfig(window=512, overlap=128, linking="none")
    )

    changeable: ClassVar[tuple[str, ...]] = ("inference",)

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.inference.window:
            raise InputError("inference.window 0: expected windows of at least 1 frame")

    def build(self, data: DataConfig, load: Callable[[str], Any] | None = None) -> "EventsTask":
        """Makes the task; arguments as in `TaskConfig.build`, no other network is loaded."""
        from jaxmotion.tasks.events import EventsTask  # late: it needs JAX

        return EventsTask(self, data.clip_length)
