"""``jaxmotion demo``: what there is to see, on a film that it draws itself."""

from __future__ import annotations

import importlib
import time
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import tyro

from jaxmotion.commands.parsing import parse_options
from jaxmotion.errors import InputError

if TYPE_CHECKING:
    import numpy as np

LEAST_FRAMES = 4
_SIZE = (240, 320)
_FPS = 25.0
_NAMES = ("index.html", "film.mp4")


@dataclass(frozen=True)
class Demo:
    """Draws a short film, and runs flow, segmentation, instances and events on it.

    Attributes:
        out: the folder to write to; its index.html leads to all the rest.
        frames: number of frames of the film.
        open: open the page in a browser at the end.
    """

    out: Path = Path("jaxmotion-demo")
    frames: int = 48
    open: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False

    def __post_init__(self) -> None:
        if self.frames < LEAST_FRAMES:
            raise InputError(f"frames {self.frames}: expected {LEAST_FRAMES} or more")


class _Step(NamedTuple):
    """A command, and what it leaves to see.

    Attributes:
        name: name of the command, and of its folder.
        options: its options, beside the film and the folder.
        link: what to look at in its folder.
        heading: heading on the page.
        words: what can be seen, for the page.
        picture: function from its folder and a frame's number and picture to a picture.
    """

    name: str
    options: tuple[str, ...]
    link: str
    heading: str
    words: str
    picture: Callable[[Path, int, np.ndarray], np.ndarray]


def main(argv: Sequence[str], prog: str = "jaxmotion demo") -> None:
    """Makes the film, runs the commands, and says where to look.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.
    """
    options = parse_options(Demo, argv, prog=prog)
    from jaxmotion.answer.tour import Stop, write_tour
    from jaxmotion.data.video import VideoWriter
    from jaxmotion.output_folder import Results
    from jaxmotion.scenes.film import draw_film

    start, film = time.perf_counter(), options.out / "film.mp4"
    results = Results(options.out, "demo", _NAMES)
    with results.claimed(), results.in_place():
        print(f"drawing {film}: {options.frames} frames in which two things move", flush=True)
        drawn = draw_film(options.frames, *_SIZE)
        with VideoWriter(film, _FPS) as writer:
            for frame in drawn.frames:
                writer.write(frame)
        shown, stops = (options.frames - 1) // 2, []
        for step in _STEPS:
            folder = options.out / step.name
            words = [str(film), "--out", str(folder), *step.options]
            print(f"\njaxmotion {' '.join([step.name, *words])}", flush=True)
            _run(step.name, words)
            picture = step.picture(folder, shown, drawn.frames[shown])
            command = ["jaxmotion", step.name, *words]
            link = f"{step.name}/{step.link}"
            stops.append(Stop(step.heading, step.words, command, link, picture))
        page = options.out / "index.html"
        write_tour(page, "A film, and what jaxmotion says of it", _ABOUT, stops)
    seconds = time.perf_counter() - start
    print(f"\n{page}: look here first; it leads to all results ({seconds:.0f} s)")
    if options.open:
        webbrowser.open(page.resolve().as_uri())


_ABOUT = (
    "A drawn film: a camera pans over fields, one thing crosses the picture, and a smaller one "
    "begins to move later. Nothing below was told what is in it."
)


def _run(name: str, words: Sequence[str]) -> None:
    importlib.import_module(f"jaxmotion.commands.{name}").main(words)


def _flow(folder: Path, index: int, frame: np.ndarray) -> np.ndarray:
    return _beside(frame, folder / "color" / f"{index:05d}.png")


def _moving(folder: Path, index: int, frame: np.ndarray) -> np.ndarray:
    return _beside(frame, folder / "moving" / f"{index:05d}.png")


def _objects(folder: Path, index: int, frame: np.ndarray) -> np.ndarray:
    return _beside(frame, folder / "masks" / f"{index:05d}.png")


def _timeline(folder: Path, index: int, frame: np.ndarray) -> np.ndarray:
    from jaxmotion.data.pictures import read_image

    return read_image(folder / "timeline.png")


def _beside(frame: np.ndarray, path: Path) -> np.ndarray:
    import numpy as np

    from jaxmotion.data.pictures import read_image

    return np.concatenate([frame, read_image(path)], axis=1)


_STEPS = (
    _Step(
        *("flow", ("--estimator", "dis", "--color"), "color", "Optical flow"),
        "A vector for each pixel, to the next frame. Hue is its direction, saturation its length.",
        _flow,
    ),
    _Step(
        *("segment", (), "index.html", "What moves"),
        "The film, and beside it what moves on its own in a frame. The page has a player for all "
        "frames, the segments that move coherently, and a table of them.",
        _moving,
    ),
    _Step(
        *("instances", (), "index.html", "Which objects"),
        "Objects that move, each in its color, the same in all frames. The page plays them.",
        _objects,
    ),
    _Step(
        *("events", (), "index.html", "What happens, and when"),
        "A bar for each event of what moves. The page jumps to them.",
        _timeline,
    ),
)
