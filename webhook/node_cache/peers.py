"""Peers: nodes that have a version already, from which this one gets its parts.

What comes from a peer is compared with the hashes of the manifest, which is read from S3 with the role of the pod, so
a peer can neither change a file nor give one to a pod that may not read it.
"""

import os
import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import quote

from webhook.catalog.bucket.store import CatalogError, Unreachable
from webhook.node_cache.peer_signatures import HEADER, read_key, sign
from webhook.strategies.node_cache import PeerSettings

_MOST_ASKED: Final = 5
_ASK_SECONDS: Final = 1.0
_READ_SECONDS: Final = 10.0
_LEAST_BYTES_PER_SECOND: Final = 1 << 20
"""What is slower comes from S3."""
_CHUNK: Final = 1 << 20


class _Peer(NamedTuple):
    address: str
    port: int


class PeersOrigin:
    """Peers that have a version. Each part is asked of one of them, chosen at random."""

    def __init__(
        self, key: bytes, version: str, peers: Sequence[_Peer], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._key, self._version, self._peers, self._clock = key, version, peers, clock
        self.bytes = 0
        """What has come from them."""

    def stream(self, path: str, first: int, last: int) -> Iterator[bytes]:
        """The bytes of a file from `first` to `last`. Raises CatalogError, also if they come too slowly."""
        peer, target, span = random.choice(self._peers), f"/{self._version}/{quote(path)}", f"bytes={first}-{last}"  # noqa: S311
        headers = {"Range": span, HEADER: sign(self._key, "GET", target, span, time.time())}
        deadline = self._clock() + _READ_SECONDS + (last - first + 1) / _LEAST_BYTES_PER_SECOND
        try:
            with closing(HTTPConnection(peer.address, peer.port, timeout=_ASK_SECONDS)) as connection:
                connection.connect()
                connection.sock.settimeout(_READ_SECONDS)
                connection.request("GET", target, headers=headers)
                response = connection.getresponse()
                if response.status != HTTPStatus.PARTIAL_CONTENT:
                    raise CatalogError(f"the peer {peer.address} answers {response.status}")
                while chunk := response.read1(_CHUNK):
                    self.bytes += len(chunk)
                    yield chunk
                    if self._clock() > deadline:
                        raise Unreachable(f"the peer {peer.address} sends too slowly")
        except (OSError, HTTPException) as error:
            raise Unreachable(f"the peer {peer.address}: {type(error).__name__}") from error


def find_peers(options: PeerSettings, version: str) -> PeersOrigin | None:
    """The peers that have a version, of some that are chosen at random. None if there are none. Raises InvalidInput."""
    key = read_key(options.key_file)
    try:
        found = socket.getaddrinfo(options.service, options.port, type=socket.SOCK_STREAM)
    except OSError:
        return None
    own = os.environ.get("POD_IP", "")
    addresses = {str(place[0]) for *_, place in found}
    known = sorted(_Peer(address, options.port) for address in addresses if not _is_same(address, own))
    asked = random.sample(known, min(len(known), _MOST_ASKED))
    with ThreadPoolExecutor(_MOST_ASKED) as threads:
        answers = list(threads.map(lambda peer: _has(key, peer, version), asked))
    peers = [peer for peer, has in zip(asked, answers, strict=True) if has]
    return PeersOrigin(key, version, peers) if peers else None


def _is_same(address: str, own: str) -> bool:
    try:
        return ip_address(address) == ip_address(own)
    except ValueError:
        return False


def _has(key: bytes, peer: _Peer, version: str) -> bool:
    headers = {HEADER: sign(key, "HEAD", f"/{version}", "", time.time())}
    try:
        with closing(HTTPConnection(peer.address, peer.port, timeout=_ASK_SECONDS)) as connection:
            connection.request("HEAD", f"/{version}", headers=headers)
            return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
