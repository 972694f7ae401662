"""``jaxmotion describe VIDEO... --out FILE``: the motion of videos as vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxmotion.commands.parsing import parse_options
from jaxmotion.commands.segmenting import choose_estimator_for_masks
from jaxmotion.models import DEFAULT_MODEL


@dataclass(frozen=True)
class Describe:
    """Describes the motion of videos by the features of a trained network.

    FILE.npz holds `descriptors` [M, D], `video` [M], the number of the video of each, and `names`.

    Attributes:
        videos: video files, folders of frames, or flow: .npz, or folders of .flo files.
        out: the file to write, NAME.npz.
        checkpoint: the network: the folder of a run, a file that `jaxmotion export` wrote, or the
            name of a shipped model.
        level: what is described: clip (a whole video), frame (each), or segment (each segment or
            object that the network tells apart).
        estimator: estimator of the flow: dis (refined for masks), raft or raft_small; auto is raft
            where its weights are there and an accelerator makes it quick, else dis.
        weights: file of the weights, for raft and raft_small.
        download: fetch the official weights of raft or raft_small if they are not there.
    """

    videos: tyro.conf.Positional[tuple[Path, ...]]
    out: Path
    checkpoint: str = DEFAULT_MODEL
    level: Literal["clip", "frame", "segment"] = "clip"
    estimator: str = "auto"
    weights: Path | None = None
    download: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def main(argv: Sequence[str], prog: str = "jaxmotion describe") -> None:
    """Describes all videos, and says which are most alike.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.

    Raises:
        InputError: no video, one that cannot be read, or a file that cannot be written.
    """
    options = parse_options(Describe, argv, prog=prog)
    from jaxmotion.errors import InputError
    from jaxmotion.experiments.probing import describe_videos, write_descriptors
    from jaxmotion.inference.descriptors import nearest_neighbors
    from jaxmotion.inference.loading import load
    from jaxmotion.training.compilation_cache import enable_compilation_cache

    if options.out.suffix != ".npz":
        raise InputError(f"--out {options.out}: expected the name of a file, NAME.npz")
    if not options.videos:
        raise InputError("no video: expected the names of videos, or of folders of frames")
    enable_compilation_cache()
    model = load(options.checkpoint)
    estimator, _ = choose_estimator_for_masks(options.estimator, options.weights, options.download)
    found = describe_videos(options.videos, model, estimator, options.level)
    write_descriptors(options.out, options.videos, found)
    if options.level == "clip" and len(found) > 1:
        import numpy as np

        for path, other in zip(
            options.videos, nearest_neighbors(np.concatenate(found)), strict=True
        ):
            print(f"{path}: most like {options.videos[other]}")
    count, size = sum(map(len, found)), found[0].shape[1]
    print(f"{options.out}: {count} descriptor(s) of {size} numbers")
