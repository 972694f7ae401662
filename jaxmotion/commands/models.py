"""``jaxmotion models``: what comes along."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxmotion.commands.parsing import parse_options
from jaxmotion.errors import InputError
from jaxmotion.models import shipped_models


@dataclass(frozen=True)
class Models:
    """Lists the models that are shipped: their names serve as --checkpoint."""


def main(argv: Sequence[str], prog: str = "jaxmotion models") -> None:
    """Prints the table of the shipped models.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.
    """
    parse_options(Models, argv, prog=prog)
    from jaxmotion.models.zoo import format_models

    models = shipped_models()
    if not models:
        raise InputError("no model is installed, expected the files of a whole installation")
    print(format_models(models))
