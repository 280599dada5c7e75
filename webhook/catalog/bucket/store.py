"""S3, as the catalog needs it: one bucket, keys below one prefix, and errors of a few kinds.

Everything here blocks. botocore's clients may be used by many threads at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import msgspec

from webhook.errors import InjectorError
from webhook.model.source import Source

if TYPE_CHECKING:
    from botocore.exceptions import ClientError


class CatalogError(InjectorError):
    """S3 failed, or holds something other than a command or the catalog needs."""


class NotFound(CatalogError):
    """There is no such bucket or object."""


class Denied(CatalogError):
    """The credentials do not allow the request, or there are none."""


class PreconditionFailed(CatalogError):
    """A conditional write failed: the object changed since it was read."""


class Unreachable(CatalogError):
    """S3 gave no answer, or a temporary one."""


_CONNECTIONS: Final = 16
"""Kept alive: as many as publishing has threads that send."""
_ARCHIVES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_CODES: Final[Mapping[str, type[CatalogError]]] = {"ExpiredToken": Denied, "InvalidToken": Denied}
"""What S3 says with a status, 400, that says less."""
_STATUSES: Final[Mapping[int, type[CatalogError]]] = {
    401: Denied,
    403: Denied,
    404: NotFound,
    409: PreconditionFailed,
    412: PreconditionFailed,
    429: Unreachable,
}


class StoredObject(msgspec.Struct, frozen=True, gc=False):
    """One object; `key` is relative to what was listed."""

    key: str
    size: int
    etag: str
    is_archived: bool = False
    """Whether it has to be restored before anyone can read it."""


class ObjectContent(msgspec.Struct, frozen=True, gc=False):
    """An object's content, and the ETag that a conditional write names."""

    body: bytes
    etag: str


