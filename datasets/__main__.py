"""Builds data sets: `python -m jaxmotion_datasets build davis2016 --manual-dir DIR --flow dis`."""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from jaxmotion.cli import run_command
from jaxmotion.errors import InputError
from jaxmotion.files import reading

Name = Literal[
    "davis2016",
    "davis2017_motion",
    "fbms59",
    "flying_things3d",
    "moca",
    "segtrack_v2",
    "video_flow",
    "flow_scenes",
]


@dataclass(frozen=True)
class Build:
    """Builds a data set; an interrupted build is taken up where its flow stood.

    Attributes:
        dataset: name of the data set.
        manual_dir: folder of the unpacked archive.
        download: whether to fetch the archive from its authors instead, where its license allows
            that (davis2016; the frames of davis2017_motion), into DATA_DIR/downloads.
        flow: estimator of the flow, or files (of the archive itself, or of Flows/NAME in its
            folder), which is what is taken if not given.
        data_dir: folder of the built data sets; TFDS's own place, ~/tensorflow_datasets, if not
            given.
        flow_name: name of the folder of flow, NAME of Flows/NAME, where there is more than one.
        weights: file of the weights, for raft and raft_small.
        iterations: number of iterations of raft and raft_small, 20 if not given.
        level: difficulty of flow_scenes, which needs no archive; default if not given.
    """

    dataset: tyro.conf.Positional[Name]
    manual_dir: Path | None = None
    download: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    flow: Literal["files", "dis", "raft", "raft_small"] | None = None
    data_dir: Path | None = None
    flow_name: str | None = None
    weights: Path | None = None
    iterations: int | None = None
    level: Literal["default", "easy", "hard", "long"] | None = None

    def run(self) -> None:
        """Builds the data set."""
        import tensorflow_datasets as tfds
        from jaxmotion_datasets.flow_configs import FlowOptions

        from jaxmotion.data.records import INDEX, write_index

        module = importlib.import_module(f"jaxmotion_datasets.{self.dataset}")
        self._check_options()
        if self.dataset == "flow_scenes":
            builder = module.Builder(config=self.level or "default", data_dir=self.data_dir)
        else:
            options = FlowOptions(self.flow_name, self.weights, self.iterations)
            config = self.flow or "files"
            builder = module.Builder(config=config, data_dir=self.data_dir, options=options)
        if builder.data_path.exists():
            print(f"{builder.data_path}: built already")
            if not (Path(builder.data_path) / INDEX).exists():  # by an earlier version
                write_index(Path(builder.data_path))
            return
        settings: dict[str, Any] = {}
        if self.dataset != "flow_scenes":
            settings["manual_dir"] = str(self._archive(builder).absolute())
        try:
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(**settings), file_format="array_record"
            )
        except OSError as error:  # what is read has its own line: this is of what TFDS writes
            reason = error.strerror or error
            raise InputError(f"{builder.data_path}: cannot be written ({reason})") from error
        write_index(Path(builder.data_path))
        counts = {name: split.num_examples for name, split in builder.info.splits.items()}
        words = ", ".join(f"{count} in {split}" for split, count in counts.items())
        print(f"{builder.data_path}: {words} ({builder.info.dataset_size})")

    def _check_options(self) -> None:
        if self.dataset != "flow_scenes":
            if self.level is not None:
                raise InputError(f"--level {self.level}: expected with flow_scenes only")
            return
        given = {
            "--manual-dir": self.manual_dir,
            "--download": self.download or None,
            "--flow": self.flow,
            "--flow-name": self.flow_name,
            "--weights": self.weights,
            "--iterations": self.iterations,
        }
        for option, value in given.items():
            if value is not None:
                raise InputError(f"{option}: flow_scenes is drawn, expected no more than --level")

    def _archive(self, builder: Any) -> Path:
        """The folder of the unpacked archive."""
        from jaxmotion_datasets.archives import existing_folder
        from jaxmotion_datasets.downloads import fetch_archives

        where = builder.MANUAL_DOWNLOAD_INSTRUCTIONS
        if self.manual_dir is not None:
            if self.download:
                raise InputError("--manual-dir and --download: expected one of them")
            folder = existing_folder(self.manual_dir, "the unpacked archive")
            with reading(folder):
                empty = not any(folder.iterdir())
            if empty:
                raise InputError(f"{folder}: an empty folder, expected the unpacked archive")
            return folder
        if not builder.ARCHIVES:
            raise InputError(f"{self.dataset}: expected --manual-dir DIR. {where}")
        if not self.download:
            raise InputError(f"{self.dataset}: expected --manual-dir DIR or --download. {where}")
        return fetch_archives(builder.ARCHIVES, builder.downloads)


@dataclass(frozen=True)
class Where:
    """Says where the archive of a data set comes from and how it is to lie.

    Attributes:
        dataset: name of the data set.
    """

    dataset: tyro.conf.Positional[Name]

    def run(self) -> None:
        """Prints the source and the layout of the archive."""
        module = importlib.import_module(f"jaxmotion_datasets.{self.dataset}")
        print(module.Builder.MANUAL_DOWNLOAD_INSTRUCTIONS or "Drawn: there is no archive")


Command = (
    Annotated[Build, tyro.conf.subcommand("build")]
    | Annotated[Where, tyro.conf.subcommand("where")]
)


def build_datasets(argv: Sequence[str]) -> None:
    """The command `python -m jaxmotion_datasets`."""
    tyro.cli(Command, args=argv, prog="python -m jaxmotion_datasets").run()  # pyright: ignore


if __name__ == "__main__":
    sys.exit(run_command(build_datasets, sys.argv[1:]))
