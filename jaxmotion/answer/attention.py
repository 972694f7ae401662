"""The weights of a network's gate, as the page shows them."""

import cv2
import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.report.encoding import shrunk

_SHARE = 0.6  # of the colors, the rest being the frame


def check_gate(network: NetworkConfig) -> None:
    """Refuses a network that gives no weights.

    Args:
        network: configuration of the network.

    Raises:
        InputError: where it has no gate.
    """
    if not network.attention.gate:
        raise InputError(
            "attention: expected a network that was trained with --network.attention.gate, which "
            "weighs frames and regions; this one has no gate"
        )


def regions_picture(frame: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Draws weights of pixels in color over a frame, at the size of a page.

    Args:
        frame: uint8 `[H, W, 3]`.
        weights: float32 `[h, w]` in [0, 1], dark to bright.

    Returns:
        uint8 `[h', w', 3]`.
    """
    gray = cv2.cvtColor(shrunk(frame), cv2.COLOR_RGB2GRAY)
    found = np.rint(255 * cv2.resize(weights, gray.shape[::-1]).clip(0, 1)).astype(np.uint8)
    color = cv2.applyColorMap(found, cv2.COLORMAP_INFERNO)[..., ::-1]
    return np.rint(_SHARE * color + (1 - _SHARE) * gray[..., None]).astype(np.uint8)
