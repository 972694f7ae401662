"""Builds data sets: `python -m jaxmotion_datasets build davis2016 --manual-dir DIR --flow dis`."""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxmotion.cli import run_command
from jaxmotion.errors import InputError

Name = Literal["davis2016", "fbms59", "segtrack_v2", "video_flow"]


@dataclass(frozen=True)
class Build:
    """Builds a data set; an interrupted build is taken up where its flow stood.

    Attributes:
        dataset: which one.
        manual_dir: the unpacked archive.
        flow: files (of Flows/NAME in the same folder), or the estimator.
        data_dir: where the built data sets lie; TFDS's own place, ~/tensorflow_datasets, if not
            given.
        flow_name: NAME of Flows/NAME, where there is more than one.
        weights: file of the weights, for raft and raft_small.
    """

    dataset: tyro.conf.Positional[Name]
    manual_dir: Path
    flow: Literal["files", "dis", "raft", "raft_small"] = "files"
    data_dir: Path | None = None
    flow_name: str | None = None
    weights: Path | None = None

    def run(self) -> None:
        """Does it."""
        import tensorflow_datasets as tfds
        from jaxmotion_datasets.archives import existing_folder
        from jaxmotion_datasets.clips import FlowOptions

        manual_dir = existing_folder(self.manual_dir, "the unpacked archive")
        if not any(manual_dir.iterdir()):
            raise InputError(f"{manual_dir}: an empty folder, expected the unpacked archive")
        builder = importlib.import_module(f"jaxmotion_datasets.{self.dataset}").Builder(
            config=self.flow,
            data_dir=self.data_dir,
            options=FlowOptions(self.flow_name, self.weights),
        )
        if builder.data_path.exists():
            print(f"{builder.data_path}: built already")
            return
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=str(manual_dir.absolute()))
        )
        counts = {name: split.num_examples for name, split in builder.info.splits.items()}
        words = ", ".join(f"{count} in {split}" for split, count in counts.items())
        print(f"{builder.data_path}: {words} ({builder.info.dataset_size})")


@dataclass(frozen=True)
class Where:
    """Says where the archive of a data set comes from and how it is to lie.

    Attributes:
        dataset: which one.
    """

    dataset: tyro.conf.Positional[Name]

    def run(self) -> None:
        """Does it."""
        module = importlib.import_module(f"jaxmotion_datasets.{self.dataset}")
        print(module.Builder.MANUAL_DOWNLOAD_INSTRUCTIONS)


Command = (
    Annotated[Build, tyro.conf.subcommand("build")]
    | Annotated[Where, tyro.conf.subcommand("where")]
)


def build_datasets(argv: Sequence[str]) -> None:
    """The command `python -m jaxmotion_datasets`."""
    tyro.cli(Command, args=argv, prog="python -m jaxmotion_datasets").run()  # pyright: ignore


if __name__ == "__main__":
    sys.exit(run_command(build_datasets, sys.argv[1:]))
