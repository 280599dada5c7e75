"""The endpoints for operators: /healthz (liveness), /readyz (readiness), /metrics."""

from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from webhook.http.metrics import CONTENT_TYPE, Metrics


@dataclass(slots=True)
class Health:
    """Whether this server is ready for requests, and if not, why."""

    stage: str | None = "starting"
    """`starting` or `stopping`; None in between."""
    certificate: str | None = None
    """Why the API server would not trust the serving certificate; None if it does."""
    catalog: str | None = None
    """Why the catalog cannot be used for decisions; None if it can."""
    inventory: str | None = None
    """Why the inventory is still waited for; None if it is not."""

    @property
    def not_ready(self) -> str | None:
        """Why the server is not ready; None if it is."""
        return self.stage or self.certificate or self.catalog or self.inventory


def operations(health: Health, metrics: Metrics) -> Starlette:
    """The application of the plain HTTP port."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        return PlainTextResponse(health.not_ready or "ok", 503 if health.not_ready else 200)

    async def metrics_page(_: Request) -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics_page)],
    )
