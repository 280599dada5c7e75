"""Serves the preview page on localhost: with local settings, or as a relay to a remote webhook."""

import asyncio
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from webhook.catalog.refresh import live_catalog
from webhook.errors import InjectorError
from webhook.http.body import BodyReader
from webhook.http.errors import RequestError
from webhook.http.metrics import Metrics
from webhook.http.ops import Health
from webhook.http.serving import listen, server
from webhook.preview import SERVED
from webhook.preview.access import TOKEN_HEADER
from webhook.settings import Settings
from webhook.web.access import OpenAccess, local_only
from webhook.web.application import web_application

Ask: TypeAlias = Callable[[str, str, bytes, Mapping[str, str]], tuple[int, Mapping[str, str], bytes]]
"""A blocking HTTP request: takes method, path with query, body and headers; returns status, headers and content."""
_HOST: Final = "127.0.0.1"
_PATH: Final = re.compile(r"(\w[\w-]*/)*(\w[\w.-]*)?", re.ASCII)
_REQUEST_HEADERS: Final = ("Authorization", "Accept", "Content-Type", TOKEN_HEADER)
_RESPONSE_HEADERS: Final = (
    "Cache-Control",
    "Content-Security-Policy",
    "Content-Type",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "Permissions-Policy",
    "Referrer-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Content-Type-Options",
)


def serve_page(settings: Settings, opened: Callable[[str], None]) -> None:
    """Serve the page with local settings until interrupted. Calls `opened` with the URL of the page."""
    metrics, health = Metrics(), Health()
    live = live_catalog(settings, metrics, health)
    app = web_application(settings, live, metrics, OpenAccess())

    async def serve() -> None:
        refreshing = asyncio.create_task(live.refresh(settings.catalog.refresh_seconds))
        while health.catalog:  # until the first refresh, existing models would be refused as unknown
            await asyncio.sleep(0.05)
        await _serve(app, opened)
        refreshing.cancel()

    uvloop.run(serve())
    live.close()


def relay_page(ask: Ask, opened: Callable[[str], None]) -> None:
    """Serve the page of a remote webhook until interrupted.

    `ask` sends each request to the webhook. Calls `opened` with the URL of the page.
    """
    bodies = BodyReader(SERVED.size)

    async def relay(request: Request) -> Response:
        path = request.path_params.get("path", "preview")
        if not _PATH.fullmatch(path):
            return Response(status_code=404)
        query = f"?{request.url.query}" if request.url.query else ""
        headers = {name: request.headers[name] for name in _REQUEST_HEADERS if name in request.headers}
        try:
            body = await bodies.read(request.scope, request.receive)
            status, received, content = await asyncio.to_thread(ask, request.method, f"/{path}{query}", body, headers)
        except InjectorError as error:
            status = error.status if isinstance(error, RequestError) else 502
            return Response(msgspec.json.encode({"error": str(error)}), status, media_type="application/json")
        return Response(content, status, {name: received[name] for name in _RESPONSE_HEADERS if name in received})

    app = Starlette(routes=[Route("/preview", relay, methods=["POST"]), Route("/{path:path}", relay, methods=["GET"])])
    uvloop.run(_serve(app, opened))


async def _serve(app: ASGIApp, opened: Callable[[str], None]) -> None:
    """Serve on a free port under a random path, which keeps other users of this machine from using the credentials."""
    listening, secret = listen(_HOST, 0), secrets.token_urlsafe(16)
    opened(f"http://{_HOST}:{listening.getsockname()[1]}/{secret}/")
    await server(local_only(Starlette(routes=[Mount(f"/{secret}", app)]))).serve([listening])
