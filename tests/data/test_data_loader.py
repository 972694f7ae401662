import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.data import SceneSource, TrainLoader
from jaxmotion.data.held_out import HeldOutBatches
from jaxmotion.errors import InputError


class Numbers:
    """Clip i is filled with i."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if not 0 <= index < self.length:
            raise IndexError(index)
        return {
            "flow": np.full((2, 3, 4, 2), index, np.float32),
            "valid": np.ones((2, 3, 4), np.float32),
            "labels": np.full((2, 3, 4), index, np.int32),
            "name": f"n{index}",
        }

    def hold_out(self, fraction, seed=0):
        raise NotImplementedError


def numbers(batch):
    return batch["flow"][:, 0, 0, 0, 0].astype(int).tolist()


def flat(lists):
    return list(itertools.chain.from_iterable(lists))


def take(loader, count):
    return [numbers(batch) for batch in itertools.islice(loader, count)]


def test_batches_hold_flow_and_valid_only_unless_asked():
    batch = next(TrainLoader(Numbers(5), 4))
    assert {key: value.shape for key, value in batch.items()} == {
        "flow": (4, 2, 3, 4, 2),
        "valid": (4, 2, 3, 4),
    }
    batch = next(TrainLoader(Numbers(5), 4, fields=("flow", "labels")))
    assert batch.keys() == {"flow", "labels"}
    assert batch["labels"][:, 0, 0, 0].tolist() == numbers(batch)


@pytest.mark.parametrize(("length", "batch_size"), [(10, 3), (7, 7), (3, 8), (1, 2)])
def test_every_epoch_holds_every_clip_once_in_another_order(length, batch_size):
    batches = take(TrainLoader(Numbers(length), batch_size, seed=1), 12 * length)
    order = np.array(flat(batches))[: 12 * length].reshape(12, length)
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(np.arange(length), (12, 1)))
    if length > 3:
        assert len({tuple(epoch) for epoch in order}) > 8


def test_order_is_a_function_of_the_seed():
    orders = [tuple(flat(take(TrainLoader(Numbers(20), 5, seed=s), 8))) for s in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    # no epoch of one seed comes back in another one's
    epochs = [{order[:20], order[20:]} for order in (orders[0], orders[2])]
    assert not epochs[0] & epochs[1]


@pytest.mark.parametrize("num_threads", [0, 3])
def test_restored_position_continues_exactly(num_threads):
    whole = take(TrainLoader(Numbers(13), 4, num_threads=num_threads), 30)
    loader = TrainLoader(Numbers(13), 4, num_threads=num_threads)
    for stop in (0, 1, 7, 11):
        loader.set_state(json.loads(json.dumps(loader.get_state())))
        done = loader.get_state()["step"]
        assert take(loader, stop) == whole[done : done + stop]
    saved = json.dumps(loader.get_state())
    after = take(loader, 5)  # batches that the saved position must not count
    fresh = TrainLoader(Numbers(13), 4, num_threads=1)
    fresh.set_state(json.loads(saved))
    assert take(fresh, 5) == after == whole[19:24]
    loader.close()


def test_restored_in_a_fresh_process():
    program = (
        "import sys, json, hashlib\n"
        "from jaxmotion.data import SceneSource, TrainLoader\n"
        "loader = TrainLoader(SceneSource('default', 2, (8, 12), seed=1, length=9), 4, seed=3)\n"
        "loader.set_state(json.loads(sys.argv[1]))\n"
        "for _ in range(4):\n"
        "    print(hashlib.sha256(next(loader)['flow'].tobytes()).hexdigest())\n"
    )
    import hashlib

    loader = TrainLoader(SceneSource("default", 2, (8, 12), seed=1, length=9), 4, seed=3)
    for _ in range(3):
        next(loader)
    state = json.dumps(loader.get_state())
    expected = [hashlib.sha256(next(loader)["flow"].tobytes()).hexdigest() for _ in range(4)]
    output = subprocess.run(
        [sys.executable, "-c", program, state], capture_output=True, text=True, check=True
    )
    assert output.stdout.split() == expected


@pytest.mark.parametrize("shard_count", [1, 2, 4])
def test_shards_divide_each_batch_and_share_one_position(shard_count):
    whole = take(TrainLoader(Numbers(10), 4, seed=2), 9)
    shards = [
        TrainLoader(Numbers(10), 4, seed=2, shard_index=i, shard_count=shard_count)
        for i in range(shard_count)
    ]
    first = [take(shard, 5) for shard in shards]
    assert [flat(parts) for parts in zip(*first, strict=True)] == whole[:5]
    states = [shard.get_state() for shard in shards]
    assert all(state == states[0] for state in states)
    # continued by another number of processes
    other = [
        TrainLoader(Numbers(10), 4, seed=2, shard_index=i, shard_count=4 // shard_count)
        for i in range(4 // shard_count)
    ]
    for shard in other:
        shard.set_state(states[0])
    rest = [take(shard, 4) for shard in other]
    assert [flat(parts) for parts in zip(*rest, strict=True)] == whole[5:]


@settings(deadline=None, max_examples=15)
@given(
    length=st.integers(1, 30),
    counts=st.tuples(*[st.sampled_from([1, 2, 3, 4, 6, 12])] * 3),
    stops=st.tuples(*[st.integers(0, 3)] * 3),
)
def test_the_order_is_the_same_for_every_number_of_processes(length, counts, stops):
    whole = take(TrainLoader(Numbers(length), 12, seed=3, num_threads=0), 12)
    position, seen = None, []
    for count, stop in zip(counts, stops, strict=True):  # so many processes for so many steps
        shares = [
            TrainLoader(
                Numbers(length), 12, seed=3, shard_index=i, shard_count=count, num_threads=0
            )
            for i in range(count)
        ]
        for share in shares:
            if position is not None:
                share.set_state(position)
        parts = [take(share, stop) for share in shares]
        seen += [flat(batch) for batch in zip(*parts, strict=True)]
        position = shares[-1].get_state()
    assert seen == whole[: len(seen)]
    epoch = flat(whole)[: len(flat(whole)) // length * length]
    for start in range(0, len(epoch), length):
        assert sorted(epoch[start : start + length]) == list(range(length))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: TrainLoader(Numbers(8), 4), "saved with clips 10, now it is 8"),
        (lambda: TrainLoader(Numbers(10), 5), "saved with batch_size 4, now it is 5"),
        (lambda: TrainLoader(Numbers(10), 4, seed=1), "saved with seed 0, now it is 1"),
    ],
)
def test_position_of_another_run_is_refused(other, words):
    state = TrainLoader(Numbers(10), 4).get_state()
    with pytest.raises(InputError, match=words):
        other().set_state(state)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"batch_size": 0}, "batch size 0"),
        ({"batch_size": 5, "shard_count": 2}, "multiple of the 2 data shards"),
        ({"batch_size": 4, "shard_index": 2, "shard_count": 2}, "data shard 2: expected 0 to 1"),
    ],
)
def test_wrong_division(arguments, words):
    with pytest.raises(InputError, match=words):
        TrainLoader(Numbers(10), **arguments)


def test_an_error_in_a_clip_reaches_the_trainer():
    class Damaged(Numbers):
        def __getitem__(self, index):
            if index == 3:
                raise InputError("clip 3: damaged")
            return super().__getitem__(index)

    with pytest.raises(InputError, match="clip 3: damaged"):
        take(TrainLoader(Damaged(5), 1), 5)


class Counted(Numbers):
    """Notes which clips are read."""

    def __init__(self, length):
        super().__init__(length)
        self.read = []

    def __getitem__(self, index):
        self.read.append(index)
        return super().__getitem__(index)


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([(4, 1), (4, 2), (6, 3), (1, 1)]))
@settings(max_examples=40, deadline=None)
def test_what_is_held_out_is_spread_evenly_and_each_clip_counts_once(length, most, parts):
    batch_size, count = parts
    source = Counted(length)
    shards = [
        HeldOutBatches(
            source, batch_size, most_clips=most, shard_index=i, shard_count=count, num_threads=0
        )
        for i in range(count)
    ]
    assert source.read == []
    wanted = min(length, most)
    assert {len(shard) for shard in shards} == {-(-wanted // batch_size)}
    real = [
        number
        for batches in zip(*shards, strict=True)
        for batch, flags in batches
        for number, flag in zip(numbers(batch), flags, strict=True)
        if flag
    ]
    assert real == [round(number) for number in np.linspace(0, length - 1, wanted)]
    # One by one they are the same as in order.
    for shard in shards:
        for index, (batch, flags) in enumerate(shard):
            assert numbers(shard[index].batch) == numbers(batch)
            assert shard[index].real.tolist() == flags.tolist()
        with pytest.raises(IndexError):
            shard[len(shard)]


def test_held_out_clips_are_read_as_they_are_needed_and_anew_each_time():
    source = Counted(12)
    batches = HeldOutBatches(source, 2, most_clips=12, num_threads=0)
    read = []
    for _ in batches:
        read.append(len(source.read))
    assert read == [2, 4, 6, 8, 10, 12]
    assert len(list(batches)) == 6
    assert len(source.read) == 24
    # Threads read a few batches ahead, and give them in order.
    ahead = HeldOutBatches(Counted(100), 2, most_clips=100, num_threads=3, prefetch=4)
    first = next(iter(ahead))
    assert numbers(first.batch) == [0, 1]
    assert len(ahead.source.read) <= 2 * (4 + 3 + 2)
    assert flat(numbers(batch) for batch, _ in ahead) == list(range(100))


def test_narrow_batches_are_the_same_in_fewer_bytes():
    class Flow(Numbers):
        def __getitem__(self, index):
            clip = super().__getitem__(index)
            rng = np.random.default_rng(index)
            flow = rng.normal(0, 20, (2, 3, 4, 2)).astype(np.float32)
            return clip | {"flow": flow, "valid": np.float32(rng.random((2, 3, 4)) > 0.5)}

    fields = ("flow", "valid", "labels")
    wide = next(TrainLoader(Flow(8), 4, fields=fields))
    narrow = next(TrainLoader(Flow(8), 4, fields=fields, narrow=True))
    assert {name: array.dtype for name, array in narrow.items()} == {
        "flow": np.float16,
        "valid": np.bool_,
        "labels": np.int32,
    }
    np.testing.assert_array_equal(narrow["valid"], wide["valid"])
    np.testing.assert_array_equal(narrow["labels"], wide["labels"])
    np.testing.assert_allclose(narrow["flow"], wide["flow"], rtol=2**-11, atol=2**-25)
    assert 12 * sum(narrow[n].nbytes for n in fields[:2]) == 5 * sum(
        wide[n].nbytes for n in fields[:2]
    )
    held = HeldOutBatches(Flow(8), 4, most_clips=8, narrow=True)[0].batch
    assert held["flow"].dtype == np.float16
