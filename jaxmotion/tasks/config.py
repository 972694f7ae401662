"""The configuration of a task, of whatever method: an option of a command, so without JAX."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from jaxmotion.data.config import DataConfig

if TYPE_CHECKING:
    from jaxmotion.tasks.task import Task


class TaskConfig(ABC):
    """The configuration of a task: a frozen dataclass with a field ``kind``, and `build`.

    The task itself needs JAX. For a command line to be answered without, a configuration stands in
    a module of its own, and `build` imports the task.

    ``kind: Annotated[Literal["NAME"], Suppress] = "NAME"`` names it in the file of a run;
    `tasks.kinds.register_task` makes that name known. On the command line its other fields stand
    among those of `Config`, whose names they must not take.

    Attributes:
        kind: name of the task.
        changeable: fields that may differ when a run is continued (``"network.remat"``).
    """

    kind: str
    changeable: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self, data: DataConfig, load: Callable[[str], Any] | None = None) -> "Task":
        """Makes the task.

        Args:
            data: the clips that it is trained on.
            load: loads another trained network (`models.trained.Trained`) that the loss uses, by
                its path or name, which becomes part of the run; None where the task is only to
                predict.

        Raises:
            InputError: on a configuration that describes no network.
        """
