"""``jaxmotion export``: a trained network as one file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from jaxmotion.commands.parsing import parse_options


@dataclass(frozen=True)
class Export:
    """Writes a trained network as one file to share: best parameters in float16, configuration.

    Attributes:
        checkpoint: the folder of a training run, or a file or name that `segment` takes as well.
        out: file to write, NAME.safetensors.
        provenance: data that the network was trained on, in words.
        command: command that trained the network.
        metrics: JSON files whose numbers go along, such as the scores.json of eval.py; NAME=FILE
            puts NAME before theirs. Those of the run's summary.json go along anyway.
        part_megabytes: the most that one file may hold; the rest goes into files beside it.
    """

    checkpoint: tyro.conf.Positional[str]
    out: Path
    provenance: str = ""
    command: str = ""
    metrics: tuple[str, ...] = ()
    part_megabytes: float | None = None


def main(argv: Sequence[str], prog: str = "jaxmotion export") -> None:
    """Writes the model file, and says how large it is.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.
    """
    options = parse_options(Export, argv, prog=prog)
    from jaxmotion.models.zoo import export_model, model_megabytes

    trained = export_model(
        options.checkpoint,
        options.out,
        trained_on=options.provenance,
        command=options.command,
        metrics=options.metrics,
        part_megabytes=options.part_megabytes,
    )
    size = model_megabytes(options.out)
    print(f"{options.out}: {trained.num_parameters:,} parameters, {size:.1f} MB")
