"""The ASGI application of the TLS port: /mutate, and the web application, which its first request creates."""

import asyncio
from collections.abc import Callable

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from webhook.catalog.live import LiveCatalog
from webhook.http.metrics import Metrics
from webhook.inventory.inventory import Inventory
from webhook.server.mutate import MutateEndpoint
from webhook.settings import Settings


def admission_app(
    settings: Settings, metrics: Metrics, live: LiveCatalog, inventory: Callable[[], Inventory | None]
) -> ASGIApp:
    """POST /mutate bypasses the web application: every pod waits for it, and FastAPI would take much of its time."""
    mutate = MutateEndpoint(settings, live, metrics, inventory)
    web = CreatedOnDemand(lambda: _web(settings, metrics, live, mutate))

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        is_review = scope["path"] == "/mutate" and scope["method"] == "POST"
        await (mutate if is_review else web)(scope, receive, send)

    return dispatch


class CreatedOnDemand:
    """An application that its first request creates, in a thread, so that other requests do not wait for it."""

    def __init__(self, create: Callable[[], ASGIApp]) -> None:
        self._create = create
        self._creation: asyncio.Task[ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._creation is None:
            self._creation = asyncio.create_task(asyncio.to_thread(self._create))
        app = await asyncio.shield(self._creation)  # a request that is cancelled does not cancel the creation
        await app(scope, receive, send)


def _web(settings: Settings, metrics: Metrics, live: LiveCatalog, mutate: MutateEndpoint) -> ASGIApp:
    """The pages, /preview and its documentation. Imported here, because many replicas never serve a preview: FastAPI
    takes 8 MiB and a tenth of a second."""
    from webhook.web.access import access_for, local_only  # noqa: PLC0415
    from webhook.web.application import web_application  # noqa: PLC0415

    app = web_application(settings, live, metrics, access_for(settings), mutate.inventory)
    app.router.routes.append(Route("/mutate", mutate, methods=["POST"]))  # other methods are answered with 405
    return app if settings.preview.auth == "kubernetes" or settings.preview.force else local_only(app)
