"""The way every command reads its options."""

import contextlib
import io
import sys
from collections.abc import Sequence
from typing import Any

import tyro

from jaxmotion.errors import InputError


def parse_options(kind: Any, argv: Sequence[str], **options: Any) -> Any:
    """Parses a command line; a typing error ends in the parser's own words, with status 2.

    Args:
        kind: the dataclass to make.
        argv: the arguments, without the program's name.
        **options: further options of `tyro.cli`, such as the default and the program's name.

    Raises:
        InputError: what a dataclass says of a value, in its words alone.
    """
    said = _Held(sys.stderr)
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=argv, **options)
    except SystemExit as ending:
        error = ending.__context__
        while error is not None:
            if isinstance(error, InputError):
                raise error from None
            # A dataclass refused its values; where a text is no value of its field, this is more.
            option = getattr(error, "arg", None)
            if isinstance(option, str) and type(error.__context__) is ValueError:
                name = option.rpartition(".")[2]
                raise InputError(f"{name}: {error.__context__}") from None
            error = error.__context__
        raise
    finally:
        if not isinstance(sys.exc_info()[1], InputError):
            sys.stderr.write(said.getvalue())


class _Held(io.StringIO):
    """What the parser prints, until it is known who speaks; colored where the terminal is."""

    def __init__(self, shown_on: Any) -> None:
        super().__init__()
        self._terminal = bool(getattr(shown_on, "isatty", bool)())

    def isatty(self) -> bool:
        return self._terminal
