"""What a release says of itself, in more than one place, is the same in all of them."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import jaxmotion

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_is_the_same_everywhere():
    citation = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert citation is not None
    assert citation[1] == PROJECT["version"] == jaxmotion.__version__ == version("jaxmotion")


def test_the_license_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"license: {PROJECT['license']}" in citation
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:300]


def test_the_version_is_in_the_changelog():
    found = re.findall(r"^## \[(\S+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert PROJECT["version"] in found
    assert found == sorted(found, key=lambda text: [int(n) for n in text.split(".")], reverse=True)


def test_every_package_is_installed():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "packages"
    ]
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "jaxmotion").rglob("__init__.py")
    }
    assert found == {name for name in packages if name.split(".")[0] == "jaxmotion"}
