"""A trained network of hidden flow: from a checkpoint to fills of any flow."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmotion.data.transforms import resize_flow, resize_flow_and_valid
from jaxmotion.errors import InputError
from jaxmotion.inference.fields import checked_flow, working_size
from jaxmotion.inference.windows import ShapedFunction, each_frame_once, run_windows
from jaxmotion.models.loading import load_as
from jaxmotion.models.trained import Trained
from jaxmotion.tasks.masked_config import MaskedConfig
from jaxmotion.training.config import Config


class FlowInpainter:
    """Fills hidden flow with what trained parameters make of the rest.

    Attributes:
        config: the frozen configuration that the network was trained with.
        task: the part of the configuration that is about what is hidden.
        inference: length and overlap of its windows over a video. May be set.
        params: parameters of the network. May be set; nothing is compiled anew then.
        horizon: number of frames that a network of ``reconstruct="predictive"`` looks ahead; 0 for
            the others.
    """

    def __init__(self, config: Config, params: Any) -> None:
        """Makes an inpainter.

        Args:
            config: the configuration that the parameters belong to.
            params: parameters of the network.

        Raises:
            InputError: where the configuration is of another task.
        """
        if not isinstance(config.task, MaskedConfig):
            raise InputError(f"a network trained for {config.task.kind}, expected a masked one")
        self.config, self.task = config, config.task
        self.inference = self.task.inference
        self.params = jax.device_put(params)
        task = self.task.build(config.data)
        self.horizon = task.horizon
        self._program = ShapedFunction(
            lambda params, flow, valid: task.predict(
                {"params": params}, {"flow": flow, "valid": valid}
            )["flow"]
        )

    @classmethod
    def load(cls, path_or_name: str | Path) -> "FlowInpainter":
        """Loads a trained network, from what `Segmenter.load` takes of a segmenter.

        Args:
            path_or_name: a run's folder, a model file, or the name of a shipped model.

        Raises:
            InputError: where there is no readable network of hidden flow.
        """
        return load_as(path_or_name, cls.of)

    @classmethod
    def of(cls, trained: Trained) -> "FlowInpainter":
        """Makes the inpainter of a trained network.

        Args:
            trained: the trained network, with its configuration.

        Raises:
            InputError: where it was trained for another task.
        """
        return cls(trained.config, trained.params)

    def __call__(
        self, flow: np.ndarray, hidden: np.ndarray, valid: np.ndarray | None = None
    ) -> np.ndarray:
        """Fills the hidden part of a video's flow.

        The network works at about the number of pixels it was trained with, in the flow's own
        aspect ratio; what it finds is enlarged. One that looks ahead fills whole frames at the end
        of a video, as many as its horizon.

        Args:
            flow: `[T, H, W, 2]`, pixels per frame; any T ≥ 1, any size.
            hidden: `[T, H, W]`, above 0 where the flow is to be filled; what it holds there does
                not matter.
            valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere. What is not
                known is not seen either, and stays as it is.

        Returns:
            float32 `[T, H, W, 2]`, the flow with its hidden part filled.

        Raises:
            InputError: on another shape, vectors that are not finite where they are seen, or frames
                that the network cannot look ahead to.
        """
        flow, hidden = np.asarray(flow), np.asarray(hidden) > 0
        if hidden.shape != flow.shape[:-1]:
            raise InputError(f"hidden of shape {hidden.shape}: expected {flow.shape[:-1]}")
        known = np.ones(hidden.shape) if valid is None else np.asarray(valid)
        if known.shape != hidden.shape:
            raise InputError(f"valid of shape {known.shape}: expected {hidden.shape}")
        seen, visible = checked_flow(flow, np.where(hidden, 0, known))
        small = resize_flow_and_valid(seen, visible, self.working_size(*flow.shape[1:3]))
        found = self._ahead(*small, hidden) if self.horizon else self._within(*small)
        return np.where(hidden[..., None], resize_flow(found, flow.shape[1:3]), flow).astype(
            np.float32
        )

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """The size that the network works at for flow of a given size.

        Args:
            height: number of rows of the flow.
            width: number of columns of the flow.
        """
        data, reduction = self.config.data, self.task.network.reduction
        return working_size((height, width), (data.height, data.width), reduction)

    def _within(self, flow: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """The flow of all frames, each from the first window that has it."""
        frames = zip(flow, valid, strict=True)
        windows = run_windows(self._run, frames, self.inference, bucketed=True)
        return np.stack(list(each_frame_once(windows)))

    def _ahead(self, flow: np.ndarray, valid: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """The flow of all frames, of which those at the end are predicted."""
        count = int(hidden.any(axis=(1, 2)).sum())
        if not hidden[len(hidden) - count :].all() or count > min(self.horizon, len(flow) - 1):
            raise InputError(
                f"hidden: a network that looks ahead fills whole frames at the end of a video, "
                f"{self.horizon} at most, behind others"
            )
        if not count:
            return flow
        length = self.config.data.clip_length - self.horizon
        before = slice(max(len(flow) - count - length, 0), len(flow) - count)
        found = self._run(flow[None, before], valid[None, before])[0]
        return np.concatenate([flow[: len(flow) - count], found[:count]])

    def _run(self, flow: np.ndarray, valid: np.ndarray) -> np.ndarray:
        return self._program(self.params, flow, valid)
