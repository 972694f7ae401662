"""The notebooks as they are stored; `.ci/run` runs them (`notebooks/run.py`)."""

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def code_of(path):
    cells = json.loads(path.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_there_are_five_and_the_page_names_them():
    assert [path.name[0] for path in NOTEBOOKS] == list("12345")
    page = (ROOT / "docs" / "notebooks.md").read_text()
    assert all(path.name in page for path in NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_installs_what_is_missing(path):
    first = "".join(code_of(path)[0]["source"])
    assert 'find_spec("jaxmotion") is None' in first
    assert '"pip", "install", "-q", "jaxmotion"' in first


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_small_and_without_an_error(path):
    assert path.stat().st_size < 300_000
    for cell in code_of(path):
        ast.parse("".join(cell["source"]))
        assert all(output["output_type"] != "error" for output in cell["outputs"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_it_takes_from_the_project_is_there(path):
    """Every name that is imported from the project exists, which tells before a run does."""
    import importlib

    tree = ast.parse("\n".join("".join(cell["source"]) for cell in code_of(path)))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "jaxmotion":
            module = importlib.import_module(node.module)
            for name in node.names:
                if not hasattr(module, name.name):  # then it is a module
                    importlib.import_module(f"{node.module}.{name.name}")
