"""Networks from flow to masks, as pure-functional Flax linen modules.

`parts` holds the replaceable parts and `norm` their statistics, `unet` the skeleton that joins five
of them, `inputs` what a network sees of the flow, `decoders` what reads the segments of a whole
clip from it, by a transformer or by `slot_attention`, and `segmenters` the whole networks and the
configuration that builds them.
"""

from jaxmotion.networks.decoders import DecoderConfig
from jaxmotion.networks.inputs import InputKind, global_residual, network_input
from jaxmotion.networks.segmenters import (
    PUBLISHED_EM,
    PUBLISHED_LT_MS,
    PUBLISHED_ST_MS,
    NetworkConfig,
    Segmentation,
    UNetSegmenter,
    build_segmenter,
)
from jaxmotion.networks.unet import UNet

__all__ = [
    "PUBLISHED_EM",
    "PUBLISHED_LT_MS",
    "PUBLISHED_ST_MS",
    "DecoderConfig",
    "InputKind",
    "NetworkConfig",
    "Segmentation",
    "UNet",
    "UNetSegmenter",
    "build_segmenter",
    "global_residual",
    "network_input",
]
