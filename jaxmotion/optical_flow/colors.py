"""Colors: of flow, whose direction is the hue and whose length the saturation, and of segments."""

import numpy as np

from jaxmotion.optical_flow.arrays import known_vectors

# The wheel of Baker et al.: how many steps lead from each of six colors to the next. More steps
# where the eye tells more hues apart.
_WHEEL = (
    ((255, 0, 0), 15),  # red to yellow
    ((255, 255, 0), 6),  # yellow to green
    ((0, 255, 0), 4),  # green to cyan
    ((0, 255, 255), 11),  # cyan to blue
    ((0, 0, 255), 13),  # blue to magenta
    ((255, 0, 255), 6),  # magenta to red
)


# Okabe and Ito's colors, which color-blind people tell apart too; segment 0 is a neutral gray.
_FIRST_COLORS = (
    (110, 110, 110),
    (230, 159, 0),
    (0, 114, 178),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (86, 180, 233),
)
_GOLDEN_ANGLE = 0.381966


def color_wheel() -> np.ndarray:
    """The colors of the directions, in equal steps of angle.

    Returns:
        float32 `[55, 3]` in 0..255, from red over yellow, green, cyan, blue and magenta.
    """
    parts = []
    for (start, steps), (end, _) in zip(_WHEEL, _WHEEL[1:] + _WHEEL[:1], strict=True):
        share = np.arange(steps)[:, None] / steps
        parts.append((1 - share) * np.array(start) + share * np.array(end))
    return np.concatenate(parts).astype(np.float32)


def flow_to_color(flow: np.ndarray, max_magnitude: float | None = None) -> np.ndarray:
    """Renders flow with the usual color wheel: white at rest, full color at `max_magnitude`.

    Red points to the right, yellow down, cyan to the left, blue up; longer vectors are darkened.

    Args:
        flow: `[..., H, W, 2]`, pixels; unknown or not finite vectors become black.
        max_magnitude: length, in pixels, that gets the full color; the largest length of the whole
            array when left out. Give it, to compare pictures.

    Returns:
        The picture, uint8 `[..., H, W, 3]`.

    References:
        Baker et al., A database and evaluation methodology for optical flow, IJCV 2011.
    """
    flow = np.asarray(flow, np.float32)
    known = known_vectors(flow)
    u, v = np.moveaxis(np.where(known[..., None], flow, 0), -1, 0)
    length = np.hypot(u, v)
    if max_magnitude is None:
        max_magnitude = float(length.max(initial=0.0))
    length = length / max(max_magnitude, 1e-12)

    wheel = color_wheel() / 255
    position = (np.arctan2(v, u) / (2 * np.pi)) % 1.0 * len(wheel)
    below = position.astype(np.int32) % len(wheel)
    share = (position - np.floor(position))[..., None]
    color = (1 - share) * wheel[below] + share * wheel[(below + 1) % len(wheel)]

    length = length[..., None]
    color = np.where(length <= 1, 1 - length * (1 - color), 0.75 * color)
    return np.where(known[..., None], np.rint(255 * color), 0).astype(np.uint8)


def label_palette(num_segments: int) -> np.ndarray:
    """One color a segment, the same for a segment whatever their number.

    Args:
        num_segments: K, number of segments, at least 1.

    Returns:
        The color of each segment, uint8 `[K, 3]`.
    """
    colors: list[tuple[float, ...]] = list(_FIRST_COLORS[:num_segments])
    for index in range(num_segments - len(colors)):
        # Hues a golden angle apart never come back close to the ones just used.
        hue = 6 * ((index * _GOLDEN_ANGLE) % 1.0)
        strength = 255 if index % 2 == 0 else 150
        rgb = np.clip(np.abs((hue + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
        colors.append(tuple(np.rint(strength * (0.15 + 0.85 * rgb))))
    return np.array(colors, np.uint8).reshape(num_segments, 3)


def color_labels(labels: np.ndarray, num_segments: int | None = None) -> np.ndarray:
    """Paints every segment in its color.

    Args:
        labels: integers `[..., H, W]` in 0..K-1.
        num_segments: K, number of segments; the largest label + 1 when left out.

    Returns:
        The picture, uint8 `[..., H, W, 3]`.
    """
    labels = np.asarray(labels)
    count = int(labels.max(initial=0)) + 1 if num_segments is None else num_segments
    return np.take(label_palette(count), labels, axis=0)  # at a quarter of an index's time
