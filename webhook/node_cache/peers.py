"""Peers: nodes that have a version already, from which this one gets its parts.

What comes from a peer is compared with the hashes of the manifest, which is read from S3 with the role of the pod, so
a peer can neither change a file nor give one to a pod that may not read it.
"""

import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple
from urllib.parse import quote

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from webhook.catalog.bucket.errors import CatalogError, Unreachable
from webhook.errors import InvalidInput
from webhook.http.log import FIELDS
from webhook.http.throughput import MinimumThroughput
from webhook.node_cache.peer_signatures import HEADER, read_key, sign
from webhook.strategies.node_cache import PeerSettings

_MOST_ASKED: Final = 5
_RESOLVE_SECONDS: Final = 2.0
_ASK_SECONDS: Final = 1.0
_READ_SECONDS: Final = 5.0
"""How long a peer may send nothing of a part."""
_LEAST_BYTES_PER_SECOND: Final = 1 << 20
"""What is slower comes from S3."""
_CHUNK: Final = 1 << 20
_log = logging.getLogger(__name__)


class _Peer(NamedTuple):
    address: str
    port: int


class _Busy(CatalogError):
    """A peer sends as much as it may to others."""


class PeersOrigin:
    """Peers that have a version. Each part is asked of one of them, chosen at random.

    A peer that is slow, or fails, is asked for nothing any more. Thread-safe.
    """

    def __init__(
        self, key: bytes, version: str, peers: Sequence[_Peer], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._key, self._version, self._clock = key, version, clock
        self._peers = frozenset(peers)
        self._lock = threading.Lock()
        self.bytes = 0
        """What has come from them."""

    def stream(self, path: str, first: int, last: int) -> Iterator[bytes]:
        """The bytes of a file from `first` to `last`. Raises CatalogError, also if they come too slowly."""
        peers = sorted(self._peers)
        if not peers:
            raise CatalogError("no peer is left")
        peer = random.choice(peers)  # noqa: S311
        try:
            for chunk in self._part(peer, f"/{self._version}/{quote(path)}", first, last):
                with self._lock:
                    self.bytes += len(chunk)
                yield chunk
        except _Busy:
            raise
        except (CatalogError, OSError, HttpParserError, HttpParserUpgrade) as error:
            self._drop(peer, error)
            raise Unreachable(f"the peer {peer.address}: {error or type(error).__name__}") from error

    def _part(self, peer: _Peer, target: str, first: int, last: int) -> Iterator[bytes]:
        missing, throughput = last - first + 1, MinimumThroughput(_READ_SECONDS, _LEAST_BYTES_PER_SECOND, self._clock)
        with _asked(self._key, peer, "GET", target, f"bytes={first}-{last}") as response:
            while missing:
                chunk = throughput.receive(response.read)
                if response.status == HTTPStatus.SERVICE_UNAVAILABLE:
                    raise _Busy(f"the peer {peer.address} answers {response.status}")
                if response.status not in (None, HTTPStatus.PARTIAL_CONTENT):
                    raise CatalogError(f"it answers {response.status}")
                if len(chunk) > missing:
                    raise CatalogError("it sends more than it was asked for")
                missing -= len(chunk)
                if chunk:
                    yield chunk
                if missing and (throughput.left <= 0 or peer not in self._peers):
                    raise Unreachable("it sends too slowly")

    def _drop(self, peer: _Peer, error: Exception) -> None:
        with self._lock:
            is_first = peer in self._peers
            self._peers -= {peer}
        if is_first:
            problem = f"{peer.address}: {error or type(error).__name__}"
            _log.warning("a peer is left out of a download", extra={FIELDS: {"problem": problem}})


def find_peers(options: PeerSettings, version: str) -> PeersOrigin | None:
    """The peers that have a version, of some that are chosen at random. None if there are none."""
    try:
        key = read_key(options.key_file)
    except InvalidInput as error:
        _log.warning("peers are not asked", extra={FIELDS: {"problem": str(error)}})
        return None
    own = os.environ.get("POD_IP", "")
    known = sorted(
        _Peer(address, options.port) for address in _addresses(options.service) if not _is_same(address, own)
    )
    asked = random.sample(known, min(len(known), _MOST_ASKED))
    with ThreadPoolExecutor(_MOST_ASKED) as threads:
        answers = list(threads.map(lambda peer: _has(key, peer, version), asked))
    peers = [peer for peer, has in zip(asked, answers, strict=True) if has]
    return PeersOrigin(key, version, peers) if peers else None


def _addresses(service: str) -> set[str]:
    """The addresses of a name. Empty if it has none, and if that is not known in time."""
    found = SimpleQueue[set[str]]()

    def resolve() -> None:
        try:
            found.put({str(place[0]) for *_, place in socket.getaddrinfo(service, None, type=socket.SOCK_STREAM)})
        except OSError:
            found.put(set())

    threading.Thread(target=resolve, daemon=True).start()  # nothing else ends a resolver that waits
    try:
        return found.get(timeout=_RESOLVE_SECONDS)
    except Empty:
        return set()


def _is_same(address: str, own: str) -> bool:
    try:
        return ip_address(address) == ip_address(own)
    except ValueError:
        return False


def _has(key: bytes, peer: _Peer, version: str) -> bool:
    deadline = time.monotonic() + _ASK_SECONDS
    try:
        with _asked(key, peer, "HEAD", f"/{version}") as response:
            while response.status is None:
                response.read(deadline - time.monotonic())
            return response.status == HTTPStatus.OK
    except (OSError, HttpParserError, HttpParserUpgrade):
        return False


class _Response:
    """A response that arrives. Its other methods are called by the parser."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._body = connection, list[bytes]()
        self._parser = HttpResponseParser(self)
        self.status: int | None = None
        """None until the head is complete."""

    def read(self, seconds: float) -> bytes:
        """What arrives next of the body, within a time. Raises OSError, HttpParserError and HttpParserUpgrade."""
        if seconds <= 0:  # also if there is always something to read
            raise TimeoutError
        self._connection.settimeout(seconds)
        received = self._connection.recv(_CHUNK)
        if not received:
            raise ConnectionError("it ended the connection")
        self._parser.feed_data(received)
        body = b"".join(self._body)
        self._body.clear()
        return body

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)


@contextmanager
def _asked(key: bytes, peer: _Peer, method: str, target: str, span: str = "") -> Iterator[_Response]:
    """Send a request to a peer. Raises OSError."""
    lines = [f"{method} {target} HTTP/1.1", "Host: peer", f"{HEADER}: {sign(key, method, target, span, time.time())}"]
    lines += [f"Range: {span}"] if span else []
    with socket.create_connection(peer, _ASK_SECONDS) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        yield _Response(connection)
