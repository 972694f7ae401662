import itertools
import os
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, list_files, numbered, reading


def test_file_appears_whole_with_its_folders(tmp_path):
    path = tmp_path / "deep" / "er" / "a.txt"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["a.txt"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_after_a_failure_the_old_file_stands_alone(tmp_path, failure):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(failure), atomic_path(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise failure
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_the_system_says_becomes_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=r"file/a\.txt: cannot be written \(.+\)"),
        atomic_path(tmp_path / "file" / "a.txt") as temporary,
    ):
        temporary.write_text("never")
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(InputError, match="folder: cannot be written"),
        atomic_path(tmp_path / "folder") as temporary,
    ):
        temporary.write_text("a folder stands where the file should")
    with pytest.raises(InputError, match=r"b: cannot be read \(No such file"), reading("a"):
        (tmp_path / "b").read_bytes()  # the file itself is named, not what was asked for


def test_listing(tmp_path):
    for name in ("b.PNG", "a.png", ".hidden.png", "c.jpg", "d"):
        (tmp_path / name).write_text("")
    assert [path.name for path in list_files(tmp_path, (".png",))] == ["a.png", "b.PNG"]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 300), min_size=2, max_size=12, unique=True),
    st.integers(1, 5),
    st.sampled_from(["{}", "f{:04d}", "s2_{:03d}_left", "{:06d}x3"]),
    st.randoms(),
)
def test_gaps_are_found_wherever_they_are(tmp_path_factory, numbers, step, pattern, random):
    numbers = sorted(n * step for n in numbers)
    folder = tmp_path_factory.getbasetemp()
    paths = [folder / f"{pattern.format(n)}.flo" for n in numbers]
    shuffled = random.sample(paths, len(paths))
    files, gaps = numbered(shuffled)
    assert files == paths
    smallest = min(b - a for a, b in itertools.pairwise(numbers))
    assume(smallest < 10)  # larger steps that are nearly equal are times
    expected = {
        i: folder / f"{pattern.format(numbers[i] + smallest)}.flo"
        for i in range(len(numbers) - 1)
        if numbers[i + 1] - numbers[i] != smallest
    }
    assert gaps == expected


def series(names):
    """Stems in order, and names that are missing, of files given in another order."""
    paths = [Path("folder", f"{name}.png") for name in names.split()]
    files, gaps = numbered(paths[1::2] + paths[::2])
    return " ".join(path.stem for path in files), [path.name for path in gaps.values()]


@pytest.mark.parametrize(
    "names",
    [
        "8 9 10 11",
        "frame-8 frame-9 frame-10",  # a hyphen that is no sign
        "-3 -2 -1 0 1",
        "t_-1 t_0 t_1",
        "clip2_f0 clip2_f1 clip2_f2",
        "1_2 2_3 3_4",
        "f000_t0100 f001_t0133 f002_t0190",  # one counts, the other is a time
        "f1_d53 f2_d12 f3_d70",  # a measurement
        "e20_f1 e20_f2 e18_f3",  # and one before the number that counts
        "part1_1 part1_2 part2_3 part2_4",
        "1305031102.175304 1305031102.211214 1305031102.243211 1305031102.275326",
        "rgb_1305031102.9 rgb_1305031102.9412 rgb_1305031103.03 rgb_1305031104",
        "1403636579763555584 1403636579813555456 1403636579863555584 1403636580063555584",
        "1305031102175 1305031102208 1305031102241 1305031102341",
        "0 33 67 100 133 200",
        "0.033 0.067 0.1 0.133",
        "v1.9 v1.10 v1.11",
        "10-59-58 10-59-59 11-00-00 11-00-01",
        "20240105_235958_1 20240105_235958_2 20240105_235958_3",
    ],
)
def test_series_in_their_order_without_gaps(names):
    assert series(names) == (names, [])


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        ("0 1 2 3 5 6", ["4.png"]),
        ("0998 0999 1000 1002", ["1001.png"]),
        ("-3 -2 0 1", ["-1.png"]),
        ("1_2 2_3 9_10 10_11", ["3_*.png"]),
        ("f000_t0100 f001_t0133 f002_t0166 f005_t0265 f006_t0298", ["f003_t*.png"]),
        ("1_1403636579763555584 2_1403636579813555456 4_1403636579863555584", ["3_*.png"]),
        ("0 40 80 160 200", ["120.png"]),
        ("part1_1 part1_2 part2_4 part2_5", ["part*_3.png"]),
    ],
)
def test_what_the_counting_number_leaves_out(names, missing):
    assert series(names) == (names, missing)


@pytest.mark.parametrize(
    "names",
    [
        "take1_0 take1_1 take1_2 take2_0 take2_1 take2_2",
        "take1.0001 take1.0002 take2.0001 take2.0002",
        "000000_10 000000_11 000001_10 000001_11",
        "cam0_1 cam0_2 cam1_1 cam1_2",
        "left_1 left_2 right_1 right_2",
        "10-59-58 10-59-59 11-00-00 11-00-05",
        "a b",
        "① ②",
        "٠ ١ ٢",
        "0000 0001 0001(1)",
    ],
)
def test_what_is_no_single_series(names):
    with pytest.raises(InputError, match=r"folder: \S+ and \S+ are not of one numbered series"):
        series(names)


def test_single_file_and_the_same_number_twice():
    assert series("any") == ("any", [])
    for names in (["1.flo", "01.flo", "2.flo"], ["7.png", "7.jpg"], ["a.png", "a.jpg"]):
        with pytest.raises(InputError, match="has the same number as"):
            numbered([Path(name) for name in names])
