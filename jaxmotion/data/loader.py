"""Batches of clips, shuffled without end for training.

The order of training clips is a function of the seed and the step alone: step s takes entries
s * B to (s + 1) * B of an endless list of reshuffled epochs, and every process takes its part of
them. So the position of a run is one number, a checkpoint of one process can be continued by
eight, and no clip is repeated or left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import grain
import numpy as np

from jaxmotion.data.clips import Clip, ClipSource, fingerprint, has_content
from jaxmotion.errors import InputError

HostBatch = dict[str, np.ndarray]
"""The fields of clips by name, `[b, ...]` each, in the memory of the host."""

WIRE: Mapping[str, type[np.generic]] = {"flow": np.float16, "valid": np.bool_}
"""Types of the fields that may travel to the devices in fewer bytes (`narrowed`)."""


class TrainLoader:
    """An endless iterator over batches, whose position can be saved and restored.

    A batch holds arrays only, ready for the device: the fields of a clip that are asked for, such
    as `flow` float32 `[b, T, H, W, 2]`. The others stay behind, so that training without labels is
    without labels by construction.
    """

    def __init__(
        self,
        source: ClipSource,
        batch_size: int,
        *,
        seed: int = 0,
        fields: Sequence[str] = ("flow", "valid"),
        shard_index: int = 0,
        shard_count: int = 1,
        narrow: bool = False,
        num_threads: int = 2,
        prefetch: int = 4,
    ):
        """Starts at the beginning.

        Args:
            source: source of the clips.
            batch_size: B, number of clips of a batch, over all processes.
            fields: names of the entries of a clip that go into the batch.
            seed: seed of the order, 0 or more.
            shard_index: index of the part of each batch that this process takes.
            shard_count: number of parts that each batch is divided into; hosts that work on the
                same clips share a part.
            narrow: whether batches are `narrowed`.
            num_threads: number of threads that read clips; 0 reads in the calling thread.
            prefetch: number of batches that are kept ready.

        Raises:
            InputError: the batch cannot be divided so, or a seed below 0.
        """
        if seed < 0:
            raise InputError(f"seed {seed}: expected 0 or more")
        local = _local_batch_size(batch_size, shard_index, shard_count)
        self.source = source
        self.batches_per_epoch = len(source) / batch_size
        self._order = {"clips": len(source), "batch_size": batch_size, "seed": seed}
        self._content = fingerprint(source)
        # grain shuffles epoch e with seed + e: neighboring seeds would share most of their epochs.
        shuffle_seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
        stack = partial(stack_clips, fields=tuple(fields), narrow=narrow)
        dataset = (
            grain.MapDataset.source(source)
            .shuffle(seed=shuffle_seed)
            .repeat()
            .batch(local, drop_remainder=True, batch_fn=stack)[shard_index::shard_count]
        )
        self._batches = iter(
            dataset.to_iter_dataset(
                grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=prefetch)
            )
        )

    def __iter__(self) -> Iterator[HostBatch]:
        return self

    def __next__(self) -> HostBatch:
        return next(self._batches)

    def get_state(self) -> dict[str, Any]:
        """The position, ready for JSON; the same on every process."""
        step = self._batches.get_state()["next_index"]
        return {"step": step, **self._order, "content": self._content}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on where `get_state` was called.

        Args:
            state: result of `get_state`, in this or another process.

        Raises:
            InputError: the state is of another source, batch size or seed, or of a source of the
                same name and size with other content.
        """
        self.check_state(state)
        self._batches.set_state({"next_index": state["step"]})

    def check_state(self, state: dict[str, Any]) -> None:
        """Refuses a position in other data, where it would mean other clips.

        Args:
            state: result of `get_state`. One of an earlier version, which says nothing of the
                content of the clips, is taken.

        Raises:
            InputError: the state is of another source, batch size or seed, or of a source of the
                same name and size with other content.
        """
        for key, value in self._order.items():
            if state.get(key) != value:
                raise InputError(
                    f"data position: saved with {key} {state.get(key)}, now it is {value}; "
                    "expected the data, batch size and seed of the run that is resumed"
                )
        if "content" in state and not has_content(self.source, state["content"]):
            raise InputError(
                "data position: saved with other flow under the same names; expected the data of "
                "the run that is resumed"
            )

    def close(self) -> None:
        """Stops the threads that read ahead."""
        if hasattr(self._batches, "close"):  # older versions of grain stop them by themselves
            self._batches.close()


def stack_clips(clips: Sequence[Clip], fields: Sequence[str], *, narrow: bool = False) -> HostBatch:
    """Puts clips of one shape into a batch.

    Args:
        clips: b clips of a source.
        fields: names of the entries to take.
        narrow: whether the batch is `narrowed`.

    Returns:
        Arrays `[b, ...]` by field.

    Raises:
        InputError: a clip has no such entry, or the clips are not of one shape.
    """
    batch = {}
    for field in fields:
        missing = next((clip for clip in clips if field not in clip), None)
        if missing is not None:
            raise InputError(
                f"clip {missing.get('name', '')}: has no {field!r}, which this task needs; it has "
                f"{', '.join(missing)}"
            )
        arrays = [np.asarray(clip[field]) for clip in clips]
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1:
            found = " and ".join(map(str, sorted(shapes)))
            raise InputError(f"clips with {field!r} of shapes {found}: expected one in a batch")
        batch[field] = np.stack(arrays)
    return narrowed(batch) if narrow else batch


def narrowed(batch: HostBatch) -> HostBatch:
    """A batch in 5 bytes a pixel instead of 12: flow in float16, where it is known in bool.

    Flow is rounded by at most 2^-11 of its value. Where it was resized from float16 this is what it
    had lost on disk already; where it was not resized nothing changes.

    Args:
        batch: flow within the range of float16, and ``valid`` in {0, 1}; other fields stay.
    """
    return {n: a.astype(WIRE[n]) if n in WIRE else a for n, a in batch.items()}


def _local_batch_size(batch_size: int, shard_index: int, shard_count: int) -> int:
    if batch_size < 1 or shard_count < 1 or batch_size % shard_count:
        raise InputError(
            f"batch size {batch_size}: expected a multiple of the {shard_count} data shards"
        )
    if not 0 <= shard_index < shard_count:
        raise InputError(f"data shard {shard_index}: expected 0 to {shard_count - 1}")
    return batch_size // shard_count
