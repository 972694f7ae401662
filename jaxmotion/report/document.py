"""A page that holds all it shows: style, scripts, data and pictures in one file, nothing to load.

Python gathers and escapes; what is shown, and how, is in files that are put into the page.
"""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import Any

from jaxmotion.options import plain

DIGITS = 4


def asset(name: str, package: str = "jaxmotion.report") -> str:
    """Reads a file that pages are made of.

    Args:
        name: name of the file, such as `page.css`.
        package: package whose folder `web` holds the file.
    """
    return files(package).joinpath("web", name).read_text(encoding="utf-8")


def document(
    body: str,
    heading: str,
    scripts: Sequence[str],
    data: Any,
    *,
    title: str = "",
    layers: str = "",
    **parts: str,
) -> str:
    """Puts a page together. By its security policy no other script or style has a say.

    Args:
        body: HTML of what is on the page, with `$heading` and what `parts` names.
        heading: heading of the page, plain text.
        scripts: JavaScript, in order.
        data: data for the scripts, ready for JSON; numbers are rounded.
        title: title of the page, plain text, where it is not the heading.
        layers: HTML of further data, behind the body.
        **parts: HTML by the name of its place in the body.

    Returns:
        The page.
    """
    style, script = asset("page.css"), "".join(scripts)
    return Template(asset("document.html")).substitute(
        title=html.escape(title or heading),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data=inert(json.dumps(plain(data, DIGITS), separators=(",", ":"))),
        body=Template(body).substitute(heading=html.escape(heading), **parts),
        layers=layers,
    )


def inert(text: str) -> str:
    """JSON that can stand in a script element: without a `<` that could end it."""
    return text.replace("<", "\\u003c")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
