"""The process: a server for operators, the election, and the loops of the elected process."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from webhook import __version__
from webhook.catalog.resolution import VersionKey
from webhook.catalog.versions import parse_reference
from webhook.controller.areas import Area, Cleaning, Loads, Progress, Rollouts, Withdrawals
from webhook.controller.catalog import CatalogReader
from webhook.controller.cluster.acting import Actor
from webhook.controller.cluster.cache import Cache
from webhook.controller.cluster.lease import Election, LeaseLost
from webhook.controller.cluster.watching import Watch
from webhook.controller.loop import Loop, Taker
from webhook.controller.metrics import ControllerMetrics
from webhook.controller.observed import Key
from webhook.controller.published import Published
from webhook.controller.steps import Resource
from webhook.http.log import FIELDS
from webhook.http.metrics import CONTENT_TYPE
from webhook.http.serving import listen, server
from webhook.kubernetes.client import KubernetesClient
from webhook.settings import Settings
from webhook.settings.loading import InvalidSettings

if TYPE_CHECKING:
    from urllib3 import HTTPResponse

_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_RESOLVE_SECONDS: Final = 1
"""The pause after new references were resolved, in which further ones gather."""
_log = logging.getLogger(__name__)


class _CountingClient(KubernetesClient):
    """A client that counts its requests, watches included."""

    def __init__(self, metrics: ControllerMetrics) -> None:
        super().__init__()
        self._metrics = metrics

    def _send(self, method: str, *arguments: Any) -> "HTTPResponse":
        try:
            response = super()._send(method, *arguments)
        except Exception:
            self._metrics.requests.labels(method, "none").inc()
            raise
        self._metrics.requests.labels(method, str(response.status)).inc()
        return response


def control(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, or until another process is elected. Raises InvalidSettings before that."""
    settings = _checked(settings)
    metrics, stopped = ControllerMetrics(), Event()
    with listen(settings.server.host, settings.server.ops_port) as ops:
        status = asyncio.run(_run(settings, metrics, stopped, ops))
    logging.shutdown()
    os._exit(status)  # a normal exit would wait for threads that wait for the API server or S3


def _checked(settings: Settings) -> Settings:
    if settings.catalog.mode != "s3":
        raise InvalidSettings("the controller reads the catalog: set catalog.mode to s3")
    mounted = sorted({load.strategy for load in settings.loads} & {"shared-volume", "s3-mount"})
    if (mounted or settings.controller.cleaning.enabled) and not settings.inventory.enabled:
        what = f"loads by {mounted[0]}" if mounted else "controller.cleaning"
        raise InvalidSettings(f"{what}: set inventory.enabled, by which the webhook knows which claims pods can mount")
    for index, load in enumerate(settings.loads):
        try:
            parse_reference(load.versions)
        except ValueError as error:
            raise InvalidSettings(f"setting loads[{index}].versions {load.versions!r} is invalid: {error}") from error
    if not settings.controller.namespace:
        namespace = _own_namespace()
        if not namespace:
            raise InvalidSettings("set controller.namespace: this process runs outside a cluster")
        controller = settings.controller.model_copy(update={"namespace": namespace})
        return settings.model_copy(update={"controller": controller})
    return settings


