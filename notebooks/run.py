"""Runs the notebooks, and stores what they print and show.

    python notebooks/run.py
    python notebooks/run.py 2_fit_motion_models
    python notebooks/run.py --out elsewhere

Each runs in a kernel and in an empty folder of its own. One that fails ends the program; those
after it, and its own file, stay as they were.
"""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import tyro
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
MOST_KILOBYTES = 300  # that the code host shows readily
_PATIENCE = 1800  # seconds for a cell, on a machine that is busy


@dataclass(frozen=True)
class RunConfig:
    """Runs notebooks.

    Attributes:
        names: names without their suffix; all if none is given.
        out: folder to store them in; in their own place if not given.
    """

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    out: Path = FOLDER


def main(config: RunConfig) -> None:
    """Runs each notebook and says how long it took and how large it is."""
    config.out.mkdir(parents=True, exist_ok=True)
    for path in sorted(FOLDER.glob("*.ipynb")):
        if config.names and path.stem not in config.names:
            continue
        start = time.perf_counter()
        text = nbformat.writes(executed(path)) + "\n"
        kilobytes = len(text.encode()) / 1000
        if kilobytes > MOST_KILOBYTES:
            raise SystemExit(f"{path.name}: {kilobytes:.0f} kB, expected at most {MOST_KILOBYTES}")
        (config.out / path.name).write_text(text, encoding="utf-8")
        print(f"{path.name}: {time.perf_counter() - start:.0f} s, {kilobytes:.0f} kB", flush=True)


def executed(path: Path) -> nbformat.NotebookNode:
    """A notebook with the output of its cells.

    Without what machines and moments differ in: times of cells, and what goes to the error stream,
    such as progress bars.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=_PATIENCE,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
        )
        client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = {"name": "python"}
    return notebook


if __name__ == "__main__":
    main(tyro.cli(RunConfig))
