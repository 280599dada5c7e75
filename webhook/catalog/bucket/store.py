"""An S3 client for one bucket and key prefix.

All calls block. A Store is thread-safe, as botocore's clients are.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from webhook.catalog.bucket.client import create_client
from webhook.catalog.bucket.errors import (
    CatalogError,
    Denied,
    NotFound,
    PreconditionFailed,
    TooLarge,
    Unreachable,
    Unsupported,
    converted_errors,
)
from webhook.catalog.bucket.folders import UNFINISHED
from webhook.http.throughput import MinimumThroughput
from webhook.model.source import Source

if TYPE_CHECKING:
    from urllib3 import HTTPResponse


LARGEST_OBJECT: Final = 1 << 50
"""In bytes: more than any store takes, and little enough for every computation with the sizes of a version."""
_CONNECTIONS: Final = 16
"""The size of the connection pool: the number of threads with which publishing uploads."""
_CHUNK: Final = 256 << 10
_LEAST_BYTES_PER_SECOND: Final = 32 << 10
"""Of one stream: little enough for eight at a time over a slow line, and enough for 32 MiB to end within 20 minutes."""
_LISTING_SECONDS: Final = 600
_ARCHIVES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_PROBE: Final = f"{UNFINISHED}/.conditions"
_NO_ETAG: Final = '"00000000000000000000000000000000"'
_NO_CONDITIONS: Final = "the store lacks conditional writes, without which concurrent changes would be lost"


class Credentials(NamedTuple):
    """Keys of AWS for a limited time."""

    access_key: str
    secret_key: str
    token: str


class StoredObject(msgspec.Struct, frozen=True, gc=False):
    """An object in a listing. `key` is relative to the listed folder; `size` is in bytes."""

    key: str
    size: int
    etag: str
    """Empty if the store has none. Two objects without one may differ."""
    is_archived: bool = False
    """Whether it has to be restored before it can be read."""


class ObjectContent(msgspec.Struct, frozen=True, gc=False):
    """An object's content, and its ETag for a conditional write."""

    body: bytes
    etag: str


