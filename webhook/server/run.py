"""Start, serve, stop: two uvicorn servers in one event loop, and a stop that loses no request."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket

import uvicorn
import uvloop
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from webhook import __version__
from webhook.catalog.live import LiveCatalog
from webhook.catalog.refresh import live_catalog
from webhook.http.log import FIELDS
from webhook.http.metrics import Metrics
from webhook.http.ops import Health, operations
from webhook.http.serving import listen, server
from webhook.preview.access import is_loopback
from webhook.server.mutate import MutateEndpoint
from webhook.server.tls import CertificateReloader, certificate_source
from webhook.settings import Settings
from webhook.settings.loading import InvalidSettings
from webhook.web.access import access_for, local_only
from webhook.web.application import web_application

_log = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Serve until a SIGTERM or SIGINT; a second one ends the wait for clients. Raises InvalidSettings at the start."""
    _check_exposure(settings)
    keeper = CertificateReloader(
        certificate_source(settings), "".join(settings.certificates.hosts[:1]), Metrics(), Health()
    )
    with (
        listen(settings.server.host, settings.server.port) as admission,
        listen(settings.server.host, settings.server.ops_port) as ops,
    ):
        uvloop.run(_serve(settings, keeper, admission, ops))
    if settings.catalog.mode == "s3":
        logging.shutdown()
        os._exit(0)  # the interpreter would wait for threads, and they for S3


def _check_exposure(settings: Settings) -> None:
    if settings.preview.auth == "none" and not settings.preview.force and not is_loopback(settings.server.host):
        raise InvalidSettings(
            "setting preview.auth: none answers anyone who reaches the port; set server.host to 127.0.0.1, or "
            "preview.force to true"
        )


def admission_app(settings: Settings, metrics: Metrics, live: LiveCatalog) -> ASGIApp:
    """The application of the TLS port: FastAPI, and a short way to /mutate.

    A framework's layers and routes would make up a good part of the time of the one request that every pod waits for.
    """
    mutate = MutateEndpoint(settings, live, metrics)
    app = web_application(settings, live, metrics, access_for(settings))
    app.router.routes.append(Route("/mutate", mutate, methods=["POST"]))  # other methods are answered with 405
    others = app if settings.preview.auth == "kubernetes" or settings.preview.force else local_only(app)

    async def short_way(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/mutate" and scope["method"] == "POST":
            await mutate(scope, receive, send)
        else:
            await others(scope, receive, send)

    return short_way


async def _serve(
    settings: Settings, keeper: CertificateReloader, admission_socket: socket.socket, ops_socket: socket.socket
) -> None:
    metrics, health = keeper.metrics, keeper.health
    live = live_catalog(settings, metrics, health)
    admission = server(admission_app(settings, metrics, live), keeper.context)
    ops = server(operations(health, metrics))
    stop, hurry = _signals()
    async with asyncio.TaskGroup() as tasks:
        watches = [tasks.create_task(keeper.keep(settings.server.tls_poll))]
        watches.append(tasks.create_task(live.refresh(settings.catalog.refresh_seconds)))
        tasks.create_task(admission.serve([admission_socket]))
        ops_task = tasks.create_task(ops.serve([ops_socket]))
        while not (admission.started and ops.started and (keeper.has_looked or stop.is_set())):
            await asyncio.sleep(0.01)
        calm_garbage_collection()
        health.stage = None
        ports = {"port": admission_socket.getsockname()[1], "opsPort": ops_socket.getsockname()[1]}
        _log.info("serving", extra={FIELDS: {"version": __version__, **ports}})
        await stop.wait()
        await _drain(admission, health, settings.server.drain, hurry)
        admission.should_exit = True
        for watch in watches:
            watch.cancel()
        ops.should_exit = True
        await ops_task
    live.close()
    _log.info("stopped")


def calm_garbage_collection() -> None:
    """A request's objects go as it ends, by their reference counts: what is left for the collector is rare cycles."""
    gc.collect()
    gc.freeze()  # what lives as long as the process need not be looked at again
    gc.set_threshold(50_000, 20, 20)


async def _drain(admission: uvicorn.Server, health: Health, seconds: float, hurry: asyncio.Event) -> None:
    """Go on serving while the cluster learns of the stop, and let each answer end its connection."""
    health.stage = "stopping"
    admission.config.encoded_headers.append((b"connection", b"close"))
    _log.info("draining", extra={FIELDS: {"seconds": seconds}})
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(hurry.wait(), seconds)


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    stop, hurry = asyncio.Event(), asyncio.Event()

    def handle() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, handle)
    return stop, hurry
