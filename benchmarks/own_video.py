"""What a command makes of clips of a user's kind: what moves, time, memory, size of the page.

    python benchmarks/own_video.py --out clips
    python benchmarks/own_video.py --out clips --clips pan small
    python benchmarks/own_video.py --out clips --clips short longest --command events
    python benchmarks/own_video.py --out clips --videos path/to/DAVIS/JPEGImages/480p/dog

Clips are textures of noise that a virtual camera looks at, and a disk of another texture where an
object moves, with noise of three gray levels: what is true is known. Each is written as a video
file, segmented with default options in a process of its own, and left beside its results, to be
looked at. A line says how much of the picture moves, the Jaccard index with the disk, wall and CPU
seconds (compilation included; a compiled program is kept between clips), peak memory, and the size
of `index.html`.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tyro

from jaxmotion.data.pictures import read_image
from jaxmotion.data.video import VideoWriter


@dataclass(frozen=True)
class Clip:
    """A made-up clip.

    Attributes:
        height: of the frames.
        width: of the frames.
        frames: their number.
        pan: pixels a frame by which the camera goes to the right.
        radius: of the disk, in pixels; 0 for none.
        speed: of the disk over the ground, pixels a frame.
    """

    height: int = 480
    width: int = 854
    frames: int = 60
    pan: float = 0.0
    radius: int = 0
    speed: float = 0.0


CLIPS = {
    "static": Clip(),
    "pan": Clip(frames=30, pan=4.0),
    "object": Clip(frames=30, pan=2.0, radius=80, speed=5.0),
    "hundred": Clip(frames=100, pan=2.0, radius=80, speed=5.0),
    "small": Clip(frames=30, pan=2.0, radius=12, speed=5.0),
    "4k": Clip(2160, 3840, 12, pan=8.0, radius=350, speed=20.0),
    "long": Clip(240, 426, 2000, pan=1.0, radius=40, speed=3.0),
    "short": Clip(64, 112, 256, pan=1.0, radius=10, speed=1.0),
    "longest": Clip(64, 112, 10_000, pan=1.0, radius=10, speed=1.0),
}


@dataclass(frozen=True)
class BenchmarkConfig:
    """Segments clips.

    Attributes:
        out: where clips and results are kept.
        clips: names of CLIPS.
        videos: files or folders of frames to take instead.
        command: what is run.
    """

    out: Path
    clips: tuple[str, ...] = tuple(CLIPS)
    videos: tuple[Path, ...] = ()
    command: Literal["segment", "instances", "events"] = "segment"


def texture(height: int, width: int, seed: int) -> np.ndarray:
    """uint8 `[H, W, 3]`, noise of many scales, which repeats along the width."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for scale in (4, 8, 16, 32, 64):
        coarse = rng.normal(size=(height // scale + 2, width // scale + 1, 3)).astype(np.float32)
        coarse[:, -1] = coarse[:, 0]
        total += scale**0.5 * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(127 + 40 * total / total.std(), 0, 255).astype(np.uint8)


def frames_of(clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames, uint8 `[H, W, 3]`, and where the disk is, bool `[H, W]`."""
    ground = texture(clip.height, 2 * clip.width, 1)
    surface = texture(2 * clip.radius + 2, 2 * clip.radius + 2, 2) if clip.radius else None
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[: clip.height, : clip.width].astype(np.float32)
    for t in range(clip.frames):
        picture = cv2.remap(
            ground, (columns + clip.pan * t) % (ground.shape[1] - 1), rows, cv2.INTER_LINEAR
        )
        there = np.zeros((clip.height, clip.width), bool)
        if surface is not None:
            room = clip.width - 2 * clip.radius
            place = (clip.speed * t) % (2 * room)  # there and back again
            x = clip.radius + min(place, 2 * room - place)
            dx, dy = columns - x, rows - clip.height / 2
            there = dx**2 + dy**2 < clip.radius**2
            disk = cv2.remap(surface, dx + clip.radius, dy + clip.radius, cv2.INTER_LINEAR)
            picture = np.where(there[..., None], disk, picture)
        noise = rng.normal(0, 3, picture.shape).astype(np.float32)
        yield np.clip(picture + noise, 0, 255).astype(np.uint8), there


def overlap(folder: Path, clip: Clip) -> float:
    """Mean Jaccard index of `moving/` with the disk; 1 where nothing is and nothing was found."""
    scores = []
    for path, (_, there) in zip(sorted(folder.iterdir()), frames_of(clip), strict=True):
        found = read_image(path)[..., 0] > 0
        union = (found | there).sum()
        scores.append((found & there).sum() / union if union else 1.0)
    return float(np.mean(scores))


def run(command: str, video: Path, out: Path) -> tuple[float, float, float, str]:
    """Runs a command; wall seconds, CPU seconds, peak memory in GB, and what it said.

    Pages of files that are mapped into memory do not count: the system takes them back.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    python = [sys.executable, "-c", "import sys; from jaxmotion.cli import main; sys.exit(main())"]
    words = [*python, command, str(video), "--out", str(out)]
    memory = 0
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.poll() is None:
            memory = max(memory, anonymous(process.pid))
            time.sleep(0.2)
        said = process.stdout.read()
    if process.returncode:
        sys.exit(process.returncode)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, memory / 1e6, said.splitlines()[0]


def anonymous(process: int) -> int:
    """Memory that a process has for itself at the moment, in kB; Linux."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def main(config: BenchmarkConfig) -> None:
    """Prints a line for each clip, and what the command said of it."""
    names = [path.stem for path in config.videos] or list(config.clips)
    for number, name in enumerate(names):
        out = config.out / name
        clip = None if config.videos else CLIPS[name]
        video = config.videos[number] if clip is None else config.out / f"{name}.mp4"
        if clip is not None and not video.exists():
            with VideoWriter(video) as writer:
                for frame, _ in frames_of(clip):
                    writer.write(frame)
        wall, cpu, memory, said = run(config.command, video, out)
        text = (out / "index.html").read_text()
        data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
        count = len(data["moving"])
        score = "" if clip is None else f" J {overlap(out / 'moving', clip):.3f},"
        print(
            f"{name}: {count} frames, {100 * np.mean(data['moving']):.1f} % moves,{score} "
            f"{wall:.0f} s, {cpu:.0f} CPU s ({1000 * cpu / count:.0f} ms a frame), "
            f"{memory:.1f} GB, page {len(text.encode()) / 1e6:.1f} MB\n  {said}",
            flush=True,
        )


if __name__ == "__main__":
    main(tyro.cli(BenchmarkConfig))
