"""Archives as the originals lie, and the command that builds."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from original_layouts import LAYOUTS


@pytest.fixture(scope="session")
def _drawn(tmp_path_factory) -> Callable[[str], Path]:
    """The archives, each drawn once."""
    folder = tmp_path_factory.mktemp("originals")

    def draw(name: str) -> Path:
        if not (folder / name).exists():
            (folder / name).mkdir()
            LAYOUTS[name](folder / name)
        return folder / name

    return draw


@pytest.fixture
def original(_drawn, tmp_path) -> Callable[[str], Path]:
    """A small archive in the layout of a data set, to do with as one likes."""
    return lambda name: Path(shutil.copytree(_drawn(name), tmp_path / "original" / name))


@pytest.fixture
def build(capfd, tmp_path):
    """Builds a data set into the folder `built`; gives exit status and what was printed."""
    from jaxmotion_datasets.__main__ import build_datasets

    from jaxmotion.cli import run_command

    def run(name: str, manual_dir: Path | None, *options: object) -> tuple[int, str, str]:
        words = ["build", name, "--data-dir", str(tmp_path / "built")]
        words += [] if manual_dir is None else ["--manual-dir", str(manual_dir)]
        status = run_command(build_datasets, [*words, *(str(option) for option in options)])
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def records(tmp_path) -> Callable[[str, str], dict[str, dict]]:
    """The records of a split of `NAME/CONFIG`, by the name of the sequence."""

    def read(name: str, split: str) -> dict[str, dict]:
        import tensorflow_datasets as tfds

        folder = tmp_path / "built" / name / "1.0.0"
        source = tfds.builder_from_directory(folder).as_data_source(split=split)
        found = [source[i] for i in range(len(source))]
        for record in found:
            record["masks"] = np.array(record["masks"])  # of one size: TFDS gives them as a list
        return {record["name"].decode(): record for record in found}

    return read
