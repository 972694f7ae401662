"""The flow that a data set is built with: the configurations, one for each estimator."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import tensorflow_datasets as tfds


@dataclasses.dataclass(kw_only=True)
class FlowConfig(tfds.core.BuilderConfig):
    """Origin of the flow of a data set.

    Attributes:
        estimator: name of the estimator in `jaxmotion.optical_flow.ESTIMATORS`, or None for flow
            from files.
        size: `(height, width)` of the flow, resized without rescaling the vectors; that of the
            files or of the frames when None.
    """

    estimator: str | None = None
    size: tuple[int, int] | None = None


THESIS_SIZE = (128, 224)
FLOW_CONFIGS = [
    FlowConfig(name="files", description="Flow read from Flows/NAME of the archive's root."),
    *(
        FlowConfig(
            name=name,
            estimator=name,
            size=THESIS_SIZE,
            description=f"Flow by {title} on the original frames, then resized to 128x224.",
        )
        for name, title in (
            ("dis", "dense inverse search (DIS)"),
            ("raft", "RAFT (large)"),
            ("raft_small", "RAFT (small)"),
        )
    ),
]


@dataclass(frozen=True)
class FlowOptions:
    """Options that a configuration leaves open, because they are a matter of the user's files.

    Attributes:
        flow_name: name of the folder of flow, NAME of `Flows/NAME`, where there is more than one.
        weights: file of the weights of an estimator that is a network.
        iterations: number of times that such a network improves its flow; its own choice when None.
    """

    flow_name: str | None = None
    weights: Path | None = None
    iterations: int | None = None
