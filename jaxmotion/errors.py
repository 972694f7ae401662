"""The one exception of the library that speaks to a user rather than to a programmer."""


class InputError(ValueError):
    """A file, folder, option or checkpoint that is missing or not what was expected.

    The message is one line that names the thing and says what was expected. Every entry point
    (`train.py`, `eval.py`, `jaxmotion`) prints it as `error: …` and exits with status 2.
    """
