"""Downloads: resumed where they broke off, verified, under their final name whole or not at all.

Nothing is downloaded unless a user asked for it.
"""

import hashlib
import http
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from jaxmotion.errors import InputError

ATTEMPTS = 5  # in a row that bring nothing
PAUSE = 1  # second more after each
TIMEOUT = 60  # seconds without a byte
_BLOCK = 1 << 20


def download(url: str, file: Path, digests: Sequence[str], advice: str) -> Path:
    """Downloads a file, or what is missing of it, and verifies it.

    Args:
        url: address of the file.
        file: file to write; one that is there already is taken as it is. Until all has come, the
            part that has is in FILE.part.
        digests: accepted digests, "ALGORITHM:HEX" of any published state of the file; the beginning
            of the hexadecimal digits is enough.
        advice: words for the error, on what to do where the file cannot be downloaded.

    Returns:
        The file.

    Raises:
        InputError: it cannot be downloaded or written, or has another digest.
    """
    part = file.with_name(f"{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            _download_part(url, part, advice)
            size = part.stat().st_size
            if found := wrong_digest(part, digests):
                part.unlink()
                raise InputError(
                    f"{url}: {size} bytes of the digest {found}, expected "
                    f"{' or '.join(digests)}; removed, so that the same command downloads it anew"
                )
            os.replace(part, file)
    except OSError as error:
        raise InputError(f"{part}: cannot be written ({error.strerror or error})") from error
    return file


def wrong_digest(file: Path, digests: Sequence[str]) -> str:
    """Compares the digest of a file with those wanted.

    Args:
        file: file to check.
        digests: accepted digests, "ALGORITHM:HEX"; the beginning of the hexadecimal digits is
            enough.

    Returns:
        An empty text if the file has one of the digests; else its digest, "ALGORITHM:HEX".
    """
    said = ""
    for digest in digests:
        algorithm, _, wanted = digest.partition(":")
        with open(file, "rb") as content:
            found = hashlib.file_digest(content, algorithm).hexdigest()
        if found.startswith(wanted):
            return ""
        said = f"{algorithm}:{found}"
    return said


def _download_part(url: str, part: Path, advice: str) -> None:
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        hopeless = False
        try:
            total = _append(url, part)
            if total is None or part.stat().st_size >= total:
                return
            reason = f"broke off at {part.stat().st_size} of {total} bytes"
        except urllib.error.HTTPError as error:
            if error.code == 416 and before:  # nothing is left to send: the digest will tell
                return
            hopeless = 400 <= error.code < 500
            reason = f"{error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename:
                raise  # of the file, not of the connection
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        after = part.stat().st_size if part.exists() else 0
        failures = 0 if after > before else failures + 1
        if hopeless or failures == ATTEMPTS:
            raise InputError(
                f"{url}: cannot be downloaded ({reason}); the same command goes on where it "
                f"stopped, or {advice}"
            )
        time.sleep(failures * PAUSE)


def _append(url: str, part: Path) -> int | None:
    """Adds what a file lacks; returns the size that it should have, where the server tells it."""
    start = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        start = start if resumed else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        with (
            open(part, "ab" if resumed else "wb") as file,
            tqdm(
                total=total,
                initial=start,
                unit="B",
                unit_scale=True,
                desc=PurePosixPath(url).name,
                leave=False,
            ) as bar,
        ):
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
    return total
