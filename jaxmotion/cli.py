"""The ``jaxmotion`` program: finds a command, runs it, and ends in order. Nothing is computed here.

What a command needs is imported when it runs, so that a list of the commands, their help and a
typing error are answered at once, without JAX.
"""

import contextlib
import difflib
import gc
import importlib
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from jaxmotion.errors import INTERRUPTED, InputError

COMMANDS = {
    "demo": "see what there is, on a film that it draws itself",
    "train": "train a network, or continue to",
    "eval": "score segmentations on annotated videos",
    "segment": "tell what moves in a video of your own",
    "instances": "tell which objects move, however many",
    "events": "tell what happens in a video, where and when",
    "live": "show what moves while it is filmed",
    "describe": "describe the motion of videos as vectors",
    "probe": "tell what a linear classifier makes of these vectors",
    "saliency": "tell in which frames anything moves, and what",
    "label": "label what moves in videos, to train from",
    "flow": "estimate the optical flow of a video",
    "export": "write a trained network as one file to share",
    "models": "list the shipped models",
    "weights": "fetch, verify or remove weights for optical flow",
}
"""The commands by the names of their modules in `jaxmotion.commands`, with what each does."""

READER_GONE = 128 + 13  # what a shell says of a program that SIGPIPE ended


def main(argv: Sequence[str] | None = None) -> int:
    """The console script: the command that the first word names.

    Args:
        argv: the words after the program's name; by default those of this process.

    Returns:
        The exit status that `run_command` gives. A process that others wait for is gone by then.
    """
    name, *options = (sys.argv[1:] if argv is None else argv) or [""]
    if name in COMMANDS:
        return run(name, options)
    if name in ("-h", "--help"):
        return run_command(lambda _: print(_help()), [])
    return run_command(_unknown, [name])


def run(name: str, argv: Sequence[str], prog: str | None = None) -> int:
    """Runs one command.

    Args:
        name: name of the command, one of `COMMANDS`.
        argv: options of the command.
        prog: the program as it was typed; ``jaxmotion NAME`` if not given.

    Returns:
        The exit status that `run_command` gives. A process that others wait for is gone by then.
    """

    def command(argv: Sequence[str]) -> None:
        module = importlib.import_module(f"jaxmotion.commands.{name}")
        module.main(argv, prog or f"jaxmotion {name}")

    status = run_command(command, argv)
    # Where it was never imported, no other process waits for this one.
    distributed = sys.modules.get("jaxmotion.training.distributed")
    if distributed is not None:
        distributed.end_at_once(status)
    return status


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: jaxmotion COMMAND [OPTIONS]",
            "",
            "Motion segmentation of video, without labels.",
            "",
            *lines,
            "",
            "jaxmotion COMMAND --help says what a command takes.",
        ]
    )


def _unknown(argv: Sequence[str]) -> NoReturn:
    (name,) = argv
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    what = f"unknown command {name!r}: {meant}" if name else "no command: "
    raise InputError(f"{what}expected one of {', '.join(COMMANDS)}")


def run_command(main: Callable[[Sequence[str]], None], argv: Sequence[str]) -> int:
    """Runs a command; what a user did wrong becomes one line.

    Args:
        main: function of the command.
        argv: arguments of the command, without the program's name.

    Returns:
        The exit status: 0, 2 for wrong input, 1 for training that went wrong, 130 after an
        interrupt, 143 and 129 after the signals to end and to hang up, 141 without a word if what
        read the output is gone, as in ``jaxmotion models | head -1``.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)
    if sys.stderr is None or not sys.stderr.isatty():
        # In a file, as of a job that a scheduler runs, ten times a second is no progress to read.
        os.environ.setdefault("TQDM_MININTERVAL", "10")
    try:
        with _ended_in_order():
            _run_and_flush(main, argv)
        return 0
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _output_is_unread():
            return READER_GONE
        status = getattr(error, "exit_status", None)
        if status is None:
            raise
        line = str(error) if status == INTERRUPTED else f"error: {error}"
    except KeyboardInterrupt:
        line, status = "interrupted", INTERRUPTED
    except _TerminatedError as error:
        line, status = "terminated", 128 + error.number
    # Printed when the error is gone, and with it the progress bars, that it held: they draw
    # themselves once more as they go.
    gc.collect()
    print(line, file=sys.stderr)
    return status


def _run_and_flush(main: Callable[[Sequence[str]], None], argv: Sequence[str]) -> None:
    """Runs a command; that nobody reads its output is noticed now, not when Python ends."""
    try:
        main(argv)
    except SystemExit:  # after --help
        _flush_output()
        raise
    _flush_output()


def _flush_output() -> None:
    if sys.stdout is not None:  # as in a process without a console
        sys.stdout.flush()


def _output_is_unread() -> bool:
    """Tells whether it was standard output that broke, and if so lets nothing more be written."""
    if sys.stdout is None or not hasattr(select, "poll"):
        return False
    watch = select.poll()
    watch.register(sys.stdout.fileno(), 0)  # of an end that is gone, it tells in any case
    if not watch.poll(0):
        return False
    # Python flushes once more as it ends, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


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

    def again(lost: "sys.UnraisableHookArgs") -> None:
        # What a signal raises in a destructor, or in what JAX does when garbage is collected, goes
        # nowhere. So the signal comes once more, when that is over.
        if isinstance(lost.exc_value, KeyboardInterrupt | _TerminatedError):
            number = getattr(lost.exc_value, "number", signal.SIGINT)
            threading.Timer(0.05, signal.raise_signal, (number,)).start()
        else:
            hook(lost)

    earlier, hook = {}, sys.unraisablehook
    if threading.current_thread() is threading.main_thread():  # only there can signals be caught
        sys.unraisablehook = again
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # What ignores a signal, as `nohup` does, or heeds it already is left to do so.
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                earlier[number] = signal.signal(number, end)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in earlier.items():
            signal.signal(number, handler)
