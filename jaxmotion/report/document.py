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

from jaxmotion.evaluation.results import plain

DIGITS = 4


def asset(name: str, package: str = "jaxmotion.report") -> str:
    """Reads a file that pages are made of.

    Args:
        name: name of the file, such as `page.css`.
        package: package whose folder `web` holds the file.
    """
    return files(package).joinpath("web", name).read_text(encoding="utf-8")


def document(template: str, title: str, scripts: Sequence[str], data: Any, **parts: str) -> str:
    """Puts a page together.

    Args:
        template: HTML with `$title`, `$style`, `$style_hash`, `$script`, `$script_hash`, `$data`
            and what `parts` names. The hashes are for the page's security policy, so that no other
            script or style has a say.
        title: title of the page, plain text.
        scripts: JavaScript, in order.
        data: data for the scripts, ready for JSON; numbers are rounded.
        **parts: HTML by the name of its place in the template.

    Returns:
        The page.
    """
    style, script = asset("page.css"), "".join(scripts)
    return Template(template).substitute(
        title=html.escape(title),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data=inert(json.dumps(plain(data, DIGITS), separators=(",", ":"))),
        **parts,
    )


def inert(text: str) -> str:
    """JSON that can stand in a script element: without a `<` that could end it."""
    return text.replace("<", "\\u003c")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
