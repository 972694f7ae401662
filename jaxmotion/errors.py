"""The error that ends a command in one line, with its exit status."""

INTERRUPTED = 130
"""The exit status of what was interrupted: an end, and no error."""


class InputError(ValueError):
    """A file, folder, option or checkpoint that is missing or not what was expected.

    The message is one line that names the thing and says what was expected. Every entry point
    (`train.py`, `eval.py`, `jaxmotion`) prints it as `error: …` and exits with status 2.
    """

    exit_status = 2
