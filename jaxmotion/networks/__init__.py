"""Networks from features to masks, as pure-functional Flax linen modules.

A network is a `backbone`, which every method shares, and heads of its own (`heads`); `segmenters`
puts those together that make masks, `embedders` and `reconstructors` those that make vectors of
pixels and hidden flow. `inputs` makes the features of the flow. The backbone is a
stem and a U-net: `unet` is the skeleton that joins six replaceable parts, `parts` holds these,
`norm` their statistics, `time_shift` what they see of other frames, and `attention` weighs all
frames and regions of a clip. `decoders` read the segments of a whole clip from the bottleneck, by a
transformer or by `slot_attention`. `config` names all choices.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxmotion.networks.attention import Attention
    from jaxmotion.networks.backbone import Backbone, BackboneOutput, build_backbone
    from jaxmotion.networks.config import (
        PUBLISHED_EM,
        PUBLISHED_LT_MS,
        PUBLISHED_ST_MS,
        AttentionConfig,
        DecoderConfig,
        InputKind,
        NetworkConfig,
    )
    from jaxmotion.networks.heads import MaskHead, Segmentation
    from jaxmotion.networks.inputs import INPUT_CHANNELS, needs_residual, network_features
    from jaxmotion.networks.segmenters import UNetSegmenter, build_segmenter
    from jaxmotion.networks.unet import UNet

__all__ = [
    "INPUT_CHANNELS",
    "PUBLISHED_EM",
    "PUBLISHED_LT_MS",
    "PUBLISHED_ST_MS",
    "Attention",
    "AttentionConfig",
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

_HOMES = {
    "Attention": "attention",
    "AttentionConfig": "config",
    "Backbone": "backbone",
    "BackboneOutput": "backbone",
    "INPUT_CHANNELS": "inputs",
    "MaskHead": "heads",
    "Segmentation": "heads",
    "UNet": "unet",
    "UNetSegmenter": "segmenters",
    "build_backbone": "backbone",
    "build_segmenter": "segmenters",
    "needs_residual": "inputs",
    "network_features": "inputs",
}


def __getattr__(name: str) -> Any:  # late: a configuration is read without JAX
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES.get(name, 'config')}")
    return getattr(module, name)
