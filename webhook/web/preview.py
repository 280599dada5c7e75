"""Previews for HTTP requests. A worker process parses and renders manifests; this process decides.

The decisions are made here because they need the catalog, which is in the memory of this process.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from starlette.requests import Request

from webhook.catalog.live import LiveCatalog, settle
from webhook.http.body import BodyReader, while_connected
from webhook.http.limits import ConcurrencyLimiter, RateLimiter
from webhook.inventory.inventory import Inventory
from webhook.inventory.refresh import unknown
from webhook.preview import SERVED, Document, Outcome, check_models, content, makes_pods, preview, read
from webhook.settings import Settings
from webhook.web.access import Access, OpenAccess, Unavailable, User
from webhook.web.answering import log_field
from webhook.web.worker import Worker

_DECIDING_SECONDS: Final = 15


@dataclass(frozen=True, slots=True)
class PreviewService:
    """Previews manifests within the permissions of the user and within limits for each user."""

    settings: Settings
    live: LiveCatalog
    access: Access
    inventory: Callable[[], Inventory | None] = unknown
    bodies: BodyReader = field(default_factory=lambda: BodyReader(SERVED.size))
    rate: RateLimiter = field(default_factory=lambda: RateLimiter(per_second=10, burst=100))
    turns: ConcurrencyLimiter = field(
        default_factory=lambda: ConcurrencyLimiter(at_a_time=2, waiting=16, each=6, seconds=30)
    )
    worker: Worker = field(default_factory=Worker)

    async def user(self, request: Request, token: str | None) -> User:
        """The user that a bearer token belongs to. Raises NotAuthenticated, TooManyRequests and Unavailable."""
        client = request.client.host if request.client else ""
        user = await self.access.user(f"Bearer {token}" if token else None, client)
        self.rate.acquire(client if isinstance(self.access, OpenAccess) else user.username)
        log_field(request, "user", user.username)
        return user

    async def preview(self, request: Request, user: User, namespace: str, media: str) -> bytes:
        """The preview of the manifest in the request's body, encoded in the format of a media type.

        `namespace` applies to documents without one. Raises ClientGone, ManifestError, and the subclasses of
        RequestError for limits and permissions.
        """
        body = await self.bodies.read(request.scope, request.receive)
        return await while_connected(request.receive, self._preview(request, body, user, namespace, media))

    async def _preview(self, request: Request, body: bytes, user: User, namespace: str, media: str) -> bytes:
        async with self.turns.acquire(user.username):  # a parsed manifest takes many times the memory of its text
            documents = await self.worker.run(read, body, SERVED)
            log_field(request, "documents", len(documents))
            namespaces = [document.namespace(namespace) for document in documents]
            pairs = zip(namespaces, documents, strict=True)
            await self.access.check(user, {name for name, document in pairs if makes_pods(document)})
            outcomes = await self._outcomes(documents, namespaces)
            return await self.worker.run(content, media, body, outcomes, SERVED)

    async def _outcomes(self, documents: Sequence[Document], namespaces: Sequence[str]) -> list[Outcome]:
        outcomes = list[Outcome]()
        try:
            async with asyncio.timeout(_DECIDING_SECONDS):
                for document, namespace in zip(documents, namespaces, strict=True):
                    known = self.inventory()
                    decide = partial(preview, document, namespace, self.settings, limits=SERVED, inventory=known)
                    outcomes.append(await settle(decide, self.live))
                    check_models((pod for outcome in outcomes for pod in outcome.pods), SERVED)
                    await asyncio.sleep(0)  # lets admission requests run first
        except TimeoutError:
            raise Unavailable("S3 does not respond in time; try again, or preview a part of the manifest") from None
        return outcomes
