import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.data.windows import InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.inference.windows import bucket_length, run_windows


@st.composite
def windows(draw):
    window = draw(st.integers(1, 9))
    return InferenceConfig(window, draw(st.integers(0, window - 1)))


@settings(deadline=None, max_examples=100)
@given(config=windows(), num_frames=st.integers(1, 40))
def test_windows_cover_the_video(config, num_frames):
    listed = config.windows(num_frames)
    assert set().union(*(range(s, s + n) for s, n in listed)) == set(range(num_frames))
    assert {n for _, n in listed} == {min(config.window, num_frames)}
    starts = [s for s, _ in listed]
    regular = [i * (config.window - config.overlap) for i in range(len(starts))]
    assert starts[:-1] == regular[:-1]
    assert starts[-1] == max(0, num_frames - config.window)
    # None is superfluous: the one before the last does not reach the end.
    assert all(s + n < num_frames for s, n in listed[:-1])


def test_all_in_one_go():
    assert InferenceConfig(window=0).windows(500) == [(0, 500)]
    assert InferenceConfig(window=0).windows(0) == []


def test_cutting_reads_no_further_than_it_must_and_keeps_one_window():
    read, alive = [], []

    class Frame:
        def __init__(self, index):
            read.append(index)
            alive.append(weakref.ref(self))

    for start, frames in InferenceConfig(4, 1).cut(map(Frame, range(100))):
        assert read[-1] == start + 3
        assert sum(frame() is not None for frame in alive) <= 5
        del frames


@pytest.mark.parametrize(
    ("config", "wanted", "expected"),
    [
        ((3, 2), {}, (3, 2)),
        ((3, 2), {"window": 3}, (3, 2)),
        ((3, 2), {"overlap": 1}, (3, 1)),
        ((3, 2), {"window": 1}, (1, 0)),
        ((3, 2), {"window": 0}, (0, 0)),
        ((3, 2), {"window": 9}, (9, 2)),
        ((3, 2), {"window": 2}, (2, 1)),
        ((0, 0), {"window": 60}, (60, 6)),
        ((0, 0), {"window": 10, "overlap": 0}, (10, 0)),
        ((1, 0), {"window": 2}, (2, 1)),
    ],
)
def test_override(config, wanted, expected):
    assert InferenceConfig(*config).override(**wanted) == InferenceConfig(*expected)


@pytest.mark.parametrize(("window", "overlap"), [(-1, 0), (3, 3), (0, 1), (1, 1), (3, -1)])
def test_windows_that_cannot_be_are_refused(window, overlap):
    with pytest.raises(InputError, match="expected"):
        InferenceConfig(window, overlap)


def test_a_handful_of_lengths():
    lengths = [bucket_length(n) for n in range(1, 129)]
    assert sorted(set(lengths)) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128]
    assert all(n <= length <= 1.5 * n for n, length in enumerate(lengths, start=1))


@pytest.mark.parametrize("config", [(1, 0), (3, 2), (20, 4), (0, 0)])
@pytest.mark.parametrize("bucketed", [True, False])
@pytest.mark.parametrize("num_frames", [1, 2, 10, 33])
def test_windows_are_run_with_one_shape_and_come_back_as_they_are(config, bucketed, num_frames):
    config, shapes = InferenceConfig(*config), set()
    video = np.arange(1, num_frames + 1, dtype=np.float32)[:, None] * np.ones(2, np.float32)

    def per_frame(clips, weights):
        assert (clips[..., :1] == weights).all()  # zeros wherever there is no frame
        shapes.add(clips.shape)
        return 10 * clips

    results = list(run_windows(per_frame, ((f, f[:1]) for f in video), config, bucketed=bucketed))
    assert len(shapes) == 1
    assert [(s, n) for s, n, _ in results] == config.windows(num_frames)
    for start, length, result in results:
        np.testing.assert_array_equal(result[:length], 10 * video[start : start + length])
        assert bucketed or len(result) == length
