"""The errors of requests to S3, and what botocore's own stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from webhook.errors import InjectorError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError


class CatalogError(InjectorError):
    """A request to S3 failed, or an object does not have the expected content."""


class NotFound(CatalogError):
    """The bucket or the object does not exist."""


class Denied(CatalogError):
    """The credentials do not allow the request, or there are none."""


class PreconditionFailed(CatalogError):
    """A conditional write failed: the object changed since it was read."""


class Unreachable(CatalogError):
    """S3 did not answer, or reported a temporary error."""


class Unsupported(CatalogError):
    """The store does not implement a part of S3."""


class TooLarge(CatalogError):
    """An object, or a listing, is larger than the caller can take."""


_BAD_HEADER: Final = "a key or token of AWS has a character that no header can have, such as a line break at its end"
_CODES: Final[Mapping[str, type[CatalogError]]] = {
    "ExpiredToken": Denied,
    "InvalidToken": Denied,
    "InvalidArgument": Unsupported,
    "NotImplemented": Unsupported,
    "RequestTimeTooSkewed": Unreachable,
    "RequestTimeout": Unreachable,
}
"""Codes that stores send with unspecific statuses, such as 400. Requests have no argument that AWS calls invalid. A
skewed time is a wrong clock of this machine, which says nothing about the credentials."""
_STATUSES: Final[Mapping[int, type[CatalogError]]] = {
    401: Denied,
    403: Denied,
    404: NotFound,
    409: PreconditionFailed,
    412: PreconditionFailed,
    429: Unreachable,
    501: Unsupported,
}


@contextmanager
def converted_errors(uri: str, lacks: str = "") -> Iterator[None]:
    """Convert botocore's errors to CatalogError. Their texts contain codes and addresses, never credentials.

    Messages begin with `uri`, which names what was requested. `lacks` explains Unsupported.
    """
    from boto3.exceptions import Boto3Error  # noqa: PLC0415
    from botocore import exceptions  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        yield
    except exceptions.ClientError as error:
        kind = _kind(error)
        cause = f"{lacks}: " if lacks and kind is Unsupported else ""
        raise kind(f"{uri}: {cause}{_words(error)}") from error
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound) as error:
        raise Denied(f"{uri}: {error}") from error
    except (ResponseParserError, LookupError, TypeError, AttributeError) as error:  # how botocore meets odd XML
        raise Unreachable(f"{uri}: the answer is malformed, so it is not from S3") from error
    except (exceptions.BotoCoreError, Boto3Error, HTTPError, OSError, ValueError) as error:  # ValueError: malformed
        if isinstance(error, exceptions.HTTPClientError) and type(error.kwargs.get("error")) is ValueError:
            raise Denied(f"{uri}: {_BAD_HEADER}") from None  # the text quotes the header
        inner = error.__cause__ or error.__context__
        kind = _kind(inner) if isinstance(inner, exceptions.ClientError) else Unreachable
        raise kind(f"{uri}: {error}") from error


def _kind(error: ClientError) -> type[CatalogError]:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return (
        _CODES.get(str(error.response.get("Error", {}).get("Code")))
        or _STATUSES.get(status)
        or (Unreachable if status >= 500 else CatalogError)
    )


def _words(error: ClientError) -> str:
    details = error.response.get("Error", {})
    return f"{details.get('Code', 'unknown')}: {details.get('Message', '')} ({error.operation_name})"
