"""Starts, runs and stops the two uvicorn servers, in one event loop and without losing requests."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket

import uvicorn
import uvloop

from webhook import __version__
from webhook.catalog.refresh import live_catalog
from webhook.http.log import FIELDS
from webhook.http.loopback import is_loopback
from webhook.http.metrics import Metrics
from webhook.http.ops import Health, operations
from webhook.http.serving import listen, server
from webhook.inventory.refresh import InventoryRefresher, unknown
from webhook.server.application import admission_app
from webhook.server.tls import CertificateReloader, certificate_source
from webhook.settings import Settings
from webhook.settings.loading import InvalidSettings

_log = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; a second signal skips the drain. Raises InvalidSettings before it serves."""
    _check_exposure(settings)
    reloader = CertificateReloader(
        certificate_source(settings), "".join(settings.certificates.hosts[:1]), Metrics(), Health()
    )
    with (
        listen(settings.server.host, settings.server.port) as admission,
        listen(settings.server.host, settings.server.ops_port) as ops,
    ):
        uvloop.run(_serve(settings, reloader, admission, ops))
    if settings.catalog.mode == "s3" or settings.inventory.enabled:
        logging.shutdown()
        os._exit(0)  # a normal exit would wait for threads that wait for S3 or the API server


def _check_exposure(settings: Settings) -> None:
    if settings.preview.auth == "none" and not settings.preview.force and not is_loopback(settings.server.host):
        raise InvalidSettings(
            "setting preview.auth: none lets everyone who can reach the port preview; set server.host to 127.0.0.1, or "
            "preview.force to true"
        )


async def _serve(
    settings: Settings, reloader: CertificateReloader, admission_socket: socket.socket, ops_socket: socket.socket
) -> None:
    metrics, health = reloader.metrics, reloader.health
    live = live_catalog(settings, metrics, health)
    inventory = _inventory(settings, metrics, health)
    current = inventory.current if inventory else unknown
    admission = server(admission_app(settings, metrics, live, current), reloader.context)
    ops = server(operations(health, metrics))
    stop, stop_now = _signals()
    async with asyncio.TaskGroup() as tasks:
        reloading = tasks.create_task(reloader.run(settings.server.tls_poll))
        refreshing = tasks.create_task(live.refresh(settings.catalog.refresh_seconds))
        reading = tasks.create_task(inventory.run()) if inventory else None
        tasks.create_task(admission.serve([admission_socket]))
        ops_task = tasks.create_task(ops.serve([ops_socket]))
        while not (admission.started and ops.started and (reloader.has_refreshed or stop.is_set())):
            await asyncio.sleep(0.01)
        calm_garbage_collection()
        health.stage = None
        ports = {"port": admission_socket.getsockname()[1], "opsPort": ops_socket.getsockname()[1]}
        _log.info("serving", extra={FIELDS: {"version": __version__, **ports}})
        await stop.wait()
        reloading.cancel()  # other replicas must not wait for this one
        await _drain(admission, health, settings.server.drain, stop_now)
        admission.should_exit = True
        refreshing.cancel()
        if inventory and reading:
            reading.cancel()
            inventory.close()
        ops.should_exit = True
        await ops_task
    live.close()
    _log.info("stopped")


def _inventory(settings: Settings, metrics: Metrics, health: Health) -> InventoryRefresher | None:
    if not settings.inventory.enabled:
        return None
    return InventoryRefresher(settings.annotation_prefix, settings.inventory.refresh_seconds, metrics, health)


def calm_garbage_collection() -> None:
    """Collect garbage rarely: reference counts free nearly all objects of a request, and only rare cycles remain."""
    gc.collect()
    gc.freeze()  # exempts the objects of the start-up, which live as long as the process
    gc.set_threshold(50_000, 20, 20)


async def _drain(admission: uvicorn.Server, health: Health, seconds: float, stop_now: asyncio.Event) -> None:
    """Keep serving while the cluster removes this replica from the Service; each response closes its connection."""
    health.stage = "stopping"
    admission.config.encoded_headers.append((b"connection", b"close"))
    _log.info("draining", extra={FIELDS: {"seconds": seconds}})
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop_now.wait(), seconds)


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    stop, stop_now = asyncio.Event(), asyncio.Event()

    def handle() -> None:
        (stop_now if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, handle)
    return stop, stop_now
