"""``jaxmotion export``: a trained network as one file, to share or to call from other programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from jaxmotion.commands.parsing import parse_options
from jaxmotion.errors import InputError


@dataclass(frozen=True)
class Export:
    """Writes a trained network as one file to share: best parameters in float16, configuration.

    With --stablehlo it writes a program that runs without jaxmotion, in JAX, on CPU, TPU and CUDA,
    for clips of any number and length; a note beside it (NAME.md) says how to call it.

    Attributes:
        checkpoint: the folder of a training run, or a file or name that `segment` takes as well.
        out: file to write, NAME.safetensors.
        stablehlo: program to write, NAME.stablehlo.
        size: height and width of the clips of the program; those of training by default.
        provenance: data that the network was trained on, in words.
        command: command that trained the network.
        metrics: JSON files whose numbers go along, such as the scores.json of eval.py; NAME=FILE
            puts NAME before theirs. Those of the run's summary.json go along anyway.
        part_megabytes: the most that one file may hold; the rest goes into files beside it.
    """

    checkpoint: tyro.conf.Positional[str]
    out: Path | None = None
    stablehlo: Path | None = None
    size: tuple[int, int] | None = None
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
    if options.out is None and options.stablehlo is None:
        raise InputError("expected --out NAME.safetensors, --stablehlo NAME.stablehlo, or both")
    if options.stablehlo is None and options.size is not None:
        raise InputError("--size: is of the program that --stablehlo writes")
    if options.stablehlo is not None:
        _write_program(options)
    if options.out is not None:
        _write_model(options)


def _write_program(options: Export) -> None:
    from jaxmotion.inference.portable import PLATFORMS, export_program
    from jaxmotion.models.loading import load_trained

    path = options.stablehlo
    assert path is not None
    export_program(load_trained(options.checkpoint), path, options.size)
    size = path.stat().st_size / 1e6
    note = path.with_suffix(".md").name
    print(
        f"{path}: a program for {', '.join(PLATFORMS)}, {size:.1f} MB; {note} says how to call it"
    )


def _write_model(options: Export) -> None:
    from jaxmotion.models.zoo import export_model, model_megabytes

    assert options.out is not None
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
