"""A page that leads to the pages of several commands."""

import html
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxmotion.files import atomic_path
from jaxmotion.report.document import document
from jaxmotion.report.encoding import webp

_QUALITY = 80  # of the pictures


class Stop(NamedTuple):
    """One thing to see.

    Attributes:
        heading: what it is, plain text.
        words: what can be seen, plain text.
        command: words of the command that made it.
        link: file or folder that it leads to, seen from the page.
        picture: uint8 `[H, W, 3]`.
    """

    heading: str
    words: str
    command: Sequence[str]
    link: str
    picture: np.ndarray


def write_tour(path: Path, heading: str, words: str, stops: Sequence[Stop]) -> None:
    """Writes a page with a picture, a command and a link for each stop.

    Args:
        path: the page.
        heading: heading of the page, plain text.
        words: what it is about, plain text.
        stops: what there is to see, in order.

    Raises:
        InputError: it cannot be written.
    """
    body, sections = "<h1>$heading</h1><p>$words</p>\n$stops", "".join(map(_section, stops))
    page = document(body, heading, (), {}, words=html.escape(words), stops=sections)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _section(stop: Stop) -> str:
    heading, words, link = map(html.escape, (stop.heading, stop.words, stop.link))
    command = html.escape(shlex.join(stop.command))
    picture = f'<img src="{webp(stop.picture, _QUALITY)}" alt="{heading}">'
    return (
        f'<section><h2><a href="{link}">{heading}</a></h2>\n<p>{words}</p>\n'
        f'<p><code>{command}</code></p>\n<p><a href="{link}">{picture}</a></p></section>\n'
    )
