"""Batches of clips to validate on, read again whenever they are needed."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import grain
import numpy as np

from jaxmotion.data.clips import ClipSource
from jaxmotion.data.loader import HostBatch, stack_clips


class HeldOut(NamedTuple):
    """A batch to validate on.

    Attributes:
        batch: the clips that this process loads.
        real: `[b]`, 1 for a clip that counts, 0 for one that only fills the batch up.
    """

    batch: HostBatch
    real: np.ndarray


class HeldOutBatches(Sequence[HeldOut]):
    """At most so many of the clips held out, evenly spread, in batches that are not kept.

    The last batch is filled up with clips that are marked as such. In order the batches are read
    ahead by threads; a single one is read in the calling thread.
    """

    def __init__(
        self,
        source: ClipSource,
        batch_size: int,
        *,
        most_clips: int,
        fields: Sequence[str] = ("flow", "valid"),
        shard_index: int = 0,
        shard_count: int = 1,
        narrow: bool = False,
        num_threads: int = 2,
        prefetch: int = 4,
    ):
        """Reads nothing yet.

        Args:
            source: source of the clips.
            batch_size: B, number of clips of a batch, over all processes.
            most_clips: largest number of clips to validate on.
            fields: names of the entries of a clip that go into a batch.
            shard_index: index of the part of each batch that this process takes.
            shard_count: number of parts that each batch is divided into.
            narrow: whether batches are `jaxmotion.data.loader.narrowed`.
            num_threads: number of threads that read ahead; 0 reads in the calling thread.
            prefetch: number of batches that are kept ready.
        """
        self.source, self.batch_size = source, batch_size
        self._fields, self._narrow = tuple(fields), narrow
        self._count = min(len(source), most_clips)
        self._chosen = np.linspace(0, len(source) - 1, self._count).round().astype(int)
        self._part = batch_size // shard_count
        self._first = shard_index * self._part
        self._reading = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=prefetch)

    def __len__(self) -> int:
        return -(-self._count // self.batch_size)

    def __getitem__(self, index: int) -> HeldOut:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        first = index * self.batch_size + self._first
        numbers = np.arange(first, first + self._part)
        chosen = self._chosen[np.minimum(numbers, self._count - 1)]
        clips = [self.source[int(number)] for number in chosen]
        batch = stack_clips(clips, self._fields, narrow=self._narrow)
        return HeldOut(batch, (numbers < self._count).astype(np.float32))

    def __iter__(self) -> Iterator[HeldOut]:
        batches = iter(grain.MapDataset.source(self).to_iter_dataset(self._reading))
        try:
            yield from batches
        finally:
            if hasattr(batches, "close"):  # older versions of grain stop by themselves
                batches.close()  # pyright: ignore
