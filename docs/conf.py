"""Sphinx configuration: `python -m sphinx -W docs docs/_build`."""

from importlib.metadata import version as installed_version

project = "jaxmotion"
author = "the jaxmotion contributors"
project_copyright = "the jaxmotion contributors, Apache-2.0"
release = version = installed_version("jaxmotion")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_parser",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"jaxmotion {release}"

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3

# In docstrings `name` is code, as everywhere else.
default_role = "code"
smartquotes = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings state shapes and units, which types do not
napoleon_use_ivar = True  # a table of attributes, which are not listed a second time


def keep_bars(app, what, name, obj, options, lines):
    """In docstrings a bar outside of code is an absolute value, not a substitution of RST."""
    for number, line in enumerate(lines):
        pieces = line.split("`")
        pieces[::2] = [piece.replace("|", r"\|") for piece in pieces[::2]]
        lines[number] = "`".join(pieces)


def skip_fields(app, what, name, obj, skip, options):
    """The fields of a NamedTuple stand under Attributes already."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def setup(app):
    """Registers the two."""
    app.connect("autodoc-process-docstring", keep_bars)
    app.connect("autodoc-skip-member", skip_fields)
