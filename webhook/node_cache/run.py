"""The process: the sockets for kubelet, and a server for operators, in one event loop without threads."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from http import HTTPStatus
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from webhook import __version__
from webhook.http.log import FIELDS
from webhook.http.metrics import CONTENT_TYPE
from webhook.http.serving import listen, server
from webhook.node_cache.budget import space_of
from webhook.node_cache.folder import CacheFolder, FolderLost
from webhook.node_cache.listening import Replaced, serve
from webhook.node_cache.marking import Marking
from webhook.node_cache.metrics import CacheMetrics
from webhook.node_cache.peer_server import PeerServer
from webhook.node_cache.prefetching import Prefetcher
from webhook.node_cache.publisher import Publisher
from webhook.node_cache.report import PATH, NodeReport, report
from webhook.node_cache.service import identity, node, registration
from webhook.node_cache.worker_client import WorkerClient
from webhook.settings import Settings
from webhook.strategies.node_cache import DRIVER, NAME

_log = logging.getLogger(__name__)


def run(settings: Settings, node_name: str, user: int | None) -> int:
    """Serve kubelet until SIGTERM or SIGINT. Returns the exit status. Raises OSError.

    `user` is who downloads, and owns the cache, by number; None: as this process.
    """
    options = settings.of_strategies[NAME]
    root = Path(options.folder)
    folder = CacheFolder(root, user)
    folder.sweep()
    gc.freeze()  # so that the worker, a fork, shares the memory of what is loaded
    with listen(settings.server.host, settings.server.ops_port) as ops:
        return asyncio.run(_run(settings, folder, node_name, user, ops))


async def _run(settings: Settings, folder: CacheFolder, name: str, user: int | None, ops: socket.socket) -> int:
    options, metrics, stopped = settings.of_strategies[NAME], CacheMetrics(), asyncio.Event()
    worker = WorkerClient(folder.root, settings, user)
    publisher = Publisher(folder, worker, settings, metrics)
    metrics.watch(
        {
            "used_bytes": lambda: sum(e.marker.bytes for e in folder.entries().values()),
            "budget_bytes": lambda: space_of(folder.root, options.budget).budget,
            "free_bytes": lambda: space_of(folder.root, options.budget).free,
            "versions": lambda: len(folder.entries()),
            "mounted_versions": lambda: len(publisher.mounted()),
        }
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    kubelet = Path(options.kubelet_folder)
    http = server(_operations(folder, metrics, partial(report, name, folder, publisher, options.budget)))
    serving = asyncio.create_task(http.serve([ops]))
    services = [registration(), identity(), node(publisher, name)]
    prefetcher = Prefetcher(folder, worker, publisher, settings)
    marks = Marking(
        node=name,
        folder=folder,
        worker=worker,
        settings=settings,
        metrics=metrics,
        is_ready=lambda: prefetcher.is_ready,
        changed=publisher.changed,
    )
    jobs = [prefetcher.run(), marks.run(), publisher.give_back()]
    if options.peers.service:
        jobs.append(PeerServer(options.peers, folder.root, user).run())
    tasks = [asyncio.create_task(_guarded(job, stopped)) for job in jobs]
    fields = {"version": __version__, "node": name, "opsPort": ops.getsockname()[1]}
    _log.info("driver started", extra={FIELDS: fields})
    status = 0
    try:
        await serve(kubelet / "plugins_registry" / f"{DRIVER}-reg.sock", services, stopped)
    except Replaced as error:
        _log.error("stopping", extra={FIELDS: {"problem": str(error)}})
        status = 1
    for task in tasks:
        task.cancel()
    if any(isinstance(each, Exception) for each in await asyncio.gather(*tasks, return_exceptions=True)):
        status = 1
    await worker.close()
    http.should_exit = True
    await serving
    _log.info("stopped")
    return status


async def _guarded(job: Coroutine[None, None, None], stopped: asyncio.Event) -> None:
    """Run a job. If it fails, stop the driver, which kubelet starts again: nobody would notice that the job is gone."""
    try:
        await job
    except Exception:
        _log.exception("stopping, because a job has failed")
        stopped.set()
        raise


def _operations(folder: CacheFolder, metrics: CacheMetrics, reported: Callable[[], NodeReport]) -> Starlette:
    """Health, metrics, and what the cache has."""

    async def health(_: Request) -> Response:
        try:
            folder.check()
        except (FolderLost, OSError) as error:
            _log.error("the folder of the cache is lost", extra={FIELDS: {"problem": str(error)}})
            return PlainTextResponse(str(error), HTTPStatus.SERVICE_UNAVAILABLE)
        return PlainTextResponse("ok")

    async def metrics_page(_: Request) -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    async def cache(_: Request) -> Response:
        return Response(msgspec.json.encode(reported()), media_type="application/json")

    pages = {"/healthz": health, "/readyz": health, "/metrics": metrics_page, PATH: cache}
    return Starlette(routes=[Route(path, page) for path, page in pages.items()])
