"""Embeddings of pixels that part a clip into instances, however many there are (STEm-Seg).

A network gives each pixel of a clip a vector, and those of one object, in all frames, lie close
together. `mixing` puts place and time into the vectors, `gaussians` makes one Gaussian of each
object, `clustering` finds the objects without a ground truth, and `tracks` joins those of windows
that follow each other. The losses that train such a network are `jaxmotion.losses.embeddings`.

References:
    Athar et al., STEm-Seg: Spatio-temporal Embeddings for Instance Segmentation in Videos, 2020
    (arXiv:2003.08429).
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxmotion.embeddings.clustering import Clusters, cluster
    from jaxmotion.embeddings.gaussians import Gaussians, instance_gaussians, probabilities
    from jaxmotion.embeddings.mixing import coordinate_grid, mix
    from jaxmotion.embeddings.modes import MODES, Mode, Rule, num_dimensions, num_free
    from jaxmotion.embeddings.tracks import TrackLinker, lifetimes, longest_tracks

__all__ = [
    "MODES",
    "Clusters",
    "Gaussians",
    "Mode",
    "Rule",
    "TrackLinker",
    "cluster",
    "coordinate_grid",
    "instance_gaussians",
    "lifetimes",
    "longest_tracks",
    "mix",
    "num_dimensions",
    "num_free",
    "probabilities",
]

_HOMES = {
    "Clusters": "clustering",
    "Gaussians": "gaussians",
    "TrackLinker": "tracks",
    "cluster": "clustering",
    "coordinate_grid": "mixing",
    "instance_gaussians": "gaussians",
    "lifetimes": "tracks",
    "longest_tracks": "tracks",
    "mix": "mixing",
    "probabilities": "gaussians",
}


def __getattr__(name: str) -> Any:  # late: modes are options, and read without JAX
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES.get(name, 'modes')}")
    return getattr(module, name)
