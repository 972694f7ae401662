"""Downloads from a server of our own: resumed, verified, unpacked whole; and the command."""

import dataclasses
import hashlib
import http.server
import io
import threading
import zipfile
from pathlib import Path

import pytest
from jaxmotion_datasets.downloads import Archive, download, fetch_archives, unpack
from original_layouts import make_davis2016, make_davis2017_motion

from jaxmotion import downloads
from jaxmotion.errors import InputError

CONTENT = bytes(range(256)) * 4000


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `content`; breaks off after `whole` bytes, as often as `breaks` says."""

    content, whole, breaks, takes_ranges = CONTENT, 10**9, 0, True
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self):
        server = type(self)
        wanted = self.headers.get("Range", "")
        server.asked.append(wanted)
        if self.path != "/data.zip":
            self.send_error(404)
            return
        start = 0
        if wanted and server.takes_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        end = len(server.content)
        if server.breaks:
            server.breaks -= 1
            end = min(end, start + server.whole)
        self.wfile.write(server.content[start:end])

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """The address of the server, and the server itself to tell what to do."""
    monkeypatch.setattr(downloads, "PAUSE", 0)
    handler = type("Fresh", (Server,), {"asked": []})
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", handler
    running.shutdown()
    running.server_close()
    thread.join()


def archive_of(url: str, content: bytes = CONTENT) -> Archive:
    return Archive(f"{url}/data.zip", (f"sha256:{hashlib.sha256(content).hexdigest()}",))


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_file_is_downloaded_once(server, tmp_path, capfd):
    url, handler = server
    file = download(archive_of(url), tmp_path / "here")
    assert file.read_bytes() == CONTENT
    assert download(archive_of(url), tmp_path / "here") == file
    assert handler.asked == [""]
    assert "data.zip: " in capfd.readouterr().err  # the progress bar
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["data.zip"]


def test_a_connection_that_breaks_is_taken_up(server, tmp_path):
    url, handler = server
    handler.whole, handler.breaks = 300_000, 2
    assert download(archive_of(url), tmp_path).read_bytes() == CONTENT
    assert handler.asked == ["", "bytes=300000-", "bytes=600000-"]


def test_what_an_earlier_run_left_is_taken_up(server, tmp_path):
    url, handler = server
    (tmp_path / "data.zip.part").write_bytes(CONTENT[:1234])
    assert download(archive_of(url), tmp_path).read_bytes() == CONTENT
    assert handler.asked == ["bytes=1234-"]


def test_what_is_whole_but_was_not_verified_is(server, tmp_path):
    url, handler = server
    (tmp_path / "data.zip.part").write_bytes(CONTENT)
    assert download(archive_of(url), tmp_path).read_bytes() == CONTENT
    assert len(handler.asked) == 1


def test_a_server_without_ranges_starts_anew(server, tmp_path):
    url, handler = server
    handler.takes_ranges = False
    (tmp_path / "data.zip.part").write_bytes(b"some of it")
    assert download(archive_of(url), tmp_path).read_bytes() == CONTENT


def test_another_digest_is_refused_and_the_file_removed(server, tmp_path):
    url, handler = server
    handler.content = CONTENT[:-1] + b"?"
    with pytest.raises(InputError, match=r"1024000 bytes of the digest sha256:\w+, expected sha"):
        download(archive_of(url), tmp_path)
    assert list(tmp_path.iterdir()) == []
    handler.content = CONTENT
    assert download(archive_of(url), tmp_path).exists()


def test_any_published_digest_will_do(server, tmp_path):
    url, _ = server
    digests = ("sha256:0", f"md5:{hashlib.md5(CONTENT).hexdigest()}")
    assert download(Archive(f"{url}/data.zip", digests), tmp_path).exists()


@pytest.mark.parametrize("path", ["/gone", None])
def test_what_cannot_be_had_is_one_line(path, server, tmp_path):
    url = f"{server[0]}{path}" if path else "http://127.0.0.1:1"
    with pytest.raises(InputError, match="cannot be downloaded") as caught:
        download(archive_of(url), tmp_path)
    assert "--manual-dir" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_connection_that_breaks_for_good_keeps_what_came(server, tmp_path):
    url, handler = server
    handler.whole, handler.breaks = 0, 10**6
    (tmp_path / "data.zip.part").write_bytes(CONTENT[:1234])
    with pytest.raises(InputError, match="broke off at 1234 of 1024000 bytes"):
        download(archive_of(url), tmp_path)
    assert (tmp_path / "data.zip.part").stat().st_size == 1234


def test_a_local_address_is_copied(tmp_path):
    (tmp_path / "data.zip").write_bytes(CONTENT)
    file = download(archive_of(tmp_path.as_uri()), tmp_path / "here")
    assert file.read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"file/here.*cannot be written"):
        download(archive_of(server[0]), tmp_path / "file/here")


def test_an_archive_is_unpacked_but_for_what_is_left_out(tmp_path):
    content = zipped({"D/480p/a": b"a", "D/1080p/a": b"b", "D/480p/c/d": b"d"})
    (tmp_path / "x.zip").write_bytes(content)
    unpack(tmp_path / "x.zip", tmp_path / "out", leave_out=("1080p",))
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {path.name: path.read_bytes() for path in files} == {"a": b"a", "d": b"d"}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[: len(data) // 2], "not a sound zip archive"),
        (lambda data: b"<html>", "not a sound zip archive"),
        (lambda data: data.replace(b"twice", b"twicf", 1), "not a sound zip archive"),
        (lambda data: data[:45] + bytes(40) + data[85:], "not a sound zip archive"),
        (lambda data: zipped({"../out.txt": b"evil"}), "leads out of the folder"),
        (lambda data: zipped({"/out.txt": b"evil"}), "leads out of the folder"),
    ],
)
def test_a_damaged_archive_is_named(damage, words, tmp_path):
    path = tmp_path / "in/x.zip"
    path.parent.mkdir()
    path.write_bytes(damage(zipped({"twice": bytes(range(256)) * 9, "more": b"2" * 99})))
    with pytest.raises(InputError, match=words) as caught:
        unpack(path, tmp_path / "in/out")
    assert str(caught.value).startswith(f"{path}: ")
    assert not (tmp_path / "out.txt").exists()
    assert not list(tmp_path.rglob("*.part*"))


def test_unpacked_archives_are_not_fetched_again(server, tmp_path):
    url, handler = server
    handler.content = zipped({"D/a": b"a"})
    archives = (archive_of(url, handler.content),)
    unpacked = fetch_archives(archives, tmp_path)
    assert (unpacked / "D/a").read_bytes() == b"a"
    assert not list(tmp_path.glob("*.zip"))  # it takes no more room
    assert fetch_archives(archives, tmp_path) == unpacked
    assert len(handler.asked) == 1


def test_davis2016_is_downloaded_and_built(server, tmp_path, build, records, monkeypatch):
    from jaxmotion_datasets.davis2016 import Builder

    url, handler = server
    make_davis2016(tmp_path / "DAVIS", {"train": ("bear",), "val": ("dog",)})
    files = [path for path in (tmp_path / "DAVIS").rglob("*") if path.is_file()]
    handler.content = zipped({str(p.relative_to(tmp_path)): p.read_bytes() for p in files})
    monkeypatch.setattr(Builder, "ARCHIVES", (archive_of(url, handler.content),))
    handler.whole, handler.breaks = 20_000, 3
    status, out, err = build("davis2016", None, "--download")
    assert status == 0, err
    assert "1 in train, 1 in validation" in out
    assert list(records("davis2016/files", "validation")) == ["dog"]
    assert Path(tmp_path / "built/downloads/davis2016/unpacked/DAVIS/JPEGImages").is_dir()


def test_frames_of_davis2017_are_downloaded_and_the_annotations_asked_for(
    server, tmp_path, build, records, monkeypatch
):
    from jaxmotion_datasets.davis2017_motion import Builder

    url, handler = server
    make_davis2017_motion(tmp_path / "DAVIS", annotations="Annotations")
    files = [path for path in (tmp_path / "DAVIS").rglob("*") if path.is_file()]
    handler.content = zipped({str(p.relative_to(tmp_path)): p.read_bytes() for p in files})
    archive = dataclasses.replace(
        Builder.ARCHIVES[0],
        url=f"{url}/data.zip",
        digests=archive_of(url, handler.content).digests,
    )
    monkeypatch.setattr(Builder, "ARCHIVES", (archive,))
    status, _, err = build("davis2017_motion", None, "--download", "--flow", "dis")
    assert status == 2
    unpacked = tmp_path / "built/downloads/davis2017_motion/unpacked/DAVIS"
    place = unpacked / "Annotations_unsupervised_motion"
    assert f"error: {place}: no such folder, expected the annotations grouped by motion" in err
    (tmp_path / "DAVIS/Annotations").rename(place)
    status, _, err = build("davis2017_motion", None, "--download", "--flow", "dis")
    assert status == 0, err
    assert sorted(records("davis2017_motion/dis", "validation")) == ["pigs", "soapbox"]
    assert len(handler.asked) == 1


def test_the_addresses_are_those_of_the_authors():
    from jaxmotion_datasets.davis2016 import Builder as Davis2016
    from jaxmotion_datasets.davis2017_motion import Builder as Davis2017

    for builder in (Davis2016, Davis2017):
        for archive in builder.ARCHIVES:
            assert archive.url.startswith("https://")
            assert "ethz.ch/" in archive.url
            for digest in archive.digests:
                algorithm, _, hexadecimal = digest.partition(":")
                assert len(bytes.fromhex(hexadecimal)) == hashlib.new(algorithm).digest_size
