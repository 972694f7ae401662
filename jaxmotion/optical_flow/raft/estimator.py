"""RAFT as an estimator of `make_estimator`: a weight file, and two frames to flow."""

import functools
import hashlib
import os
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.files import reading
from jaxmotion.networks.raft.correlation import pyramid_bytes
from jaxmotion.networks.raft.network import CORRELATIONS, LARGE, RAFT, SMALL, Correlation
from jaxmotion.optical_flow.raft.official import default_weights
from jaxmotion.optical_flow.raft.weights import load_weights

ARCHITECTURES = {"raft": LARGE, "raft_small": SMALL}

# Correlations of all pairs of one pair of frames that "auto" still keeps in memory: those of
# 1280 x 720 pixels take 1.1 GB, those of 1920 x 1080 take 5.6 GB.
LARGEST_ALL_PAIRS = 2_000_000_000


class RAFTEstimator:
    """RAFT with the weights of a file; compiled once for each size of frames.

    Attributes:
        name: name of the estimator, "raft" (the large network) or "raft_small".
        iterations: number of times that the flow is improved.
        correlation: way to correlate, "all_pairs", "on_demand", or "auto", which takes the first
            while it fits in 2 GB. All give the same flow.
    """

    def __init__(
        self,
        name: str,
        weights: str | os.PathLike | None = None,
        iterations: int = 20,
        correlation: Literal["auto", "all_pairs", "on_demand"] = "auto",
    ):
        """Loads the weights.

        Args:
            name: name of the estimator, "raft" or "raft_small".
            weights: file of weights that `load_weights` reads, `.pth`, `.npz` or `.safetensors`.
            iterations: number of times that the flow is improved, at least 1.
            correlation: way to correlate, "all_pairs", "on_demand" or "auto".

        Raises:
            InputError: no weights, weights of another network, or a wrong setting.
        """
        if iterations < 1:
            raise InputError(f"iterations {iterations}: expected at least 1")
        choices = ("auto", *CORRELATIONS)
        if correlation not in choices:
            raise InputError(f"correlation {correlation!r}: expected one of {', '.join(choices)}")
        if weights is None:
            raise InputError(
                f"estimator {name} needs weights: get the official ones with "
                f"`jaxmotion weights fetch {default_weights(name).name}` or --download, or give a "
                "file, --weights FILE; nothing is downloaded by itself"
            )
        self.name, self.iterations = name, iterations
        self.correlation: Literal["auto", "all_pairs", "on_demand"] = correlation
        self.weights = Path(weights)
        self.variables = jax.device_put(load_weights(weights, ARCHITECTURES[name]))
        with reading(weights), open(weights, "rb") as file:
            self.weights_hash = hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def settings(self) -> dict[str, Any]:
        """File and SHA-256 of the weights, and the number of iterations."""
        return {
            "weights": self.weights.name,
            "weights_sha256": self.weights_hash,
            "iterations": self.iterations,
        }

    def network(self, height: int, width: int) -> RAFT:
        """The network for frames of a size; the choice of "auto" depends on it.

        Args:
            height: number of rows of the frames.
            width: number of columns of the frames.
        """
        fits = pyramid_bytes(height, width) <= LARGEST_ALL_PAIRS
        auto: Correlation = "all_pairs" if fits else "on_demand"
        correlation = auto if self.correlation == "auto" else self.correlation
        return RAFT(ARCHITECTURES[self.name], correlation)

    def __call__(self, image0: np.ndarray, image1: np.ndarray) -> np.ndarray:
        """Estimates the flow from `image0` to `image1`, both uint8 `[H, W, 3]`."""
        if image0.shape != image1.shape:
            raise InputError(f"frames of {image0.shape} and {image1.shape}, expected one size")
        network = self.network(*image0.shape[:2])
        images = (image0[None], image1[None])
        return np.asarray(_estimate(network, self.iterations, self.variables, *images))[0]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _estimate(
    network: RAFT, iterations: int, variables: Any, image0: jax.Array, image1: jax.Array
) -> Any:
    return network.apply(variables, image0, image1, iterations)
