"""Official weights in the user's cache, from a server of our own; nothing leaves the machine."""

import hashlib
import http.server
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from jaxmotion import downloads
from jaxmotion.errors import InputError
from jaxmotion.optical_flow import choice
from jaxmotion.optical_flow.choice import choose_estimator
from jaxmotion.optical_flow.raft import official

CONTENT = bytes(range(256)) * 3000
HASH = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT under the name of the file; breaks off as often as `breaks` says."""

    asked: list[str]
    content, breaks, status = CONTENT, 0, 200
    hold = None

    def do_GET(self):
        server = type(self)
        wanted = self.headers.get("Range", "")
        server.asked.append(wanted)
        if server.status != 200:
            self.send_error(server.status)
            return
        if server.hold is not None:
            server.hold.wait(60)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        end = len(server.content)
        if server.breaks:
            server.breaks -= 1
            end = start + 100_000
        self.wfile.write(server.content[start:end])

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The server; its file is raft-small's, and the user's cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(downloads, "PAUSE", 0)
    handler = type("Fresh", (Server,), {"asked": []})
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(official, "_BASE", f"http://127.0.0.1:{running.server_port}")
    for name, weights in official.OFFICIAL.items():
        file = f"{weights.file.rpartition('-')[0]}-{HASH[:8]}.pth"
        monkeypatch.setitem(official.OFFICIAL, name, replace(weights, file=file))
    yield handler
    running.shutdown()
    running.server_close()
    thread.join()


def test_the_addresses_are_those_of_torchvision_and_the_hash_is_in_the_name():
    weights = official.find("raft-sintel")
    assert weights.url == (
        "https://download.pytorch.org/models/raft_large_C_T_SKHT_V1-0b8c9e55.pth"
    )
    assert weights.digests[0] == "sha256:0b8c9e55"


@pytest.mark.real
@pytest.mark.parametrize("name", ["raft-sintel", "raft-small"])
def test_the_files_of_the_authors_are_taken(shared, name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = shared / "data" / "raft" / f"{name}.pth"
    assert official.take(name, file).read_bytes() == file.read_bytes()
    assert official.verify(name) == official.find(name).path


def test_fetched_once_verified_removed(server):
    path = official.fetch("raft-small")
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["raft-small.pth"]
    assert official.fetch("raft-small") == official.verify("raft-small") == path
    assert server.asked == [""]
    assert "raft-small   raft_small  3.8   yes" in official.format_table()
    assert official.remove("raft-small") == path
    assert list(path.parent.iterdir()) == []
    with pytest.raises(InputError, match="not there; `jaxmotion weights fetch raft-small` gets"):
        official.verify("raft-small")
    with pytest.raises(InputError, match="nothing to remove"):
        official.remove("raft-small")


def test_a_download_that_breaks_off_is_taken_up(server):
    server.breaks = 2
    assert official.fetch("raft-small").read_bytes() == CONTENT
    assert server.asked == ["", "bytes=100000-", "bytes=200000-"]


def test_a_download_of_a_process_that_was_killed_is_taken_up(server):
    part = official.find("raft-small").path.with_name("raft-small.pth.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:5000])
    assert official.fetch("raft-small").read_bytes() == CONTENT
    assert server.asked == ["bytes=5000-"]


def test_a_wrong_hash_is_refused(server):
    server.content = CONTENT + b"?"
    with pytest.raises(InputError, match=r"768001 bytes of the digest sha256:.*expected sha256:"):
        official.fetch("raft-small")
    assert not any(official.find("raft-small").path.parent.iterdir())


@pytest.mark.parametrize("status", [404, 403])
def test_a_file_that_is_not_there_is_one_line(server, status):
    server.status = status
    with pytest.raises(InputError, match=rf"\.pth: cannot be downloaded \({status} .*--file FILE"):
        official.fetch("raft-small")
    assert len(server.asked) == 1


def test_without_a_network_it_says_so(server):
    with pytest.raises(InputError, match=r"127.0.0.1:9/.*cannot be downloaded.*--file FILE"):
        official.fetch("raft-small", "http://127.0.0.1:9/raft.pth")


def test_a_changed_file_is_found(server):
    path = official.fetch("raft-small")
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(InputError, match="weights remove raft-small`, then fetch it anew"):
        official.verify("raft-small")


def test_a_file_that_is_there_is_taken_if_it_is_the_one(server, tmp_path):
    (tmp_path / "mine.pth").write_bytes(CONTENT)
    assert official.take("raft-small", tmp_path / "mine.pth").read_bytes() == CONTENT
    (tmp_path / "mine.pth").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"mine\.pth: its digest is sha256:.*expected sha256:"):
        official.take("raft-small", tmp_path / "mine.pth")
    with pytest.raises(InputError, match=r"none\.pth: cannot be read"):
        official.take("raft-small", tmp_path / "none.pth")
    assert server.asked == []
    assert official.verify("raft-small").read_bytes() == CONTENT


def test_two_processes_download_once(server, tmp_path):
    """The second waits for the first, and finds what it brought."""
    server.hold = threading.Event()
    program = (
        "import sys; from jaxmotion.optical_flow.raft import official\n"
        "from dataclasses import replace\n"
        "weights = official.OFFICIAL['raft-small']\n"
        "official.OFFICIAL['raft-small'] = replace(weights, file=sys.argv[2])\n"
        "print('ready', flush=True)\n"
        "print(official.fetch('raft-small', sys.argv[1]))"
    )
    weights = official.find("raft-small")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, weights.url, weights.file],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    server.hold.set()
    for process in processes:
        said, _ = process.communicate(timeout=300)
        assert said.strip() == str(weights.path)
    assert server.asked == [""]
    assert weights.path.read_bytes() == CONTENT


@pytest.fixture
def on_accelerator(monkeypatch):
    import jax

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def test_auto_is_refined_dis_without_an_accelerator(server):
    chosen = choose_estimator("auto", may_download=True)
    assert chosen[:2] == ("dis", None)
    assert "DIS, refined (masks of J 0.734" in chosen.reason
    assert "jaxmotion weights fetch raft-sintel, then --estimator raft" in chosen.reason
    official.fetch("raft-sintel")
    assert "weights fetch" not in choose_estimator("auto").reason
    assert choose_estimator("auto", refined=False).reason.startswith("flow: DIS (masks of J 0.636")


@pytest.mark.usefixtures("on_accelerator")
def test_auto_is_the_best_that_is_there_on_an_accelerator(server):
    assert choose_estimator("auto")[:2] == ("dis", None)
    small = official.fetch("raft-small")
    chosen = choose_estimator("auto")
    assert chosen[:2] == ("raft_small", small)
    assert "jaxmotion weights fetch raft-sintel" in chosen.reason
    large = official.fetch("raft-sintel")
    assert choose_estimator("auto")[:2] == ("raft", large)


@pytest.mark.usefixtures("on_accelerator")
def test_nothing_is_downloaded_without_a_yes(server):
    asked = []

    def ask(question):
        asked.append(question)
        return len(asked) > 1

    assert choose_estimator("raft").weights is None
    assert choose_estimator("raft", ask=ask).weights is None
    assert server.asked == []
    assert "download raft-sintel, 20.1 MB, from http://127.0.0.1" in asked[0]
    assert choose_estimator("raft", ask=ask).weights == official.find("raft-sintel").path
    assert choose_estimator("auto", ask=ask).name == "raft"
    assert len(asked) == 2
    assert choose_estimator("raft_small", may_download=True).weights is not None


def test_nobody_is_asked_in_ci_or_without_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("CI", "true")
    assert choice.ask_at_terminal() is None
    monkeypatch.delenv("CI")
    assert choice.ask_at_terminal() is not None
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert choice.ask_at_terminal() is None


def test_auto_takes_no_weights(tmp_path):
    with pytest.raises(InputError, match="'best': unknown, expected one of auto, dis, raft, raft"):
        choose_estimator("best")
    with pytest.raises(InputError, match="weights are of one network: expected --estimator raft"):
        choose_estimator("auto", tmp_path / "raft.pth")
