"""POST /preview: what the cluster would do with a manifest, for who may create its pods.

A thin layer over webhook.preview: the text in a process of its own, decisions here, where the catalog is.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Final, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from webhook.catalog.live import LiveCatalog, settle
from webhook.fields.parsers import label
from webhook.http.body import BodyReader, ClientGone, while_connected
from webhook.http.errors import BodyTooLarge, Busy, RequestError, TooManyRequests
from webhook.http.limits import ConcurrencyLimiter, RateLimiter
from webhook.http.log import FIELDS, frames, write
from webhook.http.metrics import Metrics
from webhook.http.outgoing import ResponseSender
from webhook.preview import (
    FORMATS,
    SERVED,
    Document,
    Outcome,
    check_models,
    content,
    makes_pods,
    preview,
    read,
)
from webhook.preview.access import TOKEN_HEADER
from webhook.preview.errors import ManifestError, ManifestTooLarge
from webhook.settings import Settings
from webhook.web.access import Access, NotAuthenticated, OpenAccess, Unavailable, User
from webhook.web.worker import Worker

_DECIDING_SECONDS: Final = 15
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_OTHER_NAMES: Final = {
    "application/x-yaml": "application/yaml",
    "text/yaml": "application/yaml",
    "text/x-yaml": "application/yaml",
    "text/x-diff": "text/plain",
}
_MEDIA: Final = {"text/plain": "text/plain; charset=utf-8"}
"""Media types that say more of themselves."""
_log = logging.getLogger(__name__)


class NotAcceptable(RequestError):
    """The client accepts none of the formats."""

    status = 406


class Reply(NamedTuple):
    """What is answered."""

    status: int
    media: str
    content: bytes
    headers: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class PreviewEndpoint:
    """The ASGI application behind /preview."""

    settings: Settings
    live: LiveCatalog
    metrics: Metrics
    access: Access
    bodies: BodyReader = field(default_factory=lambda: BodyReader(SERVED.size))
    rate: RateLimiter = field(default_factory=lambda: RateLimiter(per_second=10, burst=100))
    turns: ConcurrencyLimiter = field(
        default_factory=lambda: ConcurrencyLimiter(at_a_time=2, waiting=16, each=6, seconds=30)
    )
    worker: Worker = field(default_factory=Worker)
    outgoing: ResponseSender = field(default_factory=ResponseSender)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, errors as JSON."""
        started, told = perf_counter(), dict[str, object]()
        try:
            reply = await self._reply(Request(scope, receive), told)
        except ClientGone:
            return
        if not self.outgoing.has_room(reply.content):
            reply = _failure(Busy("too many answers are on their way; try again"))
        self.metrics.previews.labels(reply.status).inc()
        headers = {**_HEADERS, "Content-Type": reply.media, **reply.headers}
        if reply.status not in (200, 400):  # the rest of a body may still be on its way
            headers["Connection"] = "close"
        await self.outgoing.send(send, reply.status, headers, reply.content)
        write("preview", {"status": reply.status, **told, "milliseconds": round((perf_counter() - started) * 1000, 3)})

    async def _reply(self, request: Request, told: dict[str, object]) -> Reply:
        try:
            media, content = await self._answer(request, told)
        except (RequestError, ManifestError) as error:
            return _failure(error)
        except asyncio.CancelledError:  # by the server, at its end
            return _failure(Busy("the webhook is stopping; try again"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets its answer
            self.metrics.errors.inc()
            # Not its message, which may hold some of the manifest.
            _log.error("unexpected error", extra={FIELDS: {"exception": frames(error)}})
            return Reply(500, "application/json", _error("unexpected error; the webhook's log tells where"))
        return Reply(200, media, content)

    async def _answer(self, request: Request, told: dict[str, object]) -> tuple[str, bytes]:
        """The media type and the content. What the log may know of the request is `told`: nothing of a manifest."""
        media = chosen(request.headers.get("accept", "*/*"))
        user = await self._user(request)
        told["user"] = user.username
        namespace = _namespace(request)
        body = await self.bodies.read(request.scope, request.receive)
        work = self._previewed(user, body, namespace, media, told)
        return _MEDIA.get(media, media), await while_connected(request.receive, work)

    async def _previewed(self, user: User, body: bytes, namespace: str, media: str, told: dict[str, object]) -> bytes:
        async with self.turns.take(user.username):  # what a manifest becomes takes many times its own memory
            documents = await self.worker.run(read, body, SERVED)
            told["documents"] = len(documents)
            places = [document.namespace(namespace) for document in documents]
            asked = zip(places, documents, strict=True)
            await self.access.check(user, {place for place, document in asked if makes_pods(document)})
            outcomes = await self._outcomes(documents, places)
            return await self.worker.run(content, media, body, outcomes, SERVED)

    async def _user(self, request: Request) -> User:
        client = request.client.host if request.client else ""
        given = request.headers.get(TOKEN_HEADER)
        authorization = f"Bearer {given}" if given else request.headers.get("authorization")
        user = await self.access.user(authorization, client)
        self.rate.take(client if isinstance(self.access, OpenAccess) else user.username)
        return user

    async def _outcomes(self, documents: Sequence[Document], namespaces: Sequence[str]) -> list[Outcome]:
        outcomes = list[Outcome]()
        try:
            async with asyncio.timeout(_DECIDING_SECONDS):
                for document, namespace in zip(documents, namespaces, strict=True):
                    decide = partial(preview, document, namespace, self.settings, limits=SERVED)
                    outcomes.append(await settle(decide, self.live))
                    check_models(outcomes, SERVED)
                    await asyncio.sleep(0)  # pods first
        except TimeoutError:
            raise Unavailable("S3 does not answer in time; try again, or preview a part of the manifest") from None
        return outcomes


def chosen(accept: str) -> str:
    """The media type of FORMATS that an Accept header likes most. Raises NotAcceptable."""
    weights = dict[str, float]()
    for entry in accept.split(","):
        media, *parameters = (part.strip().lower() for part in entry.split(";"))
        weights[_OTHER_NAMES.get(media, media)] = _weight(parameters)
    ranges = {media: (media, f"{media.partition('/')[0]}/*", "*/*") for media in FORMATS}
    liked = {media: next((weights[each] for each in names if each in weights), 0.0) for media, names in ranges.items()}
    best = max(liked, key=lambda media: liked[media])
    if not liked[best]:
        raise NotAcceptable(f"there is {', '.join(FORMATS)}")
    return best


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter.removeprefix("q="))
            except ValueError:
                return 0.0
    return 1.0


def _namespace(request: Request) -> str:
    given = request.query_params.get("namespace", "default")
    try:
        return label(given)
    except ValueError:
        raise RequestError("namespace: a DNS label, such as default") from None


def _failure(error: RequestError | ManifestError) -> Reply:
    headers = dict[str, str]()
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    elif isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(error.seconds)
    return Reply(status_of(error), "application/json", _error(str(error)), headers)


def status_of(error: RequestError | ManifestError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, RequestError):
        return error.status
    return BodyTooLarge.status if isinstance(error, ManifestTooLarge) else RequestError.status


def _error(text: str) -> bytes:
    return msgspec.json.encode({"error": text})
