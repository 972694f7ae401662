"""The picture of `jaxmotion live`: the frame, what moves in it, and how fast this goes."""

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_BAR = 24  # rows
_INK, _GROUND = (235, 238, 240), (24, 28, 32)
_DARKER = 5  # how much what does not move is


def draw(frame: np.ndarray, moving: np.ndarray, words: str) -> np.ndarray:
    """Draws a frame, beside it what moves, and words below.

    Args:
        frame: uint8 `[H, W, 3]`.
        moving: bool `[H, W]`, where something moves on its own.
        words: a line of text.

    Returns:
        uint8 `[H + 24, 2 W, 3]`. On the right what moves is as it is in the frame, and all else is
        a fifth as bright.
    """
    height, width = moving.shape
    picture = np.empty((height + _BAR, 2 * width, 3), np.uint8)
    picture[:height, :width] = frame
    dark = cv2.convertScaleAbs(frame, alpha=1 / _DARKER)
    picture[:height, width:] = cv2.copyTo(frame, moving.astype(np.uint8), dark)
    bar = Image.new("RGB", (2 * width, _BAR), _GROUND)
    font = ImageFont.load_default(13)
    ImageDraw.Draw(bar).text((8, _BAR / 2), words, fill=_INK, font=font, anchor="lm")
    picture[height:] = np.asarray(bar)
    return picture
