"""Networks from flow to masks, as pure-functional Flax linen modules.

`parts` holds the replaceable parts, `unet` the skeleton that joins five of them, `inputs` what a
network sees of the flow, `segmenters` the whole networks and the configuration that builds them.
"""

from jaxmotion.networks.inputs import InputKind, global_residual, network_input
from jaxmotion.networks.segmenters import (
    PUBLISHED_EM,
    NetworkConfig,
    Segmentation,
    UNetSegmenter,
    build_segmenter,
)
from jaxmotion.networks.unet import UNet

__all__ = [
    "PUBLISHED_EM",
    "InputKind",
    "NetworkConfig",
    "Segmentation",
    "UNet",
    "UNetSegmenter",
    "build_segmenter",
    "global_residual",
    "network_input",
]
