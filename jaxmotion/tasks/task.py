"""The interface of a task to the trainer, which knows nothing else of any method."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np

from jaxmotion.tasks.fields import same_shapes

Params = Any
"""A pytree of float32 arrays."""

Variables = Mapping[str, Any]
"""Collections by name, each a tree of dictionaries: ``params``, which the optimizer moves, and
whatever else a task keeps."""

Batch = Mapping[str, jax.Array]
"""The fields of a batch on the devices, by name, with the axes that `Task.spec` gives them."""


class Output(NamedTuple):
    """The result of `Task.loss`. Nothing is reduced over the clips; the trainer does that.

    Attributes:
        loss: `[B]`, the loss of each clip.
        weight: `[B]`, weight of each clip in the mean of the losses; None for 1 each.
        metrics: sum and count by name, each `[B]`, or a number for the whole batch. What is logged
            is the total of the sums divided by the total of the counts, over all parts of a batch
            and all devices, without the clips that only fill a batch up.
        state: new values of whole collections other than ``params``; None where nothing changes.
            Ignored in validation.
    """

    loss: jax.Array
    weight: jax.Array | None = None
    metrics: Mapping[str, tuple[Any, Any]] | None = None
    state: Mapping[str, Any] | None = None


class Criterion(NamedTuple):
    """The measure by which the parameters of a run that are kept are chosen.

    Attributes:
        metric: ``"loss"``, or the name of a metric of `Output`, in validation.
        higher_is_better: whether the largest value is kept, and not the smallest.
    """

    metric: str = "loss"
    higher_is_better: bool = False


class Task(ABC):
    """A network and its loss. Every method is pure; all but `picture` run under jit."""

    criterion: ClassVar[Criterion] = Criterion()
    """The measure by which the parameters that are kept are chosen."""

    needs_average: ClassVar[bool] = False
    """Whether `loss` wants the moving average of the parameters, as the collection ``average``."""

    @property
    @abstractmethod
    def spec(self) -> Mapping[str, str]:
        """The fields that a batch must have, and their axes.

        ``{"flow": "B T H W 2", "label": "B"}``: clips ``B`` come first and are divided over the
        devices, frames ``T`` may be divided too and are then padded by zeros, a number is a size,
        and any other name is one size wherever it stands.
        """

    @abstractmethod
    def init(self, key: jax.Array, batch: Batch) -> Variables:
        """Fresh variables for batches of this shape.

        Args:
            key: randomness of the parameters.
            batch: the clips. What a run has trained is checked with a single clip of one frame, so
                the shapes of the variables may follow from no size but H and W, and from those that
                `spec` gives as numbers.
        """

    @abstractmethod
    def loss(
        self, variables: Variables, batch: Batch, *, step: jax.Array, key: jax.Array | None
    ) -> Output:
        """The loss of each clip, and what is worth watching beside it.

        Args:
            variables: collections by name, as `init` gave them or as training changed them.
            batch: the clips, by field.
            step: number of the training step, for schedules of the loss.
            key: randomness of augmentation and noise; None in validation, which uses neither.
        """

    def predict(self, variables: Variables, batch: Batch) -> Mapping[str, jax.Array]:
        """Applies the network to clips.

        Args:
            variables: collections by name, as in `loss`.
            batch: the clips, by field.

        Returns:
            Arrays by name, as the task has them.
        """
        raise NotImplementedError(f"{type(self).__name__} has no predictions")

    def picture(self, variables: Variables, batch: Batch) -> np.ndarray | None:
        """A picture `[H, W, 3]` uint8 of what the network makes of clips; None for none.

        Args:
            variables: collections by name, as in `loss`.
            batch: the clips, by field.
        """
        return None

    def transfer(self, fresh: Variables, trained: Variables) -> tuple[Variables, str]:
        """Variables of a new run, taken from a trained network.

        By default everything is taken, and all shapes must be equal.

        Args:
            fresh: fresh variables of the new network, from `init`.
            trained: the variables of the other network.

        Returns:
            Variables like ``fresh``, and a line for the user that says what was taken.

        Raises:
            InputError: where the two networks do not fit together.
        """
        same_shapes(fresh, trained)
        return jax.tree.map(lambda _, leaf: leaf, dict(fresh), dict(trained)), "taken: everything"
