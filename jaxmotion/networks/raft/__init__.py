"""RAFT: optical flow by iterated lookup in correlations.

`network` is the large and the small network, made of `encoder`, `correlation` (all pairs, or on
demand for large frames), `update` and `upsampling`.
"""

from jaxmotion.networks.raft.network import LARGE, RAFT, SMALL, Architecture

__all__ = ["LARGE", "RAFT", "SMALL", "Architecture"]
