"""The supervised twin of adversarial saliency: the same U-net on the same scenes, with labels.

    python benchmarks/supervised_twin.py --workdir runs/crowd_twin

It is the gold standard of thesis §5.3.3, where a supervised U-net reaches J 0.671 on another crowd.
`benchmarks/nims.py crowd --twin runs/crowd_twin` prints it beside NIMS.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import tyro
from tyro.conf import Suppress

from jaxmotion.configs import get_config
from jaxmotion.data import DataConfig
from jaxmotion.data.augmentation import known_only
from jaxmotion.experiments.experiment import run_experiment
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.tasks.config import TaskConfig
from jaxmotion.tasks.kinds import register_task
from jaxmotion.tasks.segmentation import SegmentationTask
from jaxmotion.tasks.segmentation_config import SegmentationConfig
from jaxmotion.tasks.task import Batch, Output, Task, Variables
from jaxmotion.training.config import Config

NETWORK = NetworkConfig(input="raw_and_residual", threshold_start=1.0)


@register_task
@dataclass(frozen=True)
class SupervisedConfig(TaskConfig):
    """What moves, learned from labels.

    Attributes:
        network: architecture of the segmenter.
    """

    kind: Annotated[Literal["supervised"], Suppress] = "supervised"
    network: NetworkConfig = field(default_factory=lambda: NETWORK)

    def build(self, data: DataConfig, load: Callable[[str], Any] | None = None) -> "SupervisedTask":
        """Makes the task; arguments as in `TaskConfig.build`."""
        return SupervisedTask(SegmentationConfig(network=self.network).build(data))


@dataclass(frozen=True)
class SupervisedTask(Task):
    """Trains a segmenter of two masks on labels: cross entropy, and one minus the J of the batch.

    Attributes:
        segmenter: the segmenter, a task of its own.
    """

    segmenter: SegmentationTask

    @property
    def spec(self) -> Mapping[str, str]:
        """Flow, where it is known, and labels."""
        return {**self.segmenter.spec, "labels": "B T H W"}

    def init(self, key: jax.Array, batch: Batch) -> Variables:
        """Draws fresh parameters."""
        return self.segmenter.init(key, batch)

    def loss(
        self, variables: Variables, batch: Batch, *, step: jax.Array, key: jax.Array | None
    ) -> Output:
        """Computes the loss of each clip; arguments as in `Task.loss`."""
        flow, valid = known_only(batch["flow"], batch["valid"])
        truth = (batch["labels"] > 0).astype(jnp.float32)
        seen = self.segmenter.observe({"flow": flow, "valid": valid})
        moving = jnp.clip(self.segmenter.masks(variables["params"], seen)[..., 1], 1e-6, 1 - 1e-6)
        entropy = -truth * jnp.log(moving) - (1 - truth) * jnp.log1p(-moving)
        overlap = jnp.sum(moving * truth) / (jnp.sum(moving + truth - moving * truth) + 1)
        return Output(jnp.mean(entropy, axis=(1, 2, 3)) + 0.1 * (1 - overlap))


@dataclass(frozen=True)
class Options:
    """Trains the twin.

    Attributes:
        workdir: folder of the run.
        steps: number of training steps.
    """

    workdir: Path
    steps: int = 600


def main(options: Options) -> None:
    """Trains."""
    base = get_config("adversarial")
    config: Config = dataclasses.replace(base, task=SupervisedConfig(), steps=options.steps)
    print(run_experiment(config, options.workdir))


if __name__ == "__main__":
    main(tyro.cli(Options))
