"""Sends the response to a preview within limits, counts it, and logs it without content of the manifest."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from fastapi.exceptions import RequestValidationError
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from webhook.http.body import ClientGone
from webhook.http.errors import BodyTooLarge, Busy, RequestError, TooManyRequests
from webhook.http.log import FIELDS, frames, write
from webhook.http.metrics import Metrics
from webhook.http.outgoing import ResponseSender
from webhook.preview.errors import ManifestError, ManifestTooLarge
from webhook.web.access import NotAuthenticated

Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """The body of every response with a status other than 200."""

    error: Annotated[str, Field(description="What happened, and what to do.")]


def log_field(request: Request, name: str, value: object) -> None:
    """Add a field to the log line of the request."""
    request.scope.setdefault(FIELDS, {})[name] = value


@dataclass(frozen=True, slots=True)
class Answering:
    """Converts what a handler returns or raises to a response."""

    metrics: Metrics
    outgoing: ResponseSender = field(default_factory=ResponseSender)

    async def answer(self, handler: Handler, request: Request) -> Response:
        """The response to a request. It sends nothing if the client has disconnected."""
        started = perf_counter()
        try:
            response = await self._response(handler, request)
        except ClientGone:
            return _NoResponse()
        if not self.outgoing.has_room(bytes(response.body)):
            response = _failure(Busy("too many responses are being sent; try again"))
        response.headers.update(_HEADERS)
        if response.status_code not in (200, 400):  # the client may still be sending the body
            response.headers["Connection"] = "close"
        self.metrics.previews.labels(response.status_code).inc()
        return _BoundedResponse(response, self.outgoing, started)

    async def _response(self, handler: Handler, request: Request) -> Response:
        try:
            return await handler(request)
        except ClientGone:
            raise
        except (RequestError, ManifestError) as error:
            return _failure(error)
        except RequestValidationError as error:
            return _failure(_invalid(error))
        except asyncio.CancelledError:  # the server is stopping
            return _failure(Busy("the webhook is stopping; try again"))
        except Exception as error:  # noqa: BLE001 - every request gets a response
            self.metrics.errors.inc()
            # Only the frames, because the error's message may quote the manifest.
            _log.error("unexpected error", extra={FIELDS: {"exception": frames(error)}})
            return _error(500, "unexpected error; see the webhook's log")


class _BoundedResponse(Response):
    """A response that is sent by a ResponseSender, and logged after it is sent."""

    def __init__(self, response: Response, outgoing: ResponseSender, started: float) -> None:
        super().__init__(response.body, response.status_code, dict(response.headers))
        self._outgoing, self._started = outgoing, started

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Send the response, and write its log line."""
        headers = {name: value for name, value in self.headers.items() if name != "content-length"}
        await self._outgoing.send(send, self.status_code, headers, bytes(self.body))
        milliseconds = round((perf_counter() - self._started) * 1000, 3)
        write("preview", {"status": self.status_code, **scope.get(FIELDS, {}), "milliseconds": milliseconds})


class _NoResponse(Response):
    """The response to a client that has disconnected."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing."""


def _failure(error: RequestError | ManifestError) -> Response:
    headers = dict[str, str]()
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    elif isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(error.seconds)
    return _error(_status(error), str(error), headers)


def _status(error: RequestError | ManifestError) -> int:
    if isinstance(error, RequestError):
        return error.status
    return BodyTooLarge.status if isinstance(error, ManifestTooLarge) else RequestError.status


def _invalid(error: RequestValidationError) -> RequestError:
    """An error with the name of the first invalid parameter and the message of its validator."""
    first = error.errors()[0]
    return RequestError(f"{first['loc'][-1]}: {first['msg'].removeprefix('Value error, ')}")


def _error(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(ErrorResponse(text)), status, headers, "application/json")
