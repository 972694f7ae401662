"""Archives from their authors' pages: resumed where a download broke off, verified, unpacked."""

import hashlib
import http
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jaxmotion_datasets.archives import existing_folder
from tqdm import tqdm

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading

ATTEMPTS = 5  # in a row that bring nothing
PAUSE = 1  # second more after each
TIMEOUT = 60  # seconds without a byte
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A zip archive that its licence lets anyone download.

    Attributes:
        url: where.
        digests: "ALGORITHM:HEX", of any of its published states.
        leave_out: names of folders that are not unpacked.
    """

    url: str
    digests: tuple[str, ...]
    leave_out: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the file."""
        return PurePosixPath(self.url).name


def fetch_archives(archives: tuple[Archive, ...], folder: Path) -> Path:
    """Downloads, verifies and unpacks archives into one folder.

    What an earlier call has finished is taken as it is; a download that broke off goes on.

    Args:
        archives: which.
        folder: where they go; made where missing.

    Returns:
        The folder with what was in them.

    Raises:
        InputError: cannot be downloaded, has another digest, or is no sound archive.
    """
    unpacked = folder / "unpacked"
    for archive in archives:
        done = folder / f"{archive.name}.unpacked"
        if not done.exists():
            file = download(archive, folder)
            unpack(file, unpacked, archive.leave_out)
            done.touch()
            file.unlink()
    return existing_folder(unpacked, "the unpacked archive")


def download(archive: Archive, folder: Path) -> Path:
    """Downloads an archive, or what is missing of it, and verifies it.

    Args:
        archive: which.
        folder: where it goes.

    Returns:
        The file.

    Raises:
        InputError: cannot be downloaded, or has another digest.
    """
    file = folder / archive.name
    part = folder / f"{archive.name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            _download_part(archive.url, part)
            _verify(archive, part)
            os.replace(part, file)
    except OSError as error:
        raise InputError(f"{part}: cannot be written ({error.strerror or error})") from error
    return file


def _download_part(url: str, part: Path) -> None:
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
                "stopped, or unpack the archive by hand and give --manual-dir"
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


def _verify(archive: Archive, part: Path) -> None:
    for digest in archive.digests:
        algorithm, _, wanted = digest.partition(":")
        with open(part, "rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if found == wanted:
            return
    size = part.stat().st_size
    part.unlink()
    raise InputError(
        f"{archive.url}: {size} bytes of the digest {algorithm}:{found}, expected "
        f"{' or '.join(archive.digests)}; removed, so that the same command downloads it anew"
    )


def unpack(file: Path, folder: Path, leave_out: tuple[str, ...] = ()) -> None:
    """Unpacks a zip archive into a folder that other archives may have been unpacked into.

    Args:
        file: the archive.
        folder: where its content goes, file by file and each of them whole.
        leave_out: names of folders in it that are not wanted.

    Raises:
        InputError: not a zip archive, damaged, a name that leads out of the folder, or no room.
    """
    try:
        with reading(file):
            archive = zipfile.ZipFile(file)
        with archive:
            members = [
                member
                for member in archive.infolist()
                if not member.is_dir()
                and not {*PurePosixPath(member.filename).parts} & {*leave_out}
            ]
            for member in tqdm(members, desc=f"unpacking {file.name}", unit="file", leave=False):
                place = PurePosixPath(member.filename)
                if ".." in place.parts or place.is_absolute():
                    raise InputError(f"{file}: holds {place}, a name that leads out of the folder")
                with (
                    archive.open(member) as source,
                    atomic_path(folder / place) as temporary,
                    open(temporary, "wb") as target,
                ):
                    shutil.copyfileobj(source, target, _BLOCK)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InputError(f"{file}: not a sound zip archive ({error})") from error
