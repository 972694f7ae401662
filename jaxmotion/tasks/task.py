"""What the trainer asks of a task; it knows nothing else of any method."""

from collections.abc import Mapping
from typing import Any, Protocol

import jax
import numpy as np

Params = Any
"""A pytree of float32 arrays."""

Batch = Mapping[str, jax.Array]
"""Arrays that share their leading axis, the clips of a batch."""


class Task(Protocol):
    """A network and its loss. Every method is pure; `init` and `loss` run under jit."""

    def init(self, key: jax.Array, batch: Batch) -> Params:
        """Fresh parameters for batches of this shape."""
        ...

    def loss(
        self, params: Params, batch: Batch, step: jax.Array, key: jax.Array | None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The loss of each clip, and what is worth watching beside it.

        Args:
            params: what `init` gave.
            batch: the clips.
            step: training step, for schedules of the loss.
            key: randomness of augmentation and noise; None in validation, which uses neither.

        Returns:
            Loss ``[B]`` and named scalars.
        """
        ...

    def picture(self, params: Params, batch: Batch) -> np.ndarray:
        """A picture ``[H, W, 3]`` uint8 of what the parameters make of the clips."""
        ...
