"""Which file is of which frame, and whether flow and frames have one shape."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmotion.data.pairing import (
    check_flow_count,
    check_flow_names,
    check_flow_shape,
    place_files,
)
from jaxmotion.errors import InputError

FRAMES = [f"{t:05d}" for t in range(12)]


def files(stems, suffix=".flo"):
    return [Path(f"flow/{stem}{suffix}") for stem in stems]


@pytest.mark.parametrize(
    ("stems", "names", "expected"),
    [
        (["00000", "00011"], FRAMES, [0, 11]),
        (["0", "11"], FRAMES, [0, 11]),
        (["frame_003", "frame_010"], FRAMES, [3, 10]),
        (["7_gt"], FRAMES, [7]),
        (["00001", "00012"], FRAMES, [1, None]),
        (["3", "5"], ["v2_0003", "v2_0004", "v2_0005"], [0, 2]),
        (["v2_0004"], ["v2_0003", "v2_0004", "v2_0005"], [1]),
        (["u2_4"], ["v2_0003", "v2_0004", "v2_0005"], [1]),  # it counts where the frames count
        (["f1_t200"], ["f0_t100", "f1_t200"], [1]),  # two numbers differ: by the very name
        (["1"], ["f0_t100", "f1_t200"], [None]),
        (["1_200"], FRAMES, [None]),
        (["b", "a"], ["a", "b"], [1, 0]),
        (["c"], ["a", "b"], [None]),
        (["a_1", "b_2"], FRAMES, [None, None]),  # of two series
    ],
)
def test_a_file_is_of_the_frame_of_its_name_or_number(stems, names, expected):
    assert place_files(files(stems), names) == expected


@given(st.permutations(range(12)), st.integers(1, 6), st.sampled_from(["", "flow_", "r2d2-"]))
def test_neither_order_nor_padding_nor_other_words_matter(order, digits, word):
    stems = [f"{word}{t:0{digits}d}" for t in order]
    assert place_files(files(stems), FRAMES) == list(order)


def test_two_files_of_one_frame_are_named():
    with pytest.raises(InputError, match=r"flow/1\.flo: of the same frame as 01\.flo"):
        place_files(files(["01", "1", "2"]), FRAMES)


def test_flow_of_every_frame_but_the_last():
    check_flow_names(files(FRAMES[:-1]), FRAMES)
    check_flow_names(files(FRAMES), FRAMES)
    check_flow_names(files(str(t) for t in range(10)), FRAMES, gap=2)
    check_flow_names(files(FRAMES[2:]), FRAMES, gap=-2)
    for stems, gap, words in (
        (FRAMES[1:-1], 1, r"flow/00000\.flo: no such flow"),
        (FRAMES[1:], 1, r"flow/00000\.flo: no such flow"),  # of the last frame instead of the first
        (FRAMES[:-2], 1, r"flow/00010\.flo: no such flow"),
        ([*FRAMES[:5], *FRAMES[6:]], 1, r"flow/00005\.flo: no such flow"),
        ([f"{t:05d}" for t in range(1, 13)], 1, r"flow/00012\.flo: flow of no frame"),
        (FRAMES[:-1], -1, r"flow/00011\.flo: no such flow, expected one of every frame but the fi"),
    ):
        with pytest.raises(InputError, match=words):
            check_flow_names(files(stems), FRAMES, gap)


def test_flow_without_names_has_to_be_as_long_as_the_video():
    for num_flows, gap in ((11, 1), (12, 1), (9, 3)):
        check_flow_count("a.npz", num_flows, 12, "frames", gap)
    for num_flows, gap in ((10, 1), (13, 1), (1, 1), (11, 3)):
        with pytest.raises(InputError, match=rf"a\.npz: {num_flows} flow fields, expected"):
            check_flow_count("a.npz", num_flows, 12, "frames", gap)


@pytest.mark.parametrize(
    ("size", "frames"),
    [
        ((128, 224), (480, 854)),
        ((64, 112), (480, 854)),
        ((436, 1024), (436, 1024)),
        ((544, 960), (1080, 1920)),
        ((128, 224), (240, 320)),  # squeezed, as the published methods do
        ((128, 224), (327, 259)),
    ],
)
def test_flow_of_the_same_shape_but_for_rounding(size, frames):
    check_flow_shape("a.npz", size, frames, "the masks")


@pytest.mark.parametrize(
    ("size", "frames"),
    [
        ((120, 216), (216, 120)),
        ((128, 224), (854, 480)),
        ((100, 100), (120, 216)),
        ((480, 640), (480, 854)),
        ((240, 426), (480, 640)),
    ],
)
def test_flow_that_would_be_stretched_is_refused(size, frames):
    with pytest.raises(InputError, match=r"a\.npz: flow of \d+ x \d+, expected the aspect ratio"):
        check_flow_shape("a.npz", size, frames, "the masks")
