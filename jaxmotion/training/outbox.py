"""Files of a run that grow, in a place where files do not grow."""

import sys
import tempfile
import threading
from pathlib import Path

from jaxmotion.errors import InputError
from jaxmotion.stores import is_url, put_file

SECONDS = 5.0
"""Seconds from one look for what has grown to the next: what a killed run may lose of its log."""


class Outbox:
    """A folder of this machine whose files are put into the run's folder in a store as they grow.

    A thread of its own does it, so that training waits for no store. Where the store does not take
    a file it is tried again. Of a run on a disk this is the run's folder, and nothing is put.

    Args:
        workdir: the run's folder.

    Attributes:
        folder: where to write.
    """

    def __init__(self, workdir: Path) -> None:
        self._place = workdir
        self._put: dict[Path, tuple[int, int]] = {}
        self._ended = threading.Event()
        self._staged = self._thread = None
        self.folder = workdir
        if is_url(workdir):
            self._staged = tempfile.TemporaryDirectory()
            self.folder = Path(self._staged.name)
            self._thread = threading.Thread(target=self._keep_putting, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Puts what is left.

        Raises:
            InputError: the store does not take it; this is printed as well.
        """
        if self._staged is None or self._thread is None:
            return
        self._ended.set()
        self._thread.join()
        try:
            self._put_grown()
        except InputError as error:
            print(f"the last lines of the log are lost: {error}", file=sys.stderr)
            raise
        finally:
            self._staged.cleanup()

    def _keep_putting(self) -> None:
        said = False
        while not self._ended.wait(SECONDS):
            try:
                self._put_grown()
            except InputError as error:
                if not said:
                    print(f"the log stays behind for now: {error}", file=sys.stderr)
                said = True

    def _put_grown(self) -> None:
        for file in sorted(self.folder.rglob("*")):
            if not file.is_file() or file.name.startswith("."):
                continue
            status = file.stat()
            seen = status.st_size, status.st_mtime_ns
            if self._put.get(file) != seen:
                put_file(file, self._place / file.relative_to(self.folder))
                self._put[file] = seen
