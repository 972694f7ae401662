"""Archives from their authors' pages: resumed where a download broke off, verified, unpacked."""

import shutil
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jaxmotion_datasets.archives import existing_folder
from tqdm import tqdm

from jaxmotion import downloads
from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A zip archive that its license lets anyone download.

    Attributes:
        url: address of the file.
        digests: digests of any of its published states, "ALGORITHM:HEX".
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
        archives: archives to fetch.
        folder: folder that they go to; made where missing.

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
        archive: archive to download.
        folder: folder that it goes to.

    Returns:
        The file.

    Raises:
        InputError: cannot be downloaded, or has another digest.
    """
    advice = "unpack the archive by hand and give --manual-dir"
    return downloads.download(archive.url, folder / archive.name, archive.digests, advice)


def unpack(file: Path, folder: Path, leave_out: tuple[str, ...] = ()) -> None:
    """Unpacks a zip archive into a folder that other archives may have been unpacked into.

    Args:
        file: file of the archive.
        folder: folder that its content goes to, file by file and each of them whole.
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
