import itertools
import os

import pytest
from hypothesis import given, settings
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
    expected = {
        i: folder / f"{pattern.format(numbers[i] + smallest)}.flo"
        for i in range(len(numbers) - 1)
        if numbers[i + 1] - numbers[i] != smallest
    }
    assert gaps == expected


def test_names_with_two_counters_have_an_order_but_no_gaps(tmp_path):
    names = ["1_2", "2_3", "9_10", "10_11"]
    files, gaps = numbered([tmp_path / f"{name}.flo" for name in reversed(names)])
    assert [path.stem for path in files] == names
    assert gaps == {}


def test_single_file_and_no_series(tmp_path):
    assert numbered([tmp_path / "any.flo"]) == ([tmp_path / "any.flo"], {})
    with pytest.raises(InputError, match="not of one numbered series"):
        numbered([tmp_path / "a.flo", tmp_path / "b.flo"])
    with pytest.raises(InputError, match="has the same number as"):
        numbered([tmp_path / f"{name}.flo" for name in ("1", "01", "2")])
