"""The ``jaxmotion`` command, and how every command ends. Nothing is computed here."""

import contextlib
import gc
import io
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import tyro

from jaxmotion.errors import InputError
from jaxmotion.models import DEFAULT_MODEL, shipped_models


def run_command(main: Callable[[Sequence[str]], None], argv: Sequence[str]) -> int:
    """Runs a command; what a user did wrong becomes one line.

    Args:
        main: the command.
        argv: its arguments, without the program's name.

    Returns:
        The exit status: 0, 2 for wrong input, 1 for training that went wrong, 130 after an
        interrupt, 143 and 129 after the signals to end and to hang up.
    """
    # Imported late: the command line answers `--help` and a typing error at once.
    from jaxmotion.training.distributed import LostProcessError
    from jaxmotion.training.loop import InterruptedTrainingError, NonFiniteLossError

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        with _ended_in_order():
            main(argv)
        return 0
    except InputError as error:
        line, status = f"error: {error}", 2
    except (NonFiniteLossError, LostProcessError) as error:
        line, status = f"error: {error}", 1
    except InterruptedTrainingError as error:
        line, status = str(error), 130
    except KeyboardInterrupt:
        line, status = "interrupted", 130
    except _TerminatedError as error:
        line, status = "terminated", 128 + error.number
    # Printed when the error is gone, and with it the progress bars, that it held: they draw
    # themselves once more as they go.
    gc.collect()
    print(line, file=sys.stderr)
    return status


