"""The command `python -m jaxmotion_datasets`: what it takes, what it says, what it refuses."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from original_layouts import LAYOUTS

from jaxmotion.data import open_source
from jaxmotion.errors import InputError

DATASETS = Path(__file__).parents[2] / "datasets"


@pytest.mark.parametrize(
    ("spec", "options", "named"),
    [
        ("davis2016/dis", {}, "python -m jaxmotion_datasets build davis2016"),
        ("davis2016/files", {"split": "test"}, "train, validation"),
        ("", {}, "no data set built"),
    ],
)
def test_what_is_not_built_is_named(spec, options, named, original, tmp_path, build, monkeypatch):
    assert build("davis2016", original("davis2016"))[0] == 0
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "built" if spec else tmp_path / "none"))
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=named):
        open_source(f"tfds:{spec}", **options)


def test_what_is_built_is_not_built_again(original, build):
    assert build("davis2016", original("davis2016"))[0] == 0
    status, out, _ = build("davis2016", None)
    assert status == 0
    assert "davis2016/files/1.0.0: built already" in out


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("davis2016", (), "expected --manual-dir DIR or --download. Unpack DAVIS-data.zip, https"),
        ("moca", (), "moca: expected --manual-dir DIR. Unpack MoCA, https://"),
        ("fbms59", ("--download",), "fbms59: expected --manual-dir DIR. Unpack FBMS_T"),
        ("moca", ("--manual-dir", "nowhere"), "nowhere: no such folder"),
        ("moca", ("--manual-dir", "empty"), "empty: an empty folder"),
        ("moca", ("--manual-dir", "odd"), "odd/JPEGImages: no such folder, expected the unpacked"),
        ("davis2016", ("--manual-dir", "odd", "--download"), "expected one of them"),
        ("davis2016", ("--level", "hard"), "--level hard: expected with flow_scenes only"),
        ("flow_scenes", ("--flow", "dis"), "--flow: flow_scenes is drawn"),
        ("flow_scenes", ("--manual-dir", "odd"), "--manual-dir: flow_scenes is drawn"),
    ],
)
def test_wrong_options_are_one_line(name, options, words, build, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd/inside").mkdir(parents=True)
    status, _, err = build(name, None, *options)
    assert status == 2
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert words in last
    assert not list((tmp_path / "built").glob(f"{name}/*/1.0.0"))


def test_a_place_that_cannot_be_written_is_named(original, build, tmp_path):
    (tmp_path / "built").write_text("mine")
    status, _, err = build("davis2016", original("davis2016"))
    assert status == 2
    last = err.strip().splitlines()[-1]
    assert last.startswith(f"error: {tmp_path / 'built'}")
    assert "cannot be" in last


def test_flow_scenes_is_built_by_the_same_command(build, monkeypatch):
    from jaxmotion_datasets.flow_scenes import Builder

    config = Builder.builder_configs["easy"]
    monkeypatch.setattr(config, "num_clips", (2, 1, 1))
    status, out, err = build("flow_scenes", None, "--level", "easy")
    assert status == 0, err
    assert "flow_scenes/easy/1.1.0: 2 in train, 1 in validation, 1 in test (" in out


@pytest.mark.parametrize("name", [*LAYOUTS, "flow_scenes"])
def test_a_data_set_says_what_it_is_and_where_it_comes_from(name, capsys):
    from jaxmotion_datasets.__main__ import build_datasets

    builder = importlib.import_module(f"jaxmotion_datasets.{name}").Builder
    build_datasets(["where", name])
    where = capsys.readouterr().out
    assert builder.name == name
    assert str(builder.VERSION) == next(iter(builder.RELEASE_NOTES))
    configs = {"files", "dis", "raft", "raft_small"} if name in LAYOUTS else {"default", "easy"}
    assert configs <= set(builder.builder_configs)
    if name not in ("video_flow", "flow_scenes"):
        assert "https://" in where
    for file in ("README.md", "CITATIONS.bib", "TAGS.txt"):
        assert (DATASETS / name / file).read_text().strip()


def test_every_data_set_is_packaged():
    import tomllib

    with open(DATASETS.parent / "pyproject.toml", "rb") as file:
        packages = tomllib.load(file)["tool"]["setuptools"]["packages"]
    folders = {path.parent.name for path in DATASETS.glob("*/__init__.py")}
    assert {f"jaxmotion_datasets.{name}" for name in folders} <= set(packages)
    assert folders == {*LAYOUTS, "flow_scenes"}


def test_tensorflow_is_not_imported(original, tmp_path):
    code = (
        "import sys\n"
        "from jaxmotion_datasets.__main__ import build_datasets\n"
        "from jaxmotion.data import open_source\n"
        "build_datasets(['build', 'davis2016', '--manual-dir', sys.argv[1], '--data-dir',"
        " sys.argv[2]])\n"
        "assert len(open_source(f'tfds:{sys.argv[2]}/davis2016/files')) == 15\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, str(original("davis2016")), str(tmp_path / "built")]
    subprocess.run(command, check=True, timeout=3600)
