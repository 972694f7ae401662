"""The messages that the documentation quotes are those of the program."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "troubleshooting.md"
QUOTED = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE)


def texts(tree):
    """The texts of a module, with … in the place of what an f-string puts in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "…" for p in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.fixture(scope="module")
def said():
    found = set()
    for path in (ROOT / "jaxmotion").rglob("*.py"):
        found.update(texts(ast.parse(path.read_text())))
    return sorted(found)


def is_said(message, said):
    pattern = re.compile(".*".join(re.escape(part) for part in message.split("…")), re.DOTALL)
    return any(pattern.search(text) for text in said)


def test_the_page_has_messages():
    assert len(QUOTED) > 20
    assert QUOTED.count(QUOTED[0]) == 1


@pytest.mark.parametrize("message", QUOTED)
def test_a_quoted_message_is_one_of_the_program(message, said):
    assert is_said(message.replace("%s: ", "…"), said)


def test_a_message_that_nobody_says_is_noticed(said):
    assert not is_said("…: expected something that no command says", said)
    assert not is_said("no … such camera", said)
