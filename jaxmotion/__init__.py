"""jaxmotion: unsupervised motion segmentation of video from optical flow, in JAX."""

from jaxmotion.errors import InputError

__version__ = "0.1.0"

__all__ = ["InputError", "__version__"]