class _TerminatedError(BaseException):
    """A signal asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """Lets a process that is told to end, as by a scheduler, remove its temporary files first."""

    def end(number: int, frame: object) -> NoReturn:
        raise _TerminatedError(number)

    earlier = {}
    if threading.current_thread() is threading.main_thread():  # only there can signals be caught
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # What ignores a signal, as `nohup` does, or heeds it already is left to do so.
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                earlier[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def parse_options(kind: Any, argv: Sequence[str], **options: Any) -> Any:
    """What a command line says; a typing error ends in the parser's own words, with status 2.

    Args:
        kind: the dataclass to make.
        argv: the arguments, without the program's name.
        options: of `tyro.cli`.

    Raises:
        InputError: what a dataclass says of a value, in its words alone.
    """
    said = _Held(sys.stderr)
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=argv, **options)
    except SystemExit as ending:
        error = ending.__context__
        while error is not None:
            if isinstance(error, InputError):
                raise error from None
            # A dataclass refused its values; where a text is no value of its field, this is more.
            option = getattr(error, "arg", None)
            if isinstance(option, str) and type(error.__context__) is ValueError:
                name = option.rpartition(".")[2]
                raise InputError(f"{name}: {error.__context__}") from None
            error = error.__context__
        raise
    finally:
        if not isinstance(sys.exc_info()[1], InputError):
            sys.stderr.write(said.getvalue())


class _Held(io.StringIO):
    """What the parser prints, until it is known who speaks; colored where the terminal is."""

    def __init__(self, shown_on: Any) -> None:
        super().__init__()
        self._terminal = bool(getattr(shown_on, "isatty", bool)())

    def isatty(self) -> bool:
        return self._terminal


@dataclass(frozen=True)
class Segment:
    """Segments a video: masks (PNG), an overlay video and the motion parameters.

    Attributes:
        video: a video file, or a folder of frames.
        out: the folder to write to.
        checkpoint: the name of a shipped model (`jaxmotion models` lists them), the folder of a
            training run, or a file that `jaxmotion export` wrote.
        estimator: what estimates the flow: dis (refined for masks), raft or raft_small.
        weights: file of the weights, for raft and raft_small.
        flow: flow that is there already, what `jaxmotion flow` wrote or a .npz or a folder of .flo
            numbered like the frames, instead of an estimator.
        window: frames that the network sees at once, instead of what the checkpoint was trained
            for; 0 for the whole video.
        overlap: frames that two windows share, by which their labels are linked.
        num_masks: another number of segments than in training, for a network with slots.
        latents: also write latents.npz and latents.png, what the network takes segments for.
    """

    video: tyro.conf.Positional[Path]
    out: Path
    checkpoint: str = DEFAULT_MODEL
    estimator: str = "dis"
    weights: Path | None = None
    flow: Path | None = None
    window: int | None = None
    overlap: int | None = None
    num_masks: int | None = None
    latents: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False

    def run(self) -> None:
        """Does it."""
        from jaxmotion.answer.segment import segment_video
        from jaxmotion.inference.segmenter import Segmenter
        from jaxmotion.optical_flow import estimator_for_masks
        from jaxmotion.training.compilation_cache import enable_compilation_cache

        enable_compilation_cache()
        flow = self.flow
        if flow is None:
            flow = estimator_for_masks(self.estimator, weights=self.weights)
        segmenter = Segmenter.load(self.checkpoint, num_masks=self.num_masks)
        segmenter.inference = segmenter.inference.override(self.window, self.overlap)
        report = segment_video(self.video, segmenter, self.out, flow, latents=self.latents)
        print(f"{self.out}: masks, moving, overlay.mp4, theta.npz; {report}")


@dataclass(frozen=True)
class Flow:
    """Estimates the optical flow of a video; what is there already is kept.

    Attributes:
        video: a video file, or a folder of frames.
        out: the folder to write to.
        estimator: what estimates the flow: dis, raft or raft_small.
        weights: file of the weights, for raft and raft_small.
        iterations: of raft and raft_small, 20 if not given.
        correlation: of raft and raft_small: all_pairs, on_demand (less memory), or auto.
        refine: also estimate the flow back, and fill in what the two do not agree on.
        backward: flow to the frame before instead of the one after.
        gap: frames from one to the other.
        format: a .flo or a KITTI .png for each frame, or one .npz for all.
        color: also pictures, in the colours of the usual wheel.
        quality: also warp error and forward-backward consistency; takes twice the time.
    """

    video: tyro.conf.Positional[Path]
    out: Path
    estimator: str = "dis"
    weights: Path | None = None
    iterations: int | None = None
    correlation: str | None = None
    refine: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    backward: bool = False
    gap: int = 1
    format: Literal["flo", "png", "npz"] = "flo"
    color: bool = False
    quality: bool = False

    def run(self) -> None:
        """Does it."""
        from jaxmotion.data import open_video
        from jaxmotion.optical_flow import (
            FLOW_STRENGTH,
            Refined,
            make_estimator,
            write_flow_folder,
        )
        from jaxmotion.training.compilation_cache import enable_compilation_cache

        enable_compilation_cache()
        video = open_video(self.video, min_frames=self.gap + 1)
        estimator = make_estimator(
            self.estimator,
            weights=self.weights,
            iterations=self.iterations,
            correlation=self.correlation,
        )
        if self.refine:
            estimator = Refined(estimator, FLOW_STRENGTH)
        report = write_flow_folder(
            video,
            self.out,
            estimator,
            gap=self.gap,
            backward=self.backward,
            format=self.format,
            color=self.color,
            quality=self.quality,
        )
        print(report)


@dataclass(frozen=True)
class Export:
    """Writes a trained network as one file to share: best parameters in float16, configuration.

    Attributes:
        checkpoint: the folder of a training run, or a file or name that `segment` takes as well.
        out: the file, NAME.safetensors.
        provenance: what it was trained on, in words.
        command: what trained it.
        metrics: JSON files whose numbers go along, such as the scores.json of eval.py; NAME=FILE
            puts NAME before theirs. Those of the run's summary.json go along anyway.
        part_megabytes: the most that one file may hold; the rest goes into files beside it.
    """

    checkpoint: tyro.conf.Positional[str]
    out: Path
    provenance: str = ""
    command: str = ""
    metrics: tuple[str, ...] = ()
    part_megabytes: float | None = None

    def run(self) -> None:
        """Does it."""
        from jaxmotion.models.zoo import export_model, model_megabytes

        trained = export_model(
            self.checkpoint,
            self.out,
            trained_on=self.provenance,
            command=self.command,
            metrics=self.metrics,
            part_megabytes=self.part_megabytes,
        )
        size = model_megabytes(self.out)
        print(f"{self.out}: {trained.num_parameters:,} parameters, {size:.1f} MB")


@dataclass(frozen=True)
class Models:
    """Lists the models that are shipped: their names serve as --checkpoint."""

    def run(self) -> None:
        """Does it."""
        from jaxmotion.models.zoo import format_models

        models = shipped_models()
        if not models:
            raise InputError("no model is installed, expected the files of a whole installation")
        print(format_models(models))


Command = (
    Annotated[Segment, tyro.conf.subcommand("segment")]
    | Annotated[Flow, tyro.conf.subcommand("flow")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Models, tyro.conf.subcommand("models")]
)


def jaxmotion(argv: Sequence[str]) -> None:
    """The ``jaxmotion`` command."""
    parse_options(Command, argv, prog="jaxmotion").run()


def main() -> int:
    """Entry point of the console script."""
    return run_command(jaxmotion, sys.argv[1:])
