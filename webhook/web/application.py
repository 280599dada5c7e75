"""The FastAPI application of previews: POST /preview, its OpenAPI document, and the pages."""

from collections.abc import Callable
from functools import cache

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webhook import __version__
from webhook.catalog.live import LiveCatalog
from webhook.http.metrics import Metrics
from webhook.inventory.inventory import Inventory
from webhook.inventory.refresh import unknown
from webhook.settings import Settings
from webhook.web.access import Access
from webhook.web.answering import Answering
from webhook.web.openapi import openapi
from webhook.web.operation import preview_router
from webhook.web.page import HEADERS, page_routes
from webhook.web.preview import PreviewService


def web_application(
    settings: Settings,
    live: LiveCatalog,
    metrics: Metrics,
    access: Access,
    inventory: Callable[[], Inventory | None] = unknown,
) -> FastAPI:
    """Create the application. It works under any path prefix, because all its links are relative."""
    app = FastAPI(
        title="model-injector",
        description="[The web page](./) shows previews in a browser.",
        version=__version__,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": "./"}],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        routes=[*page_routes(settings)],
    )
    app.include_router(preview_router(PreviewService(settings, live, access, inventory), Answering(metrics)))

    @cache
    def document() -> bytes:
        return msgspec.json.encode(openapi(app, settings))

    def respond(
        _: Request,
    ) -> Response:  # not async, so that it runs in a thread: the first call takes tens of milliseconds
        return Response(document(), headers=dict(HEADERS), media_type="application/json")

    app.router.routes.append(Route("/openapi.json", respond))
    return app