async def _run(settings: Settings, metrics: ControllerMetrics, stopped: Event, ops_socket: socket.socket) -> int:
    """Serve health and metrics, and control in threads. Returns the exit status."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    ops = server(_operations(metrics))
    serving = asyncio.create_task(ops.serve([ops_socket]))
    with ThreadPoolExecutor(1, "controller") as thread:
        status = await loop.run_in_executor(thread, _control, settings, metrics, stopped)
    ops.should_exit = True
    await serving
    return status


def _operations(metrics: ControllerMetrics) -> Starlette:
    """Health and metrics. A process that waits to be elected is ready, too."""

    async def ok(_: Request) -> Response:
        return PlainTextResponse("ok", HTTPStatus.OK)

    async def metrics_page(_: Request) -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return Starlette(routes=[Route("/healthz", ok), Route("/readyz", ok), Route("/metrics", metrics_page)])


def _control(settings: Settings, metrics: ControllerMetrics, stopped: Event) -> int:
    """Wait until elected, then control. Returns the exit status."""
    api, options = _CountingClient(metrics), settings.controller
    identity = os.environ.get("HOSTNAME") or socket.gethostname()
    holder = f"{identity}-{os.getpid()}"
    election = Election(api, options.namespace, options.lease, holder, stopped, owner=_pod(options.namespace))
    _log.info("waiting for election", extra={FIELDS: {"version": __version__}})
    if not election.wait():
        return 0
    metrics.leader.set(1)
    controller = Controller(settings, metrics, stopped, identity)
    controller.start()
    try:
        election.keep()
    except LeaseLost as error:
        _log.error("no longer elected", extra={FIELDS: {"problem": str(error)}})
        return 1
    finally:
        stopped.set()
        controller.close()
    election.release()
    _log.info("stopped")
    return 0


def _pod(namespace: str) -> dict[str, str] | None:
    """The ownerReference of the pod that this process runs in, by the variables that the chart sets.

    None if that is not in the namespace: Kubernetes would not find it, and delete what it owns.
    """
    name, uid = os.environ.get("POD_NAME"), os.environ.get("POD_UID")
    if not name or not uid or _own_namespace() != namespace:
        return None
    return {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}


def _own_namespace() -> str:
    """The namespace of the pod that this process runs in. Empty outside of a cluster."""
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else ""


class Controller:
    """The threads of the elected process, and what they share."""

    def __init__(self, settings: Settings, metrics: ControllerMetrics, stopped: Event, identity: str) -> None:
        self._settings, self._metrics, self._stopped = settings, metrics, stopped
        self._catalog = CatalogReader(settings, expires=settings.controller.cleaning.enabled)
        self._published: Published | None = None
        self._cache = Cache(_CountingClient(metrics))
        api = _CountingClient(metrics)
        self._taker = taker = Taker(Actor(api, self._cache, identity), metrics)
        self._loops: list[Loop] = []
        for area in areas(settings, metrics, taker, api):
            watches = tuple(area.watches())
            loop = Loop(area.name, partial(self._decide, area, watches), metrics)
            self._loops.append(loop)
            for watch in watches:
                self._cache.watch(watch, loop.notify)
        metrics.watch(self._cache.ages())

    def start(self) -> None:
        """Start all threads. They end with the process."""
        self._cache.start(self._stopped)
        for run in (*(each.run for each in self._loops), self._read_catalog):
            Thread(target=run, args=(self._stopped,), daemon=True).start()

    def close(self) -> None:
        """Take no further steps. The threads end with the process."""
        self._taker.close()

    def published(self) -> Published:
        """The catalog as it was read last."""
        assert self._published is not None  # noqa: S101 - `_decide` waits for it
        return self._published

    def objects(self, resource: Resource) -> Mapping[Key, Any]:
        """The objects of a resource; empty for one that no area watches."""
        return self._cache.objects(resource)

    def _decide(self, area: Area, watches: tuple[Watch, ...]) -> float | None:
        if self._published is None or not self._cache.is_read(watches):
            return None
        return area.decide(self)

    def follow(self, references: frozenset[VersionKey]) -> None:
        """Resolve these references from now on."""
        self._catalog.follow(references)

    def _read_catalog(self, stopped: Event) -> None:
        known: Mapping[str, str] = {}
        while not stopped.is_set():
            self._try_catalog(self._catalog.read)
            for source, problem in self._catalog.problems.items():
                self._metrics.errors.labels("catalog").inc()
                if known.get(source) != problem:
                    _log.warning("catalog not read", extra={FIELDS: {"source": source, "problem": problem}})
            known = dict(self._catalog.problems)
            due = monotonic() + self._settings.catalog.refresh_seconds
            while self._catalog.wait(max(due - monotonic(), 0)) and self._published and not stopped.is_set():
                self._try_catalog(partial(self._catalog.resolved, self._published))
                stopped.wait(_RESOLVE_SECONDS)

    def _try_catalog(self, read: Callable[[], Published]) -> None:
        try:
            self._published = read()
        except Exception:  # noqa: BLE001 - the next reading may succeed
            self._metrics.errors.labels("catalog").inc()
            _log.exception("catalog not read")
        for loop in self._loops:
            loop.notify()


def areas(settings: Settings, metrics: ControllerMetrics, taker: Taker, api: KubernetesClient) -> Iterator[Area]:
    """The areas that the settings enable."""
    if settings.loads:
        yield Loads(settings, metrics, taker)
    if settings.controller.cleaning.enabled:
        yield Cleaning(settings, metrics, taker, api)
    if settings.controller.progress.enabled:
        yield Progress(metrics, taker, api, settings.annotation_prefix)
    if settings.controller.withdrawals.enabled:
        yield Withdrawals(settings, taker, api)
    if settings.controller.rollouts.enabled:
        yield Rollouts(settings, metrics, taker)
