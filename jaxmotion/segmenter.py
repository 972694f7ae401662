"""A trained segmenter: from a checkpoint to masks of any flow."""

import math
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from jaxmotion.data.transforms import resize_flow_and_valid, resize_masks
from jaxmotion.errors import InputError
from jaxmotion.motion import fit
from jaxmotion.networks import Segmentation, build_segmenter
from jaxmotion.training.checkpoints import load_best
from jaxmotion.training.config import Config, from_json

_FRAMES_AT_ONCE = 8


class Segmenter:
    """Segments flow with trained parameters.

    Attributes:
        config: the frozen configuration it was trained with.
        step: the training step of the parameters.
    """

    def __init__(self, config: Config, params: Any, step: int = 0) -> None:
        """Makes a segmenter.

        Args:
            config: the configuration that the parameters belong to.
            params: parameters of its network.
            step: where in training they are from.
        """
        self.config = config
        self.step = step
        self._params = params

    @classmethod
    def load(cls, path_or_name: str | Path) -> "Segmenter":
        """Loads the best parameters of a run.

        Args:
            path_or_name: the folder that ``train.py`` wrote, or its ``best`` folder.

        Raises:
            InputError: where there is no readable checkpoint of a segmenter.
        """
        path = Path(path_or_name)
        if not path.exists():
            raise InputError(
                f"no checkpoint {str(path_or_name)!r}: expected the folder of a training run; "
                "`python train.py` trains a first one into runs/quickstart"
            )
        while path.name and not (path / "best").is_dir() and "best" in path.parts:
            path = path.parent
        params, values, step = load_best(path)
        config = from_json(Config, values)
        _check_params(path, config, params)
        return cls(config, params, step)

    def __call__(self, flow: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Segments a video's flow.

        Args:
            flow: ``[T, H, W, 2]``, pixels per frame; any T ≥ 1, any size. The network works at
                about the number of pixels it was trained with, in the flow's own aspect ratio.
            valid: ``[T, H, W]`` in {0, 1}, where the flow is known; everywhere by default.

        Returns:
            Masks ``[T, H, W, K]`` float32 that sum to 1 over K, at the flow's size.

        Raises:
            InputError: on another shape, or vectors that are not finite where they are valid.
        """
        flow, valid = _checked(flow, valid)
        size = flow.shape[1:3]
        flow, valid = resize_flow_and_valid(flow, valid, self.working_size(*size))
        return resize_masks(_in_groups(partial(self._masks, self._params), flow, valid), size)

    def motions(self, flow: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """The motion models of the segments, fitted as in training.

        Args:
            flow: ``[T, H, W, 2]``.
            masks: ``[T, H, W, K]``, as this segmenter gives them.

        Returns:
            theta ``[T, K, P]`` of the configuration's `MotionModel`, in px per frame over
            coordinates from -1 to 1.
        """
        return _in_groups(self._motions, np.asarray(flow, np.float32), masks)

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """The size the network works at for flow of a given size.

        Args:
            height: rows of the flow.
            width: its columns.

        Returns:
            ``(rows, columns)``: the flow's own size where training had it, else the same aspect
            ratio with about as many pixels as in training.
        """
        data, network = self.config.data, self.config.network
        if (height, width) == (data.height, data.width):
            return height, width
        multiple = network.stem * 2 ** (len(network.widths) - 1)
        scale = math.sqrt(data.height * data.width / (height * width))
        rows, columns = (
            max(multiple, round(side * scale / multiple) * multiple) for side in (height, width)
        )
        return rows, columns

    @cached_property
    def _masks(self) -> Callable[[Any, np.ndarray, np.ndarray], jax.Array]:
        module = build_segmenter(self.config.network)

        @jax.jit
        def masks(params: Any, flow: jax.Array, valid: jax.Array) -> jax.Array:
            output = module.apply({"params": params}, flow[:, None], valid[:, None])
            return cast(Segmentation, output).masks[:, 0]

        return masks

    @cached_property
    def _motions(self) -> Callable[[np.ndarray, np.ndarray], jax.Array]:
        model, penalty = self.config.motion, self.config.objective.penalty
        return jax.jit(
            lambda flow, masks: fit(flow[:, None], masks[:, None], model, penalty=penalty)
        )


def _in_groups(function: Callable[..., jax.Array], *arrays: np.ndarray) -> np.ndarray:
    """Applies a function of frames to a few at a time.

    The last group is filled up with zeros, so that one compiled program serves all.
    """
    results = []
    for start in range(0, len(arrays[0]), _FRAMES_AT_ONCE):
        group = [array[start : start + _FRAMES_AT_ONCE] for array in arrays]
        count = len(group[0])
        filled = [
            np.pad(a, [(0, _FRAMES_AT_ONCE - count)] + [(0, 0)] * (a.ndim - 1)) for a in group
        ]
        results.append(np.asarray(function(*filled))[:count])
    return np.concatenate(results)


def _check_params(path: Path, config: Config, params: Any) -> None:
    """A network that has changed since, or a damaged checkpoint, shows here and not in a layer."""
    clip = jax.ShapeDtypeStruct((1, 1, config.data.height, config.data.width, 2), np.float32)
    init = build_segmenter(config.network).init
    expected = jax.eval_shape(init, jax.random.key(0), clip)["params"]
    shapes, wanted = (
        {jax.tree_util.keystr(k): leaf.shape for k, leaf in jax.tree.leaves_with_path(tree)}
        for tree in (params, expected)
    )
    different = sorted(
        name for name in shapes.keys() | wanted.keys() if shapes.get(name) != wanted.get(name)
    )
    if different:
        name = different[0]
        raise InputError(
            f"{path}: holds parameters of another network; {name} has shape {shapes.get(name)}, "
            f"expected {wanted.get(name)}"
        )


def _checked(flow: np.ndarray, valid: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    flow = np.asarray(flow, np.float32)
    if flow.ndim != 4 or flow.shape[-1] != 2 or 0 in flow.shape:
        raise InputError(f"flow of shape {flow.shape}: expected [T, H, W, 2]")
    if valid is None:
        valid = np.ones(flow.shape[:3], np.float32)
    elif valid.shape != flow.shape[:3]:
        raise InputError(f"valid of shape {valid.shape}: expected {flow.shape[:3]} as the flow")
    known = valid > 0
    if not np.isfinite(flow[known]).all():
        raise InputError("flow holds vectors that are not finite; `valid` can mark them unknown")
    return np.where(known[..., None], flow, 0), known.astype(np.float32)
