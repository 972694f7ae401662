"""Flow in memory, at the size wanted, kept while there is room; what is unknown is told."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np

from jaxmotion.data.config import DEFAULT_CACHE_BYTES
from jaxmotion.data.transforms import Size, resize_flow, resize_flow_and_valid
from jaxmotion.optical_flow.arrays import known_vectors

Loaded = tuple[np.ndarray, np.ndarray]
"""Flow `[T, H, W, 2]`, float16 or float32, and where it is known, bool `[T, H, W]`."""


class FlowCache:
    """Keeps the flow that was used most recently.

    It holds `nbytes`, `max_bytes` at most, in the precision of the files, so that caching changes
    no value. Safe to share among threads.
    """

    def __init__(self, size: Size | None = None, max_bytes: int = DEFAULT_CACHE_BYTES):
        """Starts empty.

        Args:
            size: `(height, width)` to resize fields to; None keeps their own.
            max_bytes: largest number of bytes that are kept in memory.
        """
        self.size, self.max_bytes = size, max_bytes
        self._entries: OrderedDict[Hashable, Loaded] = OrderedDict()
        self.nbytes = 0
        self._lock = threading.Lock()

    def load(
        self, key: Hashable, read: Callable[[], tuple[np.ndarray, np.ndarray | None]]
    ) -> Loaded:
        """Gives the flow that is kept under a key, or else reads it.

        Vectors that are not finite, and not marked unknown, are kept, to be seen.

        Args:
            key: file of the flow, or another name of it.
            read: function that reads flow `[T, H, W, 2]` and where it is valid, bool `[T, H, W]`,
                or None.

        Returns:
            The flow at the size of the cache and where it is known, as `prepare` gives them.
        """
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        entry = prepare(*read(), self.size)
        with self._lock:
            if key not in self._entries:
                self._entries[key] = entry
                self.nbytes += sum(array.nbytes for array in entry)
                while self.nbytes > self.max_bytes:
                    _, old = self._entries.popitem(last=False)
                    self.nbytes -= sum(array.nbytes for array in old)
        return entry


def prepare(flow: np.ndarray, valid: np.ndarray | None, size: Size | None = None) -> Loaded:
    """Finds the known vectors of flow, and brings it to a size.

    Args:
        flow: `[T, H, W, 2]`, pixels per frame.
        valid: bool `[T, H, W]`, where it is valid; None where all of it is.
        size: `(height, width)` to resize to; None keeps its own.

    Returns:
        Flow, zero where it is unknown, and where it is known. A vector that is valid and not finite
        is not unknown but wrong: it stays.
    """
    known = known_vectors(flow, valid)
    wrong = ~np.isfinite(flow).all(-1)
    known |= wrong if valid is None else wrong & valid
    if not known.all():
        flow = np.where(known[..., None], flow, flow.dtype.type(0))
    if size is None or flow.shape[1:3] == tuple(size):
        return flow, known
    if known.all():
        return resize_flow(flow, size), np.ones((len(flow), *size), bool)
    flow, share = resize_flow_and_valid(flow, known, size)
    return flow, share > 0
