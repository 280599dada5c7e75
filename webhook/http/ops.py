"""What operators ask: /healthz (the process lives), /readyz (send it requests), /metrics."""

from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from webhook.http.metrics import CONTENT_TYPE, Metrics


@dataclass(slots=True)
class Health:
    """Whether this server wants requests."""

    stage: str | None = "starting"
    """`starting` or `stopping`; None in between."""
    certificate: str | None = None
    """Why the API server would not trust this server; None where it does."""

    catalog: str | None = None
    """Why pods should not be decided on with what is known of models; None where they may be."""

    @property
    def not_ready(self) -> str | None:
        """Why it wants none; None when it does."""
        return self.stage or self.certificate or self.catalog


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
