"""RAFT, optical flow by iterated lookup in correlations, in Flax; with its published weights.

`network` is the large and the small network, made of `encoder`, `correlation` (all pairs, or on
demand for large frames), `update` and `upsampling`. `weights` fills it from a file that `tensors`
reads (`.pth`, `.npz`, `.safetensors`; PyTorch's by `torch_files`, which runs no code of theirs).
`estimator` is what `make_estimator` makes of it.
"""

from jaxmotion.optical_flow.raft.estimator import RAFTEstimator
from jaxmotion.optical_flow.raft.network import LARGE, RAFT, SMALL, Architecture
from jaxmotion.optical_flow.raft.tensors import read_tensors
from jaxmotion.optical_flow.raft.weights import load_weights

__all__ = [
    "LARGE",
    "RAFT",
    "SMALL",
    "Architecture",
    "RAFTEstimator",
    "load_weights",
    "read_tensors",
]
