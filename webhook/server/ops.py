"""What operators ask: /healthz (the process lives), /readyz (send it requests), /metrics."""

from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from webhook.server.metrics import CONTENT_TYPE, Metrics


@dataclass(slots=True)
class Health:
    """Whether this server wants requests."""

    not_ready: str | None = "starting"
    """Why not; None when it does."""


def operations(health: Health, metrics: Metrics) -> Starlette:
    """The application of the plain port."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        return PlainTextResponse(health.not_ready or "ok", 503 if health.not_ready else 200)

    async def metrics_page(_: Request) -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics_page)],
    )
