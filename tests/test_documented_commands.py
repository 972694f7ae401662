"""The commands of README and docs run, in the order of their page, on small made-up data.

What is long is made short by options behind those of the page, and RAFT and SoFlow, whose weights
are not here, are replaced by DIS. Commands with data sets of others are only parsed
(`test_documentation.py`).
"""

import json
import shlex

import jax
import numpy as np
import pytest
from PIL import Image
from test_documentation import PAGES, blocks, name_of

from jaxmotion import cli
from jaxmotion.configs import get_config
from jaxmotion.data import VideoWriter
from jaxmotion.optical_flow import write_flow_npz

FRAMES, HEIGHT, WIDTH = 13, 48, 80
SHORT = (
    *("--steps", "2", "--batch-size", "2", "--validate-every", "2", "--checkpoint-every", "2"),
    *("--picture-every", "0", "--data.height", "40", "--data.width", "64"),
    *("--data.validation-clips", "2", "--evals.frames", "2", "--no-baselines"),
)
SMALL = ("--network.widths", "4", "8", "--network.input", "scaled")
SHORT_OF = {
    "segmentation": SMALL,
    "adversarial": SMALL,
    "foreground": SMALL,
    "instances": SMALL,
    "masked": SMALL,
    "events": ("--network.channels", "4", "--network.levels", "2", "--data.clip-length", "16"),
    "soflow": ("--objective.crop", "32", "--network.iterations", "1"),
}
SUITE = '[[dataset]]\ndata = "path/to/DAVIS"\nselect = "best_subset"\ncut = [10, 0]\n'


def commands_of(page):
    """The project's own commands of a page, in order, as lists of words."""
    text = "".join(blocks(page, "sh")).replace("\\\n", " ")
    parts = [part for line in text.splitlines() for part in line.split("&&")]
    found = [shlex.split(part) for part in parts]
    own = ("jaxmotion", "python train.py", "python eval.py")
    return [words for words in found if words[:1] == ["jaxmotion"] or " ".join(words[:2]) in own]


def is_for_this_place(words):
    """Whether a command needs no more devices and no network."""
    return not {"fetch", "--distributed"} & {*words} and (
        "--mesh.data" not in words or len(jax.devices()) >= 8
    )


@pytest.fixture
def place(tmp_path, untrained_run, toy_models, monkeypatch):
    """A folder with all that the pages name."""
    root = tmp_path / "path" / "to"
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (HEIGHT, 2 * WIDTH, 3), np.uint8).repeat(4, 1).repeat(4, 0)
    for index, name in enumerate(("dog", "car", "bear")):
        inside = [np.hypot(y - 24, x - 20 - 2 * t - 4 * index) < 12 for t in range(FRAMES)]
        frames = [
            np.where(mask[..., None], texture[:HEIGHT, :WIDTH], texture[-HEIGHT:, t : t + WIDTH])
            for t, mask in enumerate(inside)
        ]
        for kind, suffix, pictures in (
            ("DAVIS/Annotations/480p", "png", [np.uint8(255) * mask for mask in inside]),
            ("masks", "png", [np.uint8(255) * mask for mask in inside]),
            ("DAVIS/JPEGImages/480p", "jpg", frames),
        ):
            (root / kind / name).mkdir(parents=True)
            for t, picture in enumerate(pictures):
                Image.fromarray(picture).save(root / kind / name / f"{t:05d}.{suffix}")
        flow = np.where(np.stack(inside)[:-1, ..., None], [2.0, 0.0], [-1.0, 0.0])
        write_flow_npz(root / "DAVIS/Flows/raft" / f"{name}.npz", flow.astype(np.float32))
        write_flow_npz(root / "flows" / f"{name}.npz", flow.astype(np.float32))
    for number in range(4):
        kind, sign = ("left", "right")[number % 2], 2 * (number % 2) - 1
        path = root / "actions" / kind / f"person{number // 2}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_flow_npz(path, sign * flow.astype(np.float32))
    (root / "DAVIS/ImageSets").mkdir()
    for split in ("train", "val", "dev"):
        (root / "DAVIS/ImageSets" / f"{split}.txt").write_text("dog\ncar\nbear\n")
    with VideoWriter(tmp_path / "my_video.mp4") as video:
        for frame in frames[:6]:
            video.write(frame)
    (tmp_path / "frames").symlink_to(root / "DAVIS/JPEGImages/480p/bear")
    (tmp_path / "suite.toml").write_text(SUITE)
    (tmp_path / "jaxmotion" / "models").mkdir(parents=True)
    (tmp_path / "runs").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def with_what_is_here(words, place, untrained_run):
    """A command that takes no longer than it must, and the runs that it is to find."""
    name, options = words[1].removesuffix(".py"), words[2:]
    if {"raft", "soflow"} & {*options} and name in ("flow", "segment"):
        start = options.index("--estimator")
        options[start + 1] = "dis"
        if "--weights" in options:
            where = options.index("--weights")
            del options[where : where + 2]
    made = options[options.index("--workdir") + 1] if "--workdir" in options else None
    for option in options:
        run = place / option.rpartition("=")[2]
        if option.rpartition("=")[2] != made and run.parent == place / "runs" and not run.exists():
            run.symlink_to(untrained_run)
    if name != "train" or "--help" in options:
        return name, options
    config = options[0] if options and not options[0].startswith("-") else "quickstart"
    return name, [*options, *SHORT, *SHORT_OF.get(get_config(config).task.kind, ())]


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if commands_of(p)], ids=name_of)
def test_commands_of_a_page_run_in_order(page, place, untrained_run, capfd):
    for words in filter(is_for_this_place, commands_of(page)):
        name, options = with_what_is_here(words, place, untrained_run)
        try:
            status = cli.run(name, options)
        except SystemExit as ending:  # of --help
            status = ending.code or 0
        assert status == 0, (words, capfd.readouterr().err)
        out = options[options.index("--out") + 1] if "--out" in options else ""
        if name == "segment":
            assert (place / out / "index.html").is_file()
            assert len(list((place / out / "moving").iterdir())) in (6, FRAMES)
        elif name == "eval":
            assert 0 <= json.loads((place / out / "scores.json").read_text())["J_mean"] <= 1
