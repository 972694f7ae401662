"""An object store on this machine that speaks the part of Google's JSON API that clients use.

The clients are the real ones (gcsfs for files, TensorStore for arrays), told where it is by their
own variables for emulators. Objects have generations, and conditions on these are kept, which the
emulators in packages do not do: locks and checkpoints stand on them.
"""

import base64
import json
import re
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

BUCKET = "bucket"


@dataclass
class Store:
    """The objects by name, each with its generation; and what was asked for, by method and path."""

    url: str = ""
    objects: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    refuses: re.Pattern | None = None
    """Names of objects that cannot be written."""
    generation: int = 1
    lock: threading.Lock = field(default_factory=threading.Lock)
    sessions: dict[str, tuple[str, dict, bytearray]] = field(default_factory=dict)

    def put(self, name: str, content: bytes, query: dict[str, str]) -> tuple[int, dict]:
        with self.lock:
            if self.refuses and self.refuses.search(name):
                return 403, {"error": {"code": 403, "message": f"no room for {name}"}}
            if not self.fits(name, query):
                return 412, {"error": {"code": 412, "message": "conditionNotMet"}}
            self.generation += 1
            self.objects[name] = content, self.generation
            return 200, self.about(name)

    def fits(self, name: str, query: dict[str, str]) -> bool:
        now = self.objects.get(name, (b"", 0))[1]
        return "ifGenerationMatch" not in query or int(query["ifGenerationMatch"]) == now

    def about(self, name: str) -> dict:
        content, generation = self.objects[name]
        checksum = base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()
        return {
            "kind": "storage#object",
            "name": name,
            "bucket": BUCKET,
            "size": str(len(content)),
            "generation": str(generation),
            "metageneration": "1",
            "etag": f"{generation}-{checksum}",
            "updated": "2026-01-01T00:00:00.000Z",
            "timeCreated": "2026-01-01T00:00:00.000Z",
        }

    def names(self, under: str) -> list[str]:
        """The names of the objects of a folder, without its own."""
        return sorted(
            n.removeprefix(f"{under}/") for n in self.objects if n.startswith(f"{under}/")
        )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def log_message(self, *args) -> None:
        pass

    def _answer(self, status: int, content=b"", **headers) -> None:
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.store.asked.append((time.monotonic(), self.command, self.path))
        path = re.sub(r"^/(download|upload)?/?(storage/v1/)?", "", parts.path)
        match = re.fullmatch(r"b/([^/]+)(?:/o(?:/(.+))?)?", path)
        if match is None or match[1] != BUCKET:
            self._answer(404, {"error": {"code": 404, "message": "no such bucket"}})
        elif "/upload/" in parts.path:
            self._upload(query, body)
        elif match[2] is not None and self.command == "POST":
            self._copy(match[2])
        elif match[2] is not None:
            self._object(unquote(match[2]), query)
        elif path.endswith("/o"):
            self._list(query)
        else:
            self._answer(200, {"kind": "storage#bucket", "name": BUCKET, "id": BUCKET})

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _handle

    def _upload(self, query: dict[str, str], body: bytes) -> None:
        kind = query.get("uploadType")
        if "upload_id" in query:
            name, first, content = self.store.sessions[query["upload_id"]]
            content += body
            if self.headers.get("Content-Range", "").endswith("/*"):
                self._answer(308, Range=f"bytes=0-{len(content) - 1}")
            else:
                self._answer(*self.store.put(name, bytes(content), first))
        elif kind == "resumable":
            token = str(len(self.store.sessions))
            name = json.loads(body or b"{}").get("name") or query["name"]
            self.store.sessions[token] = name, query, bytearray()
            place = f"{self.store.url}/upload/storage/v1/b/{BUCKET}/o?upload_id={token}"
            self._answer(200, Location=place)
        elif kind == "multipart":
            boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])
            assert boundary
            pieces = body.split(b"--" + boundary[1].encode())
            note, content = (p.split(b"\n\n", 1)[1] for p in _plain_lines(pieces[1:3]))
            self._answer(*self.store.put(json.loads(note)["name"], content[:-1], query))
        else:
            self._answer(*self.store.put(query["name"], body, query))

    def _copy(self, path: str) -> None:
        source, kind, target = re.split(r"/(rewriteTo/b/[^/]+|copyTo/b/[^/]+|moveTo)/o/", path)
        found = self.store.objects.get(unquote(source))
        if found is None:
            self._answer(404, {"error": {"code": 404, "message": "no such object"}})
            return
        _, about = self.store.put(unquote(target), found[0], {})
        if kind == "moveTo":
            del self.store.objects[unquote(source)]
        self._answer(200, {"done": True, "resource": about, **about})

    def _object(self, name: str, query: dict[str, str]) -> None:
        with self.store.lock:
            found = self.store.objects.get(name)
            about = self.store.about(name) if found else {}
            fits = self.store.fits(name, query)
            if found and fits and self.command == "DELETE":
                del self.store.objects[name]
        if found is None:
            self._answer(404, {"error": {"code": 404, "message": f"no such object: {name}"}})
        elif not fits:
            self._answer(412, {"error": {"code": 412, "message": "conditionNotMet"}})
        elif self.command == "DELETE":
            self._answer(204)
        elif query.get("ifGenerationNotMatch") == str(found[1]):
            self._answer(304, x_goog_generation=found[1])
        elif query.get("alt") != "media":
            self._answer(200, about)
        else:
            self._content(*found)

    def _content(self, content: bytes, generation: int) -> None:
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._answer(200, content, x_goog_generation=generation)
            return
        size = len(content)
        first = int(asked[1]) if asked[1] else max(size - int(asked[2]), 0)
        last = min(int(asked[2]), size - 1) if asked[1] and asked[2] else size - 1
        if first >= size:
            self._answer(416, Content_Range=f"bytes */{size}", x_goog_generation=generation)
            return
        given = {"Content_Range": f"bytes {first}-{last}/{size}", "x_goog_generation": generation}
        self._answer(206, content[first : last + 1], **given)

    def _list(self, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        items, prefixes = [], set()
        with self.store.lock:
            for name in sorted(self.store.objects):
                beyond = name < query.get("startOffset", "") or (
                    "endOffset" in query and name >= query["endOffset"]
                )
                if beyond or not name.startswith(prefix):
                    continue
                head, found, _ = name[len(prefix) :].partition(delimiter or "\0")
                if delimiter and found:
                    prefixes.add(f"{prefix}{head}{delimiter}")
                else:
                    items.append(self.store.about(name))
        self._answer(200, {"items": items, "prefixes": sorted(prefixes)})


def _plain_lines(pieces: list[bytes]) -> Iterator[bytes]:
    """Parts of a message with its line ends, in the headers, as single ones."""
    for piece in pieces:
        head, blank, content = piece.partition(b"\r\n\r\n")
        if not blank:
            head, _, content = piece.partition(b"\n\n")
        yield head + b"\n\n" + content


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exception(), BrokenPipeError | ConnectionResetError):
            super().handle_error(request, client_address)


@contextmanager
def serving() -> Iterator[Store]:
    """A store with one empty bucket, `BUCKET`, for the time of the block."""
    store = Store()
    handler = type("Handler", (_Handler,), {"store": store})
    server = _Server(("localhost", 0), handler)
    store.url = f"http://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def environment(store: Store) -> dict[str, str]:
    """The variables that tell clients where the store is."""
    return {
        "STORAGE_EMULATOR_HOST": store.url,
        "TENSORSTORE_GCS_HTTP_URL": store.url,
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks Google what kind of bucket it is
        "GOOGLE_APPLICATION_CREDENTIALS": "",
    }
