"""A registry in memory that continues interrupted uploads, which that of Debian drops. It breaks some on purpose."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class ResumingRegistry(ThreadingHTTPServer):
    """Blobs and manifests by their digests."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, breaks: int) -> None:
        """Break off so many uploads, each after half of the bytes that are sent."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.breaks = breaks
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.uploads: list[bytearray] = []
        self.ranges: list[str] = []
        """The Content-Range of each request that continued an upload."""
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_port}"


@contextmanager
def serve(breaks: int) -> Iterator[ResumingRegistry]:
    """Serve it while the context lasts."""
    with ResumingRegistry(breaks) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ResumingRegistry

    def do_HEAD(self) -> None:
        blob = self.server.blobs.get(self.path.rpartition("/")[2])
        self._answer(200 if blob is not None else 404, {"Content-Length": str(len(blob or b""))})

    def do_POST(self) -> None:
        with self.server.lock:
            self.server.uploads.append(bytearray())
            self._answer(202, {"Location": f"{self.path}{len(self.server.uploads) - 1}"})

    def do_GET(self) -> None:
        upload = self.server.uploads[int(self.path.rpartition("/")[2])]
        self._answer(204, {"Location": self.path, "Range": f"0-{max(len(upload) - 1, 0)}"})

    def do_PATCH(self) -> None:
        upload, length = self.server.uploads[int(self.path.rpartition("/")[2])], int(self.headers["Content-Length"])
        place = self.headers.get("Content-Range")
        if place:
            self.server.ranges.append(place)
        if place and place != f"{len(upload)}-{len(upload) + length - 1}":
            self._answer(416, {})
            return
        with self.server.lock:
            is_broken, self.server.breaks = self.server.breaks > 0, max(self.server.breaks - 1, 0)
        upload += self.rfile.read(length // 2 if is_broken else length)
        if is_broken:
            self.close_connection = True
            return
        self._answer(202, {"Location": self.path, "Range": f"0-{len(upload) - 1}"})

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "/manifests/" in self.path:
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            self.server.manifests[digest] = body
            self._answer(201, {"Docker-Content-Digest": digest})
            return
        url = urlsplit(self.path)
        (digest,) = parse_qs(url.query)["digest"]
        content = bytes(self.server.uploads[int(re.findall(r"\d+$", url.path)[0])]) + body
        is_right = digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
        if is_right:
            self.server.blobs[digest] = content
        self._answer(201 if is_right else 400, {})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' own name
        pass

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
