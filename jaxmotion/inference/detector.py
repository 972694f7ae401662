"""A trained frame classifier over a video: its answers, and what they come from."""

from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.data.transforms import resize_flow_and_valid
from jaxmotion.errors import InputError
from jaxmotion.inference.fields import checked_flow, working_size
from jaxmotion.models.loading import load_as
from jaxmotion.models.trained import Trained
from jaxmotion.saliency.attribution import Method, attribute
from jaxmotion.tasks.classification_config import ClassificationConfig
from jaxmotion.training.config import Config

_AT_ONCE = 8  # frames of one call of a compiled program


class Evidence(NamedTuple):
    """What a classifier says of the frames of a video, and why.

    Attributes:
        logits: `[T]`; above 0 something moves on its own.
        relevance: `[T, H, W]`, the part of each pixel in the logit (`attribution`).
        lost: `[T]`, the part of the logit that no pixel has.
    """

    logits: np.ndarray
    relevance: np.ndarray
    lost: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """The probability of each frame that something moves on its own, `[T]`."""
        return 1 / (1 + np.exp(-np.clip(self.logits, -60, 60)))


class FrameDetector:
    """Tells of each frame whether anything moves on its own in it, and where that shows.

    Attributes:
        config: the configuration that the classifier was trained with.
        params: parameters of the classifier.
    """

    def __init__(self, config: Config, params: Any) -> None:
        """Makes a detector.

        Args:
            config: the configuration that the parameters belong to.
            params: parameters of the classifier.

        Raises:
            InputError: where the configuration is of another task.
        """
        if not isinstance(config.task, ClassificationConfig):
            raise InputError(
                f"a network trained for {config.task.kind}, expected one that classifies frames"
            )
        self.config, self.params = config, jax.device_put(params)
        self._task = config.task.build(config.data)
        self._explained: dict[str, Any] = {}

    @classmethod
    def load(cls, path_or_name: str | Path) -> "FrameDetector":
        """Loads a trained classifier, from what `Segmenter.load` takes of a segmenter.

        Args:
            path_or_name: a run's folder, a model file, or the name of a shipped model.

        Raises:
            InputError: where there is no readable classifier.
        """
        return load_as(path_or_name, cls.of)

    @classmethod
    def of(cls, trained: Trained) -> "FrameDetector":
        """Makes the detector of a trained network.

        Args:
            trained: the trained network, with its configuration.

        Raises:
            InputError: where it was trained for another task.
        """
        return cls(trained.config, trained.params)

    @property
    def least_area(self) -> float:
        """The share of a frame that what moves covers at least, in what it was trained to find."""
        return self._task.least_area

    def randomized(self, seed: int = 0) -> "FrameDetector":
        """The same network with fresh parameters, whose logits are above zero.

        What its relevance chooses needs no training (the randomization test, thesis fig. 5.6).

        Args:
            seed: seed of the parameters.
        """
        clip = {"flow": jnp.zeros((1, 1, self.config.data.height, self.config.data.width, 2))}
        params = dict(self._task.init(jax.random.key(seed), clip)["params"])
        dense = params["Dense_0"]
        params["Dense_0"] = {"kernel": jnp.abs(dense["kernel"]), "bias": dense["bias"] + 10}
        return FrameDetector(self.config, params)

    def __call__(
        self, flow: np.ndarray, valid: np.ndarray | None = None, method: Method = "lrp"
    ) -> Evidence:
        """Looks at the frames of a video, each by itself.

        Args:
            flow: `[T, H, W, 2]`, pixels per frame; any size. The classifier works at about the
                number of pixels it was trained with.
            valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere.
            method: method of the attribution.

        Returns:
            The `Evidence`, its relevance at the size of the flow.

        Raises:
            InputError: on another shape, or vectors that are not finite where they are valid.
        """
        flow, known = checked_flow(flow, valid)
        size = self.working_size(*flow.shape[1:3])
        small, small_known = resize_flow_and_valid(flow, known, size)
        logits, pixels, lost = _in_parts(self._explain(method), self.params, small, small_known)
        shape = flow.shape[2:0:-1]
        relevance = [cv2.resize(p, shape, interpolation=cv2.INTER_LINEAR) for p in pixels]
        return Evidence(logits, np.stack(relevance) * (known > 0), lost)

    def logits(self, flow: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Gives the logits `[T]` alone, in less time; arguments and errors as of a call."""
        flow, known = checked_flow(flow, valid)
        size = self.working_size(*flow.shape[1:3])
        return _in_parts(self._judge, self.params, *resize_flow_and_valid(flow, known, size))[0]

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """The size that the classifier works at for flow of a given size.

        Args:
            height: number of rows of the flow.
            width: number of columns of the flow.
        """
        data, widths = self.config.data, self._task.network.widths
        reduction = 2 ** len(widths)
        rows, columns = working_size((height, width), (data.height, data.width), reduction)
        return -(-rows // reduction) * reduction, -(-columns // reduction) * reduction

    @cached_property
    def _judge(self) -> Any:
        return jax.jit(lambda *frames: (self._task.logits(*frames),))

    def _explain(self, method: Method) -> Any:
        if method not in self._explained:

            @jax.jit
            def explain(params: Any, flow: jax.Array, valid: jax.Array) -> tuple[jax.Array, ...]:
                features, known = self._task.features(flow, valid)
                module = self._task.module
                found = attribute(
                    lambda x: module.apply({"params": params}, x, known),  # pyright: ignore
                    features,
                    method,
                    known=known,
                )
                return found.logits, found.pixels, found.lost

            self._explained[method] = explain
        return self._explained[method]


def _in_parts(
    program: Any, params: Any, flow: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, ...]:
    """What a program of a few frames `[B, 1, ...]` gives for all of them, `[T, ...]` each."""
    parts = []
    for start in range(0, len(flow), _AT_ONCE):
        missing = max(start + _AT_ONCE - len(flow), 0)
        fields, where = (
            np.pad(array[start : start + _AT_ONCE], [(0, missing)] + [(0, 0)] * (array.ndim - 1))
            for array in (flow, known)
        )
        found = program(params, fields[:, None], where[:, None])
        parts.append([np.asarray(array)[: _AT_ONCE - missing, 0] for array in found])
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
