"""A repository in a registry, by the OCI Distribution API: blobs are uploaded as streams, then the manifests."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Event
from typing import Final
from urllib.parse import urlencode

import msgspec

from webhook.errors import shown
from webhook.images.authorization import Authorization, advice
from webhook.images.connection import Connection, RegistryError, RegistryUnreachable, Response, joined, origin
from webhook.images.credentials import login
from webhook.images.image import Document, Image
from webhook.images.records import LayerRecord
from webhook.images.reference import ImageName
from webhook.images.stream import LayerStream

_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d{1,18})", re.ASCII)
_ATTEMPTS: Final = 6
_BYTES: Final = {"Content-Type": "application/octet-stream"}
_HUB: Final = "docker.io"


class Registry:
    """One repository. Thread-safe."""

    def __init__(self, image: ImageName, threads: int, stopped: Event, *, plain_http: bool) -> None:
        """Raises InvalidInput if Docker's configuration cannot be read."""
        self._image = image
        host, self._name = image.registry, image.name
        if host == _HUB:
            host = "registry-1.docker.io"
            self._name = image.name if "/" in image.name else f"library/{image.name}"
        self._connection = Connection(threads, stopped, plain_http=plain_http)
        self._root = f"{'http' if self._connection.allows_http(host) else 'https'}://{host}/v2/"
        self._url = f"{self._root}{self._name}"
        self._authorization = Authorization(self._connection, image.registry, login(image.registry))
        self._scope = f"repository:{self._name}:pull,push"

    def reuse(self, record: LayerRecord, size: int) -> bool:
        """Whether the repository has a layer, or can take it from another repository. Raises RegistryError."""
        return self._has(record.digest, size) or self._mount(record.digest, record.repository)

    def write_layer(self, layer: LayerStream, progress: Callable[[int], None]) -> str:
        """Upload a layer, and return its digest. `progress` gets numbers of bytes, negative if some are sent again.

        After a broken connection, the upload continues at the offset that the registry reports, or begins again if the
        registry has dropped it. Raises RegistryError, and CatalogError.
        """
        location, offset, failures, farthest = "", 0, 0, 0
        sent = _Sent(progress)
        while True:
            try:
                if not location:
                    location = self._start()
                if offset < layer.size:
                    location = self._patch(location, layer, offset, sent)
                    offset = layer.size
                self._finish(location, layer.digest)
            except RegistryUnreachable as error:
                failures = 1 if layer.hashed > farthest else failures + 1
                farthest = layer.hashed
                if failures == _ATTEMPTS:
                    raise
                self._connection.wait(failures, error)
                if layer.hashed == layer.size and self._has(layer.digest, layer.size):  # only the response was lost
                    sent.until(layer.size)
                    return layer.digest
                location, offset = self._continued(location, layer)
            else:
                return layer.digest

    def write_image(self, image: Image, tag: str) -> None:
        """Write what refers to the layers, and the index under a tag as well. Raises RegistryError."""
        for config in image.configs:
            self._put_blob(config)
        for manifest in image.manifests:
            self._put_manifest(manifest, manifest.digest)
        self._put_manifest(image.index, tag)

    def close(self) -> None:
        """Close all connections."""
        self._connection.close()

    def _has(self, digest: str, size: int) -> bool:
        response = self._request("HEAD", f"{self._url}/blobs/{digest}")
        if response.status not in (200, 404):
            raise self._refused(response, "finds no blobs")
        return response.status == 200 and response.headers.get("Content-Length", str(size)) == str(size)

    def _mount(self, digest: str, repository: str) -> bool:
        """Take a blob from another repository of the registry. False if the registry does not do that."""
        registry, _, name = repository.partition("/")
        if registry != self._image.registry or name == self._image.name:
            return False
        query = urlencode({"mount": digest, "from": name})
        scope = f"{self._scope} repository:{name}:pull"
        try:
            return self._request("POST", f"{self._url}/blobs/uploads/?{query}", scope=scope).status == 201
        except RegistryError:  # such as a token server that gives no rights to the other repository
            return False

    def _put_blob(self, document: Document) -> None:
        if self._has(document.digest, len(document.content)):
            return
        url = _with_query(self._start(), urlencode({"digest": document.digest}))
        response = self._request("PUT", url, headers=_BYTES, body=document.content)
        if response.status != 201:
            raise self._refused(response, "does not take a blob")

    def _put_manifest(self, document: Document, tag: str) -> None:
        url, headers = f"{self._url}/manifests/{tag}", {"Content-Type": document.media_type}
        response = self._request("PUT", url, headers=headers, body=document.content)
        if response.status != 201:
            raise self._refused(response, "does not take the manifest")
        stored = response.headers.get("Docker-Content-Digest", document.digest)
        if stored != document.digest:
            raise RegistryError(f"{self._image.registry} stored {shown(stored)} in place of {document.digest}")

    def _start(self) -> str:
        """Start an upload. Returns its URL."""
        url = f"{self._url}/blobs/uploads/"
        response = self._request("POST", url)
        if response.status != 202 or not response.headers.get("Location"):
            raise self._refused(response, "starts no upload")
        return joined(url, response.headers["Location"])

    def _patch(self, location: str, layer: LayerStream, offset: int, sent: "_Sent") -> str:
        """Send a layer from an offset. Returns the URL to finish the upload with."""
        authorization = self._headers(location)
        headers = {**_BYTES, "Content-Length": str(layer.size - offset), **authorization}
        if offset:
            headers["Content-Range"] = f"{offset}-{layer.size - 1}"
        with closing(layer.chunks(offset)) as chunks:
            response = self._connection.send("PATCH", location, headers, sent.watched(chunks, offset))
        if response.status == 401:  # the token expired
            self._authorization.challenged(response, authorization)
            raise RegistryUnreachable(f"{self._image.registry} answers 401")
        if response.status in (404, 416):
            raise RegistryUnreachable(f"{self._image.registry} has dropped the upload")
        if response.status not in (201, 202, 204):
            raise self._refused(response, "does not take the layer")
        return joined(location, response.headers.get("Location", location))

    def _finish(self, location: str, digest: str) -> None:
        response = self._request("PUT", _with_query(location, urlencode({"digest": digest})), headers=_BYTES, body=b"")
        if response.status == 404:
            raise RegistryUnreachable(f"{self._image.registry} has dropped the upload")
        if response.status != 201:
            raise self._refused(response, "does not take the layer")

    def _continued(self, location: str, layer: LayerStream) -> tuple[str, int]:
        """Where an upload continues: its URL and the offset. An empty URL if it has to begin again."""
        if not location:
            return "", 0
        response = self._request("GET", location)
        found = _RANGE.fullmatch(response.headers.get("Range", ""))
        offset = int(found[1]) + 1 if found else 0
        if response.status not in (200, 202, 204) or not 1 < offset <= layer.hashed:  # 0-0 also means nothing
            return "", 0
        return joined(location, response.headers.get("Location", location)), offset

    def _request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        scope: str = "",
    ) -> Response:
        """Send a request with authorization; once more after a challenge. Raises RegistryError."""
        authorization = self._headers(url, scope)
        response = self._connection.request(method, url, {**(headers or {}), **authorization}, body)
        if response.status == 401 and origin(url) == origin(self._root):
            if not self._authorization.challenged(response, authorization):
                return response
            response = self._connection.request(method, url, {**(headers or {}), **self._headers(url, scope)}, body)
        return response

    def _headers(self, url: str, scope: str = "") -> dict[str, str]:
        """The authorization of a request. Other hosts, to which an upload may lead, get none."""
        return self._authorization.headers(scope or self._scope) if origin(url) == origin(self._root) else {}

    def _refused(self, response: Response, problem: str) -> RegistryError:
        where = f"{self._image.repository}: the registry {problem}"
        if response.status in (401, 403):
            return RegistryError(f"{where} (status {response.status}); {advice(self._image.registry)}")
        return RegistryError(f"{where}: status {response.status}{_in_words(response)}")


class _Sent:
    """Reports how far an upload is, which may also go back."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self._progress, self._offset = progress, 0

    def until(self, offset: int) -> None:
        if offset != self._offset:
            self._progress(offset - self._offset)
            self._offset = offset

    def watched(self, chunks: Iterator[bytes], offset: int) -> Iterator[bytes]:
        for chunk in chunks:
            self.until(offset)
            yield chunk
            offset += len(chunk)
        self.until(offset)


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct):
    errors: tuple[_Error, ...] = ()


def _in_words(response: Response) -> str:
    """What a response of the Distribution API says about its error."""
    try:
        errors = msgspec.json.decode(response.content, type=_Errors).errors
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return ""
    return "".join(f", {each.code} {shown(each.message)}" for each in errors[:1])


def _with_query(location: str, query: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}{query}"
