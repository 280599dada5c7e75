"""The process: a server for operators, the election, and the loops of the elected process."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from webhook import __version__
from webhook.catalog.versions import parse_reference
from webhook.controller.catalog import CatalogReader
from webhook.controller.cluster.acting import Actor
from webhook.controller.cluster.lease import Election, LeaseLost
from webhook.controller.cluster.watching import Collection
from webhook.controller.loads import decide
from webhook.controller.loop import Loop, Taker
from webhook.controller.metrics import ControllerMetrics
from webhook.controller.observed import Claim, Cluster, Job, Observed
from webhook.controller.published import Published
from webhook.controller.steps import CLAIMS, JOBS, NAMESPACES, REFERENCES, VOLUMES
from webhook.http.log import FIELDS
from webhook.http.metrics import CONTENT_TYPE
from webhook.http.serving import listen, server
from webhook.kubernetes.client import ApiResponse, ClusterError, KubernetesClient
from webhook.settings import Settings
from webhook.settings.loading import InvalidSettings

_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_MANAGED: Final = "app.kubernetes.io/managed-by=model-injector"
_log = logging.getLogger(__name__)


class _CountingClient(KubernetesClient):
    """A client that counts its requests."""

    def __init__(self, metrics: ControllerMetrics) -> None:
        super().__init__()
        self._metrics = metrics

    def request(self, method: str, *arguments: Any, **options: Any) -> ApiResponse:
        """Send one request."""
        try:
            response = super().request(method, *arguments, **options)
        except ClusterError:
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
    for index, load in enumerate(settings.loads):
        try:
            parse_reference(load.versions)
        except ValueError as error:
            raise InvalidSettings(f"setting loads[{index}].versions {load.versions!r} is invalid: {error}") from error
    if not settings.controller.namespace:
        if not _NAMESPACE_FILE.exists():
            raise InvalidSettings("set controller.namespace: this process runs outside a cluster")
        namespace = _NAMESPACE_FILE.read_text().strip()
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
    election = Election(api, options.namespace, options.lease, f"{identity}-{os.getpid()}", stopped)
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
    _log.info("stopped")
    return 0


class Controller:
    """The loops of the elected process, and what they share."""

    def __init__(self, settings: Settings, metrics: ControllerMetrics, stopped: Event, identity: str) -> None:
        self._settings, self._metrics, self._stopped = settings, metrics, stopped
        self._watching = _CountingClient(metrics)
        self._catalog = CatalogReader(settings, expires=settings.controller.cleaning.enabled)
        self._published: Published | None = None
        self._loads = Loop("loads", self._load, metrics)
        self._collections = self._watched()
        metrics.watch({name: _age(each) for name, each in self._collections.items()})
        self._taker = Taker(Actor(_CountingClient(metrics), self._collections, identity), metrics)
        self._problems: tuple[str, ...] = ()

    def start(self) -> None:
        """Start all threads. They end with the process."""
        runs: list[Callable[[Event], None]] = [each.run for each in self._collections.values()]
        for run in (*runs, self._read_catalog, self._loads.run):
            Thread(target=run, args=(self._stopped,), daemon=True).start()

    def _watched(self) -> dict[str, Collection[Any]]:
        """The collections that the settings need, by the plural names of their resources."""
        loads, notify = self._settings.loads, self._loads.notify
        strategies = {load.strategy for load in loads}
        shared = self._settings.of_strategies["shared-volume"]
        needs_claims = bool(strategies & {"shared-volume", "s3-mount"})
        is_everywhere = "shared-volume" in strategies and shared.sharing == "none"
        home = shared.namespace if "shared-volume" in strategies else self._settings.controller.namespace
        needs_jobs = bool(strategies & {"shared-volume", "oci-image"})
        jobs_namespace = "" if is_everywhere or len(strategies & {"shared-volume", "oci-image"}) > 1 else home
        wanted = (
            (needs_claims, NAMESPACES, Observed, "", ""),
            (needs_claims, CLAIMS, Claim, _MANAGED, ""),
            ("s3-mount" in strategies, VOLUMES, Observed, _MANAGED, ""),
            (needs_jobs, JOBS, Job, _MANAGED, jobs_namespace),
            ("shared-volume" in strategies and not is_everywhere, REFERENCES, Observed, _MANAGED, ""),
        )
        return {
            resource.plural: Collection(
                self._watching,
                resource,
                kind,
                notify,
                selector=selector,
                namespace=namespace,
                is_optional=resource is REFERENCES,
            )
            for is_wanted, resource, kind, selector, namespace in wanted
            if is_wanted
        }

    def _read_catalog(self, stopped: Event) -> None:
        while not stopped.is_set():
            try:
                self._published = self._catalog.read()
            except Exception:  # noqa: BLE001 - the next reading may succeed
                self._metrics.errors.labels("catalog").inc()
                _log.exception("catalog not read")
            if self._catalog.problems:
                self._metrics.errors.labels("catalog").inc()
            self._loads.notify()
            stopped.wait(self._settings.catalog.refresh_seconds)

    def _load(self) -> float | None:
        if self._published is None or not all(each.is_read for each in self._collections.values()):
            return None
        objects: Mapping[str, Mapping[Any, Any]] = {
            name: collection.objects() for name, collection in self._collections.items()
        }
        cluster = Cluster(*(objects.get(each.plural, {}) for each in (NAMESPACES, CLAIMS, JOBS, VOLUMES, REFERENCES)))
        outcome = decide(self._published, cluster, self._settings)
        self._metrics.loaded(outcome.states, outcome.capacities)
        problems = (*outcome.problems, *self._catalog.problems.values())
        for problem in problems:
            if problem not in self._problems:
                _log.warning("load hindered", extra={FIELDS: {"problem": problem}})
        self._problems = problems
        return self._taker.take(outcome.steps)


def _age(collection: Collection[Any]) -> Callable[[], float]:
    return lambda: monotonic() - collection.heard_at