class Store:
    """The objects of a source. Keys are relative to its prefix. Every method raises CatalogError."""

    def __init__(
        self, source: Source, *, seconds: float = 10, attempts: int = 3, credentials: Credentials | None = None
    ) -> None:
        """`seconds` is the timeout to connect, and between bytes of a response. An object's content has to arrive in
        this time, and a second more for each 32 KiB. `attempts` includes the first one.

        `credentials`: None for those of the process, which AWS' default chain finds.
        """
        self.source, self._credentials = source, credentials
        self._seconds, self._attempts = seconds, attempts
        self._root = f"{source.prefix}/" if source.prefix else ""
        self._payer = {"RequestPayer": "requester"} if source.requester_pays else {}
        self._s3: Any = None
        self._creating = threading.Lock()
        self._has_conditions = False

    def folders(self, parent: str = "") -> Iterator[str]:
        """The names, without slashes, of the folders directly below a folder. `parent` is empty or ends in a slash."""
        for page in self._pages(Prefix=f"{self._root}{parent}", Delimiter="/"):
            for prefix in page.get("CommonPrefixes", ()):
                yield prefix["Prefix"].removeprefix(f"{self._root}{parent}").rstrip("/")

    def objects(self, folder: str) -> Iterator[StoredObject]:
        """All objects below a folder, whose name ends in a slash. Folder markers, which end in a slash, are omitted."""
        restored: frozenset[str] | None = None
        for page in self._pages(Prefix=f"{self._root}{folder}"):
            for listed in page.get("Contents", ()):
                key = listed["Key"].removeprefix(f"{self._root}{folder}")
                if key and not key.endswith("/"):
                    archived = listed.get("StorageClass") in _ARCHIVES
                    if archived and restored is None:
                        restored = self._restored(folder)
                    archived = archived and listed["Key"] not in (restored or ())
                    yield StoredObject(key, listed["Size"], _etag(listed), archived)

    def _restored(self, folder: str) -> frozenset[str]:
        """The keys of the archived objects that can be read. Other stores than AWS do not know this request."""
        pages = self._pages(Prefix=f"{self._root}{folder}", OptionalObjectAttributes=["RestoreStatus"])
        try:
            return frozenset(
                listed["Key"]
                for page in pages
                for listed in page.get("Contents", ())
                if "RestoreExpiryDate" in listed.get("RestoreStatus", {})
            )
        except Unsupported:
            return frozenset()

    def exists(self, key: str) -> bool:
        """Whether an object exists, by a listing."""
        pages = self._pages(Prefix=f"{self._root}{key}")
        keys = (listed["Key"] for page in pages for listed in page.get("Contents", ()))
        return next(keys, None) == f"{self._root}{key}"  # the shortest key with this prefix is listed first

    def read(self, key: str, largest: int) -> ObjectContent:
        """Read an object of at most `largest` bytes. Raises NotFound and TooLarge, and Unreachable as `stream` does."""
        with self._errors(key):
            response = self._client.get_object(**self._at(key), **self._payer)
            with response["Body"] as body:
                if response["ContentLength"] > largest:
                    raise TooLarge(f"{self.uri(key)} is larger than {largest} bytes")
                content = b"".join(self._received(key, body, response["ContentLength"]))
                return ObjectContent(content, _etag(response))

    def stream(self, key: str, first: int, last: int, etag: str = "") -> Iterator[bytes]:
        """The bytes of an object from `first` to `last`, in chunks. Fewer if it is shorter.

        With `etag`, raises PreconditionFailed if the object changed. Raises Unreachable also if they come too slowly.
        """
        condition = {"IfMatch": etag} if etag else {}
        with self._errors(key):
            response = self._client.get_object(
                **self._at(key), Range=f"bytes={first}-{last}", **condition, **self._payer
            )
            with response["Body"] as body:
                yield from self._received(key, body, response["ContentLength"])

    def _received(self, key: str, body: HTTPResponse, missing: int) -> Iterator[bytes]:
        """The bytes of a response as they arrive: botocore's own body waits until a chunk is complete.

        Raises Unreachable if they come too slowly, or not all.
        """
        throughput = MinimumThroughput(self._seconds, _LEAST_BYTES_PER_SECOND)
        while chunk := throughput.receive(lambda _: body.read1(_CHUNK)):
            if throughput.left <= 0:
                raise Unreachable(f"{self.uri(key)}: S3 sends too slowly")
            missing -= len(chunk)
            yield chunk
        if missing:
            raise Unreachable(f"{self.uri(key)}: the answer ended {missing} bytes before its end")

    def metadata(self, key: str) -> tuple[int, dict[str, str]]:
        """An object's size in bytes, and its user-defined metadata. Raises NotFound."""
        with self._errors(key):
            response = self._client.head_object(**self._at(key), **self._payer)
            return response["ContentLength"], response["Metadata"]

    def tags(self, key: str) -> dict[str, str]:
        """An object's tags."""
        with self._errors(key):
            response = self._client.get_object_tagging(**self._at(key), **self._payer)
            if "TagSet" not in response:
                raise ValueError("the answer has no tags, so it is not from S3")
            return {tag["Key"]: tag["Value"] for tag in response["TagSet"]}

    def add_tag(self, key: str, tag: str) -> None:
        """Add a tag, `name=value`, to an object's tags."""
        name, _, value = tag.partition("=")
        tags = self.tags(key)
        if tags.get(name) != value:
            self._set_tags(key, {**tags, name: value})

    def remove_tag(self, key: str, tag: str) -> None:
        """Remove a tag, `name=value`, from an object's tags, if it has it."""
        name, _, value = tag.partition("=")
        tags = self.tags(key)
        if tags.get(name) == value:
            del tags[name]
            self._set_tags(key, tags)

    def _set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        with self._errors(key, "the store may lack object tags"):
            if not tags:  # not all stores accept an empty set
                self._client.delete_object_tagging(**self._at(key))
                return
            tag_set = [{"Key": each, "Value": tags[each]} for each in sorted(tags)]
            self._client.put_object_tagging(**self._at(key), Tagging={"TagSet": tag_set}, **self._payer)

    def create(
        self,
        key: str,
        body: bytes,
        tags: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write a new object. Raises PreconditionFailed if it exists."""
        self._put(key, body, tags, Metadata=dict(metadata or {}), IfNoneMatch="*")

    def replace(self, key: str, body: bytes, etag: str) -> None:
        """Overwrite the object with this ETag. Raises PreconditionFailed if the object changed."""
        self._put(key, body, None, IfMatch=etag)

    def check_conditions(self) -> None:
        """Raise Unsupported if the store writes an object in spite of a condition that does not hold. Asks once."""
        if self._has_conditions:
            return
        try:
            self._put(_PROBE, b"", None, IfMatch=_NO_ETAG)
        except (PreconditionFailed, NotFound, Denied):  # who may not write this key learns nothing, and is let through
            self._has_conditions = True
            return
        with contextlib.suppress(CatalogError):
            self.delete(_PROBE)
        raise Unsupported(f"{self.uri('')}: {_NO_CONDITIONS}: it ignores If-Match")

    def write(self, key: str, body: bytes) -> None:
        """Write an object unconditionally."""
        self._put(key, body, None)

    def delete(self, key: str) -> None:
        """Delete an object, if it exists."""
        with self._errors(key):
            self._client.delete_object(**self._at(key))

    @contextlib.contextmanager
    def multipart_upload(self, key: str, metadata: Mapping[str, str]) -> Iterator[Callable[[int, bytes], None]]:
        """Write a new object in parts. Yields a function, callable in any thread, that sends the part of a number >= 1.

        The object exists once the context exits without an error. Raises PreconditionFailed if it existed already.
        """
        etags: dict[int, str] = {}
        with self._errors(key):
            upload = {
                **self._at(key),
                "UploadId": self._client.create_multipart_upload(
                    **self._at(key), Metadata=dict(metadata), **self._payer
                )["UploadId"],
            }

        def send(number: int, content: bytes) -> None:
            with self._errors(key):
                sent = self._client.upload_part(**upload, PartNumber=number, Body=content, **self._payer)
                etags[number] = sent["ETag"]

        try:
            yield send
            parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(etags.items())]
            with self._errors(key, _NO_CONDITIONS):
                self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
        except BaseException:
            with contextlib.suppress(CatalogError), self._errors(key):
                self._client.abort_multipart_upload(**upload)
            raise

    def download(self, key: str, file: Path, progress: Callable[[int], None]) -> None:
        """Download an object to a file, in parts if it is large. `progress` is called with numbers of bytes."""
        with self._errors(key):
            self._client.download_file(
                Filename=str(file), ExtraArgs=self._payer or None, Callback=progress, **self._at(key)
            )

    def uri(self, key: str) -> str:
        """The S3 URI of a key, for messages."""
        return f"s3://{self.source.bucket}/{self._root}{key}"

    def close(self) -> None:
        """Close all connections."""
        if self._s3:
            self._s3.close()

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.source.bucket, "Key": f"{self._root}{key}"}

    def _put(self, key: str, body: bytes, tags: Mapping[str, str] | None, **condition: Any) -> None:
        tagging = {"Tagging": urlencode(tags)} if tags else {}
        with self._errors(key, "the store may lack object tags" if tags else _NO_CONDITIONS if condition else ""):
            self._client.put_object(**self._at(key), Body=body, **tagging, **condition, **self._payer)

    def _pages(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        """The pages of a listing. Raises Unreachable if its requests take more than 10 minutes in all.

        That is enough for millions of objects. An endpoint may always have one more page, each of them empty.
        """
        paginator, left = self._client.get_paginator("list_objects_v2"), float(_LISTING_SECONDS)
        key = arguments["Prefix"].removeprefix(self._root)
        with self._errors(key):
            pages = iter(paginator.paginate(Bucket=self.source.bucket, **arguments, **self._payer))
            while left > 0:
                started = monotonic()
                page = next(pages, None)
                left -= monotonic() - started
                if page is None:
                    return
                _check_page(page)
                yield page
        raise Unreachable(f"{self.uri(key)}: the listing did not end within {_LISTING_SECONDS} s")

    @property
    def _client(self) -> Any:
        """boto3's client, created on first use because that takes half a second."""
        if self._s3 is None:
            with self._creating:
                self._s3 = self._s3 or self._created()
        return self._s3

    def _created(self) -> Any:
        from botocore import UNSIGNED  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        config = Config(
            connect_timeout=self._seconds,
            read_timeout=self._seconds,
            retries={"total_max_attempts": self._attempts, "mode": "standard"},
            max_pool_connections=_CONNECTIONS,
            user_agent_appid="model-injector",
            **({"signature_version": UNSIGNED} if self.source.anonymous else {}),
            # Other S3-compatible stores often do not support the checksums that boto3 adds by default.
            **(
                {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
                if self.source.endpoint_url
                else {}
            ),
        )
        key = self._credentials or Credentials("", "", "")
        with self._errors(""):
            return create_client(
                "s3",
                region_name=self.source.region or None,
                endpoint_url=self.source.endpoint_url or None,
                aws_access_key_id=key.access_key or None,
                aws_secret_access_key=key.secret_key or None,
                aws_session_token=key.token or None,
                config=config,
            )

    def _errors(self, key: str, lacks: str = "") -> AbstractContextManager[None]:
        return converted_errors(self.uri(key), lacks)


def _check_page(page: Mapping[str, Any]) -> None:
    """Raise ValueError unless this is a page of a listing.

    botocore takes any XML for an empty listing, also the page of a proxy or a gateway: all versions would be gone.
    """
    is_listing = "Name" in page or "IsTruncated" in page
    has_objects = all(
        "Key" in listed and 0 <= listed.get("Size", -1) <= LARGEST_OBJECT for listed in page.get("Contents", ())
    )
    if not is_listing or not has_objects or not all("Prefix" in prefix for prefix in page.get("CommonPrefixes", ())):
        raise ValueError("the answer is not a listing, so it is not from S3")


def _etag(response: Mapping[str, Any]) -> str:
    """The ETag of an object. Empty for stores that have none: they send none, or empty quotes."""
    etag: str = response.get("ETag", "")
    return etag if etag.strip('"') else ""
