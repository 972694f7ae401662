"""``jaxmotion weights``: official weights of RAFT in the user's cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from jaxmotion.commands.parsing import parse_options
from jaxmotion.errors import InputError


@dataclass(frozen=True)
class Weights:
    """Lists, fetches, verifies or removes the official weights of RAFT, which others published.

    They come from where torchvision has them, are checked by their hash, and lie in the user's
    cache ($XDG_CACHE_HOME/jaxmotion/weights). A download that broke off goes on. The data they were
    trained on have licenses of their own.

    Attributes:
        action: what to do: list shows what there is; fetch, verify and remove want a name.
        name: name of the weights, as list shows it.
        file: file to take the weights from, instead of downloading them.
        url: address of a mirror to fetch the weights from; the file has to be the same.
    """

    action: tyro.conf.Positional[Literal["list", "fetch", "verify", "remove"]] = "list"
    name: tyro.conf.Positional[str | None] = None
    file: Path | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        if (self.name is None) != (self.action == "list"):
            raise InputError(
                f"weights {self.action}: expected "
                + ("no name" if self.action == "list" else "a name, see `jaxmotion weights list`")
            )
        if self.action != "fetch" and (self.file is not None or self.url is not None):
            raise InputError(f"weights {self.action}: --file and --url belong to fetch")
        if self.file is not None and self.url is not None:
            raise InputError("weights fetch: expected --file or --url, not both")


def main(argv: Sequence[str], prog: str = "jaxmotion weights") -> None:
    """Lists, fetches, verifies or removes weights, and says what it did.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.
    """
    options = parse_options(Weights, argv, prog=prog)
    from jaxmotion.optical_flow.raft import official

    name = options.name or ""
    if options.action == "list":
        print(official.format_table())
    elif options.action == "verify":
        print(f"{official.verify(name)}: is what was published")
    elif options.action == "remove":
        print(f"{official.remove(name)}: removed")
    elif options.file is not None:
        print(f"{official.take(name, options.file)}: taken from {options.file}")
    else:
        print(f"{official.fetch(name, options.url)}: there")
