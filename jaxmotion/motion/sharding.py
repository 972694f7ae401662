"""How many devices share the clips of a batch, and the frames of a clip.

Where arrays are divided over devices, XLA finds out by itself what must move, except where clips
and frames become one axis, or a loop takes some of them at a time: the parts on the devices are
then no ranges of the new axis, and everything would be gathered. Such places ask here, and order
the axis so that each device keeps its own part. They see the mesh that the program is traced
under, `jax.set_mesh`, with its axes named ``"data"`` and ``"time"``; without one, one device is
taken for granted.
"""

import math

import jax


def devices_along(axis: str, length: int) -> int:
    """How many devices an array axis of this length is divided over; 1 where it cannot be."""
    size = jax.sharding.get_abstract_mesh().shape.get(axis, 1)
    return size if size > 1 and length % size == 0 else 1


def device_count() -> int:
    """How many devices the program is for."""
    return math.prod(jax.sharding.get_abstract_mesh().shape.values())
