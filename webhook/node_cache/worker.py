"""The worker: the process that talks to S3 and writes the cache, without the rights of the driver.

The driver forks it when the first pod asks, and ends it when none has asked for a while. So the driver, which may
mount file systems, reads nothing that comes from S3, and while nothing is asked, the libraries for S3 take no
memory.
"""

import logging
import os
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from webhook.catalog.bucket.errors import Denied, NotFound, PreconditionFailed, Unreachable
from webhook.catalog.bucket.manifest import digest
from webhook.catalog.bucket.store import Store
from webhook.errors import InjectorError
from webhook.http.log import FIELDS
from webhook.kubernetes.client import KubernetesClient
from webhook.model.artifact import Artifact
from webhook.node_cache.credentials import PodCredentials
from webhook.node_cache.download import Corrupt, Download, Origin, check
from webhook.node_cache.entry import Marker
from webhook.node_cache.folder import CacheFolder, FolderLost
from webhook.node_cache.mounts import mounted_versions
from webhook.node_cache.node_object import mark
from webhook.node_cache.peers import find_peers
from webhook.node_cache.protocol import (
    Answer,
    Done,
    Failed,
    Fetch,
    Found,
    Look,
    Mark,
    Progress,
    Remove,
    Request,
    Resolve,
    Resolved,
    Volume,
    receive,
    send,
)
from webhook.node_cache.references import resolve
from webhook.node_cache.versions import Changed, Content, Unverifiable, etags_of, read_content
from webhook.settings import Settings
from webhook.strategies.node_cache import NAME

_LOOKS: Final = 16
_FETCHES: Final = 4
_STORES: Final = 64
_PROGRESS_SECONDS: Final = 1.0
_OUT_OF_SPACE: Final = (28, 122)
"""ENOSPC and EDQUOT."""
_log = logging.getLogger(__name__)


