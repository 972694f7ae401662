"""Numbers of devices that share the clips of a batch, and the frames of a clip.

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
    """Number of devices that an array axis of this length is divided over; 1 where it cannot be.

    Args:
        axis: axis of the mesh, ``"data"`` or ``"time"``.
        length: size of the array axis.
    """
    size = jax.sharding.get_abstract_mesh().shape.get(axis, 1)
    return size if size > 1 and length % size == 0 else 1


def device_count() -> int:
    """Number of devices that the program is for."""
    return math.prod(jax.sharding.get_abstract_mesh().shape.values())


def fold_time(x: jax.Array) -> jax.Array:
    """`[B, T, ...]` to `[B·T, ...]`, in an order in which devices keep the frames they have."""
    clips, frames, *rest = x.shape
    data, time = devices_along("data", clips), devices_along("time", frames)
    if time > 1:
        x = x.reshape(data, clips // data, time, frames // time, *rest).swapaxes(1, 2)
    return x.reshape(clips * frames, *rest)


def unfold_time(x: jax.Array, num_frames: int) -> jax.Array:
    """`[B·T, ...]` of `fold_time` back to `[B, T, ...]`.

    Args:
        x: result of `fold_time`, or an array with the same leading axis.
        num_frames: T, number of frames of a clip.
    """
    clips, rest = x.shape[0] // num_frames, x.shape[1:]
    data, time = devices_along("data", clips), devices_along("time", num_frames)
    if time > 1:
        x = x.reshape(data, time, clips // data, num_frames // time, *rest).swapaxes(1, 2)
    return x.reshape(clips, num_frames, *rest)
