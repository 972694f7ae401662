"""What README and docs say: their Python runs, their commands parse, their links and maps hold."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from jaxmotion import cli
from jaxmotion.commands import train
from jaxmotion.commands.demo import Demo
from jaxmotion.commands.describe import Describe
from jaxmotion.commands.eval import EvalConfig
from jaxmotion.commands.events import Events
from jaxmotion.commands.export import Export
from jaxmotion.commands.flow import Flow
from jaxmotion.commands.instances import Instances
from jaxmotion.commands.label import Label
from jaxmotion.commands.live import Live
from jaxmotion.commands.models import Models
from jaxmotion.commands.parsing import parse_options
from jaxmotion.commands.probe import Probe
from jaxmotion.commands.saliency import Saliency
from jaxmotion.commands.segment import Segment
from jaxmotion.commands.weights import Weights

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page, language):
    return [code for kind, code in BLOCK.findall(page.read_text()) if kind == language]


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=name_of)
def test_python_of_a_page_runs(page, untrained_run, slots_run, toy_models, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "quickstart").symlink_to(untrained_run)
    (tmp_path / "runs" / "sa").symlink_to(slots_run)
    monkeypatch.chdir(tmp_path)
    exec("\n".join(blocks(page, "python")), {"__name__": "page"})


def commands():
    """The project's own commands in shell blocks and tables, without the shell around them."""
    starts = ("python train.py", "python eval.py", "jaxmotion ")
    for page in PAGES:
        lines = "".join(blocks(page, "sh")).splitlines()
        lines += re.findall(r"`([^`\n]+)`", BLOCK.sub("", page.read_text()))
        for line in lines:
            for command in line.split("&&"):
                if command.strip().startswith(starts):
                    yield pytest.param(shlex.split(command), id=f"{name_of(page)}: {command}")


OPTIONS = {
    "demo": Demo,
    "eval": EvalConfig,
    "segment": Segment,
    "flow": Flow,
    "label": Label,
    "live": Live,
    "events": Events,
    "instances": Instances,
    "describe": Describe,
    "probe": Probe,
    "saliency": Saliency,
    "export": Export,
    "models": Models,
    "weights": Weights,
}


@pytest.mark.parametrize("words", list(commands()))
def test_command_of_a_page_parses(words):
    words = ["quickstart" if word == "NAME" else word for word in words]
    if words[-1] == "--help":
        return
    match words:
        case ["python", program, *options]:
            name = program.removesuffix(".py")
        case ["jaxmotion", name, *options]:
            assert name in cli.COMMANDS
    if name == "train":
        train.parse(options)
    elif options or name == "models":
        parse_options(OPTIONS[name], options)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_map_of_the_house_is_complete():
    readme = (ROOT / "README.md").read_text()
    house = next(code for code in blocks(ROOT / "README.md", "") if "jaxmotion/ " in code)
    inside, outside = set(), set()
    for line in house.splitlines():
        names = re.match(r"\s*((?:\S+ {1,2})+)", line.split("   ")[0] + " ").group(1).split()
        (inside if line.startswith("  ") else outside).update(names)
    for name in inside:
        assert (ROOT / "jaxmotion" / name).exists(), name
    for name in outside:
        assert (ROOT / name).exists(), name
    packages = {f"{p.parent.name}/" for p in (ROOT / "jaxmotion").glob("*/__init__.py")}
    assert packages <= inside
    assert "docs/images" in readme


FLOOR = (
    "errors",
    "files",
    "leases",
    "locks",
    "mirror",
    "options",
    "stores",
    "output_folder",
    "tensors",
    "downloads",
    "user_cache",
)
ALONE = {
    "motion": (),
    "embeddings": ("motion",),
    "losses": ("motion", "embeddings"),
    "metrics": (),
    "networks": ("motion", *FLOOR),
}


def test_imports_run_down_the_map():
    """A room imports those above it in the map, and the floor; some rooms can be taken away."""
    lines = next(c for c in blocks(ROOT / "README.md", "") if "jaxmotion/ " in c).splitlines()
    rooms = [line.split("/")[0].strip() for line in lines if re.match(r"  \w+/ ", line)]
    for index, room in enumerate(rooms):
        allowed = {room, *ALONE.get(room, (*rooms[:index], *FLOOR))}
        for path in (ROOT / "jaxmotion" / room).rglob("*.py"):
            tree = ast.parse(path.read_text())
            names = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module]
            used = {name.split(".")[1] for name in names if name.startswith("jaxmotion.")}
            assert used <= allowed, f"{path}: imports {used - allowed}"


def test_the_reference_has_every_room():
    """What a room gives by its name is in the reference, or else each of its modules."""
    text = "".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    rooms = [path.parent for path in (ROOT / "jaxmotion").glob("*/__init__.py")]
    for room in rooms:
        modules = [path.stem for path in room.glob("*.py") if path.stem != "__init__"]
        if "__all__" in (room / "__init__.py").read_text():
            modules = [""]
        for module in modules if room.name != "commands" else ():  # --help is their reference
            name = f"jaxmotion.{room.name}.{module}".rstrip(".")
            assert re.search(rf":: {name}\b", text), name


def test_the_lowest_versions_are_the_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = project["dependencies"] + project["optional-dependencies"]["test"]
    lines = (ROOT / "requirements.lowest").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        bound.replace(">=", "==") for bound in bounds
    ]
