"""RAFT as an estimator, with its published weights.

`weights` fills the network (`jaxmotion.networks.raft`) from a file that `tensors` reads (`.pth`,
`.npz`, `.safetensors`; PyTorch's by `torch_files`, which runs no code of theirs). `estimator` is
what `make_estimator` makes of it.
"""

from jaxmotion.optical_flow.raft.estimator import RAFTEstimator
from jaxmotion.optical_flow.raft.tensors import read_tensors
from jaxmotion.optical_flow.raft.weights import load_weights

__all__ = ["RAFTEstimator", "load_weights", "read_tensors"]
