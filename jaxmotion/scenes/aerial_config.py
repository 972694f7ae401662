"""What aerial frames are drawn from."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class AerialConfig:
    """The distribution that a pair is drawn from. Lengths are pixels, turns radians.

    Attributes:
        vehicles: least and greatest number of vehicles in 192 x 192 pixels; others in proportion.
        length: least and greatest length of a vehicle (log-uniform).
        speed: least and greatest way of a vehicle from one frame to the other.
        parked: share of vehicles that stay where they are.
        camera: greatest way of the camera in each direction.
        camera_turn: standard deviation of the camera's turn, and of the logarithm of its zoom.
        road: share of pairs with a road.
        noise: least and greatest standard deviation of the noise, gray levels.
        gain: greatest change of the gain, as a share; offsets change by at most 75 times as much.
    """

    vehicles: tuple[int, int] = (3, 8)
    length: tuple[float, float] = (5.0, 20.0)
    speed: tuple[float, float] = (1.0, 8.0)
    parked: float = 0.15
    camera: float = 3.0
    camera_turn: float = 0.004
    road: float = 0.6
    noise: tuple[float, float] = (1.0, 4.0)
    gain: float = 0.08


AERIAL: Mapping[str, AerialConfig] = {
    "default": AerialConfig(),
    "stabilized": AerialConfig(camera=0.0, camera_turn=0.0),
    "busy": AerialConfig(vehicles=(12, 32)),
}
"""The named distributions: a moving camera, one whose motion has been taken off, and as many
vehicles as there is room for, to learn from."""
