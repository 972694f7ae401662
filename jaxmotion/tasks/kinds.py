"""The tasks by their names: what a configuration, a run's folder or a model file may hold."""

from typing import TypeVar

from jaxmotion.tasks.adversarial_config import AdversarialConfig
from jaxmotion.tasks.classification_config import ClassificationConfig
from jaxmotion.tasks.config import TaskConfig
from jaxmotion.tasks.events_config import EventsConfig
from jaxmotion.tasks.foreground_config import ForegroundConfig
from jaxmotion.tasks.instances_config import InstancesConfig
from jaxmotion.tasks.masked_config import MaskedConfig
from jaxmotion.tasks.segmentation_config import SegmentationConfig
from jaxmotion.tasks.soflow_config import SoFlowTaskConfig

C = TypeVar("C", bound=type[TaskConfig])

# The first is the task of runs and files from before there were several.
TASKS: dict[str, type[TaskConfig]] = {
    "segmentation": SegmentationConfig,
    "classification": ClassificationConfig,
    "adversarial": AdversarialConfig,
    "foreground": ForegroundConfig,
    "instances": InstancesConfig,
    "masked": MaskedConfig,
    "events": EventsConfig,
    "soflow": SoFlowTaskConfig,
}


def register_task(config: C) -> C:
    """Registers the configuration of a task under its ``kind``; a class decorator.

    Args:
        config: the frozen dataclass. Only this process knows it: files that name it can be read
            only where the module that defines it was imported.

    Returns:
        The same class.

    Raises:
        ValueError: where another class has that name.
    """
    if TASKS.setdefault(config.kind, config) is not config:
        raise ValueError(f"there is a task {config.kind!r} already: {TASKS[config.kind].__name__}")
    return config
