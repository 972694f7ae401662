"""Builds one configuration: `python -m jaxmotion_datasets.flow_scenes --config default`."""

import argparse
from pathlib import Path

from jaxmotion_datasets.flow_scenes import Builder


def main() -> None:
    """Parses the command line, builds, and says where the data lies."""
    parser = argparse.ArgumentParser(
        prog="python -m jaxmotion_datasets.flow_scenes",
        description="Build the TFDS data set flow_scenes, in ArrayRecord, without TensorFlow.",
    )
    parser.add_argument("--config", default="default", choices=sorted(Builder.builder_configs))
    parser.add_argument("--data_dir", type=Path, help="default: TFDS's own, ~/tensorflow_datasets")
    arguments = parser.parse_args()
    builder = Builder(config=arguments.config, data_dir=arguments.data_dir)
    builder.download_and_prepare(file_format="array_record")
    print(f"{builder.info.full_name}: {builder.info.dataset_size} in {builder.data_path}")


if __name__ == "__main__":
    main()