class Store:
    """A bucket below a prefix: all keys are relative to that. Every method raises CatalogError."""

    def __init__(self, source: Source, *, seconds: float = 10, attempts: int = 3) -> None:
        """`seconds`: for a connection, and between two bytes of an answer; `attempts`: of each request."""
        self.source = source
        self._seconds, self._attempts = seconds, attempts
        self._root = f"{source.prefix}/" if source.prefix else ""
        self._payer = {"RequestPayer": "requester"} if source.requester_pays else {}
        self._made: Any = None

    def folders(self, above: str = "") -> Iterator[str]:
        """The names of the folders right below a folder, without slashes; `above` is empty or ends in one."""
        for page in self._pages(Prefix=f"{self._root}{above}", Delimiter="/"):
            for each in page.get("CommonPrefixes", ()):
                yield each["Prefix"].removeprefix(f"{self._root}{above}").rstrip("/")

    def objects(self, folder: str) -> Iterator[StoredObject]:
        """All objects below a folder, whose name ends in a slash; not those that only stand for a folder."""
        for page in self._pages(Prefix=f"{self._root}{folder}", OptionalObjectAttributes=["RestoreStatus"]):
            for each in page.get("Contents", ()):
                key = each["Key"].removeprefix(f"{self._root}{folder}")
                if key and not key.endswith("/"):
                    restored = "RestoreExpiryDate" in each.get("RestoreStatus", {})
                    archived = each.get("StorageClass") in _ARCHIVES and not restored
                    yield StoredObject(key, each["Size"], each["ETag"], archived)

    def has(self, key: str) -> bool:
        """Whether an object is there, as listing tells."""
        found = (each["Key"] for page in self._pages(Prefix=f"{self._root}{key}") for each in page.get("Contents", ()))
        return next(found, None) == f"{self._root}{key}"  # of all that begin so, it is the first

    def read(self, key: str, largest: int) -> ObjectContent:
        """An object of at most `largest` bytes. Raises NotFound."""
        with self._errors(key):
            answer = self._client.get_object(**self._at(key), **self._payer)
            with contextlib.closing(answer["Body"]) as body:
                if answer["ContentLength"] > largest:
                    raise CatalogError(f"{self.uri(key)} is larger than {largest} bytes")
                return ObjectContent(body.read(), answer["ETag"])

    def metadata(self, key: str) -> tuple[int, dict[str, str]]:
        """An object's size, and its own metadata. Raises NotFound."""
        with self._errors(key):
            answer = self._client.head_object(**self._at(key), **self._payer)
            return answer["ContentLength"], answer["Metadata"]

    def tags(self, key: str) -> dict[str, str]:
        """An object's tags."""
        with self._errors(key):
            answer = self._client.get_object_tagging(**self._at(key), **self._payer)
            return {each["Key"]: each["Value"] for each in answer["TagSet"]}

    def create(
        self,
        key: str,
        body: bytes,
        tags: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write an object that does not exist yet. Raises PreconditionFailed where it does."""
        self._put(key, body, tags, Metadata=dict(metadata or {}), IfNoneMatch="*")

    def replace(self, key: str, body: bytes, etag: str) -> None:
        """Write over what has this ETag. Raises PreconditionFailed where something else has been written since."""
        self._put(key, body, None, IfMatch=etag)

    def write(self, key: str, body: bytes) -> None:
        """Write, whatever was there."""
        self._put(key, body, None)

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        with self._errors(key):
            self._client.delete_object(**self._at(key))

    @contextlib.contextmanager
    def parts(self, key: str, metadata: Mapping[str, str]) -> Iterator[Callable[[int, bytes], None]]:
        """Write an object that does not exist yet in parts: gives what sends one, by its number from 1, in any thread.

        The object is there when the context has ended well. Raises PreconditionFailed where it is already.
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
            with self._errors(key):
                self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
        except BaseException:
            with contextlib.suppress(CatalogError), self._errors(key):
                self._client.abort_multipart_upload(**upload)
            raise

    def download(self, key: str, file: Path, progress: Callable[[int], None]) -> None:
        """An object into a file, in parts where it is large."""
        with self._errors(key):
            self._client.download_file(
                Filename=str(file), ExtraArgs=self._payer or None, Callback=progress, **self._at(key)
            )

    def uri(self, key: str) -> str:
        """How a message names an object."""
        return f"s3://{self.source.bucket}/{self._root}{key}"

    def close(self) -> None:
        """Give its connections back."""
        if self._made:
            self._made.close()

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.source.bucket, "Key": f"{self._root}{key}"}

    def _put(self, key: str, body: bytes, tags: Mapping[str, str] | None, **condition: Any) -> None:
        tagging = {"Tagging": urlencode(tags)} if tags else {}
        with self._errors(key):
            self._client.put_object(**self._at(key), Body=body, **tagging, **condition, **self._payer)

    def _pages(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        paginator = self._client.get_paginator("list_objects_v2")
        with self._errors(arguments["Prefix"].removeprefix(self._root)):
            yield from paginator.paginate(Bucket=self.source.bucket, **arguments, **self._payer)

    @property
    def _client(self) -> Any:
        """Made at its first use: it takes half a second."""
        if self._made is None:
            import boto3  # noqa: PLC0415
            from botocore import UNSIGNED  # noqa: PLC0415
            from botocore.config import Config  # noqa: PLC0415

            config = Config(
                connect_timeout=self._seconds,
                read_timeout=self._seconds,
                retries={"total_max_attempts": self._attempts, "mode": "standard"},
                max_pool_connections=_CONNECTIONS,
                user_agent_appid="model-injector",
                **({"signature_version": UNSIGNED} if self.source.anonymous else {}),
                # Stores that are not AWS's own often know only the checksums of old.
                **(
                    {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
                    if self.source.endpoint_url
                    else {}
                ),
            )
            with self._errors(""):
                self._made = boto3.session.Session().client(
                    "s3",
                    region_name=self.source.region or None,
                    endpoint_url=self.source.endpoint_url or None,
                    config=config,
                )
        return self._made

    @contextlib.contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """botocore's errors as ours. Their texts name codes and addresses, never credentials."""
        from boto3.exceptions import Boto3Error  # noqa: PLC0415
        from botocore import exceptions  # noqa: PLC0415

        try:
            yield
        except exceptions.ClientError as error:
            raise _kind(error)(f"{self.uri(key)}: {_words(error)}") from error
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound) as error:
            raise Denied(f"{self.uri(key)}: {error}") from error
        except (exceptions.BotoCoreError, Boto3Error, OSError, ValueError) as error:  # or an answer that makes no sense
            cause = error.__cause__ or error.__context__
            kind = _kind(cause) if isinstance(cause, exceptions.ClientError) else Unreachable
            raise kind(f"{self.uri(key)}: {error}") from error


def _kind(error: ClientError) -> type[CatalogError]:
    answer = error.response
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return (
        _CODES.get(str(answer.get("Error", {}).get("Code")))
        or _STATUSES.get(status)
        or (Unreachable if status >= 500 else CatalogError)
    )


def _words(error: ClientError) -> str:
    told = error.response.get("Error", {})
    return f"{told.get('Code', 'unknown')}: {told.get('Message', '')} ({error.operation_name})"
