"""Networks from features to masks, as pure-functional Flax linen modules.

A network is a `backbone`, which every method shares, and heads of its own (`heads`); `segmenters`
puts those together that make masks. `inputs` makes the features of the flow. The backbone is a
stem and a U-net: `unet` is the skeleton that joins six replaceable parts, `parts` holds these,
`norm` their statistics, and `time_shift` what they see of other frames. `decoders` read the
segments of a whole clip from the bottleneck, by a transformer or by `slot_attention`. `config`
names all choices.
"""

from jaxmotion.networks.backbone import Backbone, BackboneOutput, build_backbone
from jaxmotion.networks.config import (
    PUBLISHED_EM,
    PUBLISHED_LT_MS,
    PUBLISHED_ST_MS,
    NetworkConfig,
)
from jaxmotion.networks.decoders import DecoderConfig
from jaxmotion.networks.heads import MaskHead, Segmentation
from jaxmotion.networks.inputs import (
    INPUT_CHANNELS,
    InputKind,
    needs_residual,
    network_features,
)
from jaxmotion.networks.segmenters import UNetSegmenter, build_segmenter
from jaxmotion.networks.unet import UNet

__all__ = [
    "INPUT_CHANNELS",
    "PUBLISHED_EM",
    "PUBLISHED_LT_MS",
    "PUBLISHED_ST_MS",
    "Backbone",
    "BackboneOutput",
    "DecoderConfig",
    "InputKind",
    "MaskHead",
    "NetworkConfig",
    "Segmentation",
    "UNet",
    "UNetSegmenter",
    "build_backbone",
    "build_segmenter",
    "needs_residual",
    "network_features",
]