class Worker:
    """Answers requests until the driver ends."""

    def __init__(self, connection: socket.socket, folder: Path, settings: Settings) -> None:
        self._connection, self._settings = connection, settings
        self._folder = CacheFolder(folder)
        self._credentials = PodCredentials(os.environ.get("AWS_REGION", ""))
        self._stores = OrderedDict[tuple[object, ...], Store]()
        self._lock = threading.Lock()
        """Held to send, and to use the stores."""

    def run(self) -> None:
        """Answer until the driver ends."""
        with ThreadPoolExecutor(_LOOKS, "look") as looks, ThreadPoolExecutor(_FETCHES, "fetch") as fetches:
            while request := receive(self._connection):
                (fetches if isinstance(request, Fetch) else looks).submit(self._answer, request)
            os._exit(0)  # downloads stop where they are, and continue later

    def _answer(self, request: Request) -> None:
        try:
            match request:
                case Look():
                    content = self._read(request.volume)
                    answer: Answer = Found(request.id, content.key, content.digest, len(content.files), content.bytes)
                case Fetch():
                    answer = Done(request.id, self._fetch(request))
                case Resolve():
                    answer = Resolved(request.id, *resolve(request.wanted, self._settings))
                case Remove():
                    self._remove(request.keys)
                    answer = Done(request.id)
                case Mark():
                    mark(KubernetesClient(), request)
                    answer = Done(request.id)
        except (InjectorError, OSError) as error:
            answer = Failed(request.id, *_reason(error))
        except Exception as error:  # noqa: BLE001 - a fault in one request must not end the others
            _log.exception("request failed")
            answer = Failed(request.id, "Unreachable", f"the driver has a fault: {type(error).__name__}")
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        with self._lock:
            send(self._connection, answer)

    def _artifact(self, volume: Volume) -> Artifact:
        return Artifact(volume.model, volume.version, self._settings.all_sources[volume.source])

    def _read(self, volume: Volume) -> Content:
        needs_hashes = volume.verify == "sha256"
        return read_content(self._store(volume), self._artifact(volume), volume.digest, needs_hashes=needs_hashes)

    def _store(self, volume: Volume) -> Store:
        """The source with the pod's credentials, or the driver's own."""
        source, options = self._settings.all_sources[volume.source], self._settings.of_strategies[NAME]
        keys = None
        if volume.pod and options.authentication_source == "pod" and not source.anonymous:
            keys = self._credentials.of(volume.pod, source.region)
        place = (volume.source, keys)
        with self._lock:
            store = self._stores[place] = self._stores.get(place) or Store(source, seconds=10, credentials=keys)
            self._stores.move_to_end(place)
            while len(self._stores) > _STORES:
                self._stores.popitem(last=False)
        return store

    def _fetch(self, request: Fetch) -> int:
        """Have a version in the cache. Returns how many bytes came from peers."""
        volume = request.volume
        checks_hashes = volume.verify == "sha256"
        with self._reports(request.id) as downloads, self._folder.lock(request.key, is_shared=False, waits=True):
            entry = self._folder.find(request.key)
            if entry and (entry.marker.verify == "sha256" or not checks_hashes):
                return 0
            content, started = self._read(volume), time.monotonic()
            if content.key != request.key:
                raise Changed(f"{self._artifact(volume).uri} was published again meanwhile")
            if entry:
                try:
                    for file in content.files:
                        check(entry.files / file.path, file, checks_hash=True)
                except Corrupt:
                    if not mounted_versions(self._folder.root)[request.key]:
                        self._folder.remove(request.key)  # the next attempt downloads it
                    raise
                self._folder.rewrite(request.key, self._marker(content, volume, entry.marker.seconds))
                return 0
            from_peers = self._download(request, content, downloads)
            self._folder.finish(request.key, self._marker(content, volume, time.monotonic() - started))
        fields = {"uri": self._artifact(volume).uri, "digest": content.digest, "bytes": content.bytes}
        _log.info("version cached", extra={FIELDS: {**fields, "seconds": round(time.monotonic() - started, 1)}})
        return from_peers

    def _download(self, request: Fetch, content: Content, downloads: list[Download]) -> int:
        """Download a version, from peers where they have it. Returns how many bytes came from them."""
        store, artifact = self._store(request.volume), self._artifact(request.volume)
        origin = _Origin(store, artifact, etags_of(store, artifact, content))
        peers, options = None, self._settings.of_strategies[NAME].peers
        if options.service and all(file.sha256 for file in content.files):
            peers = find_peers(options, request.key)
        origins: list[Origin] = [peers, origin] if peers else [origin]
        folder, checks_hashes = self._folder.partial(request.key), request.volume.verify == "sha256"
        download = Download(folder, content.files, origins, state=origin.state, checks_hashes=checks_hashes)
        downloads.append(download)
        download.run()
        return peers.bytes if peers else 0

    def _marker(self, content: Content, volume: Volume, seconds: float) -> Marker:
        artifact = self._artifact(volume)
        return Marker(
            source=volume.source,
            model=volume.model,
            version=volume.version,
            uri=artifact.uri,
            digest=content.digest,
            files=len(content.files),
            bytes=content.bytes,
            seconds=round(seconds, 3),
            verify=volume.verify,
            at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        )

    @contextmanager
    def _reports(self, number: int) -> Iterator[list[Download]]:
        """Send the progress of the download that is put into the list, and meanwhile that there is none yet."""
        ended, downloads = threading.Event(), list[Download]()

        def report() -> None:
            while not ended.wait(_PROGRESS_SECONDS):
                done, total = (downloads[0].bytes, downloads[0].total) if downloads else (0, 0)
                self._send(Progress(number, done, total))

        thread = threading.Thread(target=report, daemon=True)
        thread.start()
        try:
            yield downloads
        finally:
            ended.set()
            thread.join()

    def _remove(self, keys: tuple[str, ...]) -> None:
        """Remove versions and downloads. What another process uses stays."""
        for key in keys:
            with self._folder.lock(key, is_shared=False, waits=False) as is_mine:
                if is_mine and not mounted_versions(self._folder.root)[key]:  # another driver may have mounted it
                    self._folder.remove(key)
                    self._folder.drop_partial(key)
                    self._folder.delete_lock(key)


class _Origin:
    """A version's folder in S3, as it was when the download began."""

    def __init__(self, store: Store, artifact: Artifact, etags: Mapping[str, str]) -> None:
        self._store, self._artifact, self._etags = store, artifact, etags

    @property
    def state(self) -> str:
        """Differs if a file was overwritten."""
        return digest(msgspec.json.encode(self._etags))

    def stream(self, path: str, first: int, last: int) -> Iterator[bytes]:
        try:
            yield from self._store.stream(f"{self._artifact.folder}/{path}", first, last, self._etags[path])
        except PreconditionFailed as error:
            raise Changed(f"{self._artifact.uri}/{path} was overwritten during the download") from error


def _reason(error: InjectorError | OSError) -> tuple[str, str]:
    """The reason and the text of an error, in the terms of init containers."""
    if isinstance(error, OSError):
        if error.errno in _OUT_OF_SPACE:
            return "OutOfSpace", "the disk of the node is full"
        return "Unreachable", f"the folder of the cache: {error}"
    kinds = (
        (NotFound, "NotFound"),
        (Denied, "Unauthorized"),
        ((Corrupt, Changed, Unverifiable), "Corrupt"),
        ((Unreachable, FolderLost), "Unreachable"),
    )
    return next((reason for kind, reason in kinds if isinstance(error, kind)), "Incomplete"), str(error)
