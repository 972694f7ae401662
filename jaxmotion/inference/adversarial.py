"""Masks of what is salient, from a network that was trained against a frame classifier (ch. 6)."""

from dataclasses import replace

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.models.trained import Trained
from jaxmotion.tasks.adversarial_config import AdversarialConfig


class SalientMasks:
    """Two masks of any flow: the rest, and what is salient. The classifier is not needed.

    Attributes:
        segmenter: the trained network, as a segmenter.
        salient: numbers of its masks that are salient.
    """

    select = "nonzero"  # how an evaluation reads the masks: all but the first are salient

    def __init__(self, segmenter: Segmenter, salient: tuple[int, ...]) -> None:
        """Puts both together."""
        self.segmenter, self.salient = segmenter, salient

    @classmethod
    def of(cls, trained: Trained) -> "SalientMasks":
        """Makes the masks of a trained network.

        Args:
            trained: the trained network, with its configuration.

        Raises:
            InputError: where it was trained for another task.
        """
        task = trained.config.task
        if not isinstance(task, AdversarialConfig):
            raise InputError(f"a network trained for {task.kind}, expected an adversarial one")
        config = replace(trained.config, task=task.segmentation())
        params = {name: leaf for name, leaf in trained.params.items() if name != "multiplier"}
        return cls(Segmenter(config, params, trained.step), task.salient)

    def __call__(self, flow: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Marks what is salient.

        Args:
            flow: `[T, H, W, 2]`, pixels per frame; any size.
            valid: `[T, H, W]` in {0, 1}, where it is known; None for everywhere.

        Returns:
            Probabilities `[T, H, W, 2]` float32 of the rest, and of what is salient.

        Raises:
            InputError: as `Segmenter`.
        """
        masks = self.segmenter(flow, valid)
        salient = masks[..., list(self.salient)].sum(axis=-1)
        return np.stack([1 - salient, salient], axis=-1)
