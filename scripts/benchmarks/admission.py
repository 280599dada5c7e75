"""The latency and throughput of /mutate, beside empty routes on the same uvicorn over TLS with keep-alive."""

import copy
import json
import os
import re
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import uvloop

from benchmarks.load_generator import Figures, load
from benchmarks.pods import ROOT, VARIABLES, example_pod
from benchmarks.processes import apart, in_own_session
from benchmarks.report import Bound, Figure, compared, median
from benchmarks.surroundings import NAMESPACE, VERSION, everything_on, surroundings
from tests.support import programs
from tests.support.certificates import throwaway_certificate
from tests.support.reviews import JSON, review
from tests.support.webhook import HOST
from webhook.server.alike import MOST as REMEMBERED
from webhook.strategies import STRATEGIES

CATALOGS: Final = (10, 100, 1_000, 10_000)
CONTAINERS: Final = (2, 10, 50)
_FLOOR: Final = "empty FastAPI route"
_BOUNDS: Final = {
    1: (("p50", "ms", "floor", Bound(1.5)), ("p99", "ms", "smallest", Bound(1.2))),
    16: (("throughput", "requests/s", "floor", Bound(0.5, is_least=True)),),
}
"""By number of connections: figures, their units, what /mutate is compared with, and bounds for the largest catalog."""


class Side(NamedTuple):
    """The requests of one side: host, port and path, the trust in its certificate, and bodies that are sent in turn."""

    url: tuple[str, int, str]
    trust: ssl.SSLContext
    bodies: Sequence[bytes]


Rounds = Mapping[str, list[Figures]]


class Servers(NamedTuple):
    """The empty routes, and /mutate by the size of the catalog, with the same requests."""

    routes: Mapping[str, Side]
    mutates: Mapping[int, Side]


def measure(work: Path, rounds: int, seconds: float) -> Iterator[Figure]:
    """Compare the webhook with the empty routes: by the catalog's size, by the pod's, and by strategy."""
    with _servers(work, CATALOGS) as servers:
        yield from _by_catalog(servers, rounds, seconds)
        route, largest = servers.routes[_FLOOR], servers.mutates[CATALOGS[-1]]
        yield from _by_pod(route, largest, rounds, seconds)
        yield from _replicas(route, largest, rounds, seconds)
        yield from _by_strategy(route, largest, rounds, seconds)


def by_catalog(work: Path, rounds: int, seconds: float) -> Iterator[Figure]:
    """Compare the smallest and the largest catalog with the empty routes."""
    with _servers(work, (CATALOGS[0], CATALOGS[-1])) as servers:
        yield from _by_catalog(servers, rounds, seconds)


@contextmanager
def _servers(work: Path, catalogs: Sequence[int]) -> Iterator[Servers]:
    with ExitStack() as stack:
        around = stack.enter_context(surroundings(work, catalogs))
        other = stack.enter_context(apart())
        routes = stack.enter_context(floor(work, other))
        webhooks = {
            count: stack.enter_context(everything_on(work / str(count), around, count, other)) for count in catalogs
        }
        bodies = example_reviews()
        yield Servers(
            routes,
            {
                count: Side((HOST, started.webhook.port, "/mutate"), started.trust, bodies)
                for count, started in webhooks.items()
            },
        )


def in_turn(sides: Mapping[str, Side], connections: int, rounds: int, seconds: float) -> Rounds:
    """Measure the sides in turn. An additional first round warms up; its figures are dropped."""
    for side in sides.values():
        if side.url[2] == "/mutate":
            _check(side)
    found: dict[str, list[Figures]] = {name: [] for name in sides}
    for _ in range(rounds + 1):
        for name, (url, trust, bodies) in sides.items():
            found[name].append(uvloop.run(load(url, trust, bodies, connections, seconds)))
    return {name: figures[1:] for name, figures in found.items()}


def _by_catalog(servers: Servers, rounds: int, seconds: float) -> Iterator[Figure]:
    names = {f"/mutate, {count:,} versions": side for count, side in servers.mutates.items()}
    smallest, *_, largest = names
    for connections, wanted in _BOUNDS.items():
        found = in_turn({**servers.routes, **names}, connections, rounds, seconds)
        for figure, unit, baseline, bound in wanted:
            group = f"/mutate by size of the catalog, {_connections(connections)}: {figure}"
            against = smallest if baseline == "smallest" else _FLOOR
            values = {name: [_value(each, figure) for each in runs] for name, runs in found.items()}
            for name, measured in values.items():
                plain = Figure(group, name, unit, median(measured), is_other=name in servers.routes)
                if name in servers.routes or name == against:
                    yield plain
                else:
                    yield compared(plain, measured, against, values[against], bound if name == largest else None)


def _by_pod(route: Side, mutate: Side, rounds: int, seconds: float) -> Iterator[Figure]:
    """Each pod is also sent to the empty route, because a larger body costs both."""
    for count in CONTAINERS:
        bodies = reviews_of(containers=count)
        sides = {_FLOOR: route._replace(bodies=bodies), "/mutate": mutate._replace(bodies=bodies)}
        found = in_turn(sides, 1, rounds, seconds)
        yield from _pair(f"/mutate by size of the pod, {_connections(1)}", f"{count} containers", found)


def _replicas(route: Side, mutate: Side, rounds: int, seconds: float) -> Iterator[Figure]:
    """The webhook remembers its answer about one of them for a second."""
    alike = mutate.bodies[:1]
    found = in_turn({_FLOOR: route, "/mutate": mutate._replace(bodies=alike)}, 1, rounds, seconds)
    yield from _pair(f"/mutate for the replicas of a workload, {_connections(1)}", "alike pods", found)


def _by_strategy(route: Side, mutate: Side, rounds: int, seconds: float) -> Iterator[Figure]:
    bodies = {name: reviews_of(strategy=name) for name in STRATEGIES}
    sides = {name: mutate._replace(bodies=each) for name, each in bodies.items()}
    found = in_turn({_FLOOR: route._replace(bodies=bodies["s3-init"]), **sides}, 1, rounds, seconds)
    group, floor_p50 = f"/mutate by strategy, {_connections(1)}", [each.p50_ms for each in found[_FLOOR]]
    yield Figure(group, f"{_FLOOR}, p50", "ms", median(floor_p50), is_other=True)
    for name in STRATEGIES:
        values = [each.p50_ms for each in found[name]]
        yield compared(Figure(group, f"{name}, p50", "ms"), values, f"{_FLOOR}, p50", floor_p50)


def _pair(group: str, what: str, found: Rounds) -> Iterator[Figure]:
    floor_p50 = [each.p50_ms for each in found[_FLOOR]]
    name = f"{what}: {_FLOOR}, p50"
    yield Figure(group, name, "ms", median(floor_p50), is_other=True)
    values = [each.p50_ms for each in found["/mutate"]]
    yield compared(Figure(group, f"{what}: /mutate, p50", "ms"), values, name, floor_p50)


def _value(figures: Figures, name: str) -> float:
    return {"p50": figures.p50_ms, "p99": figures.p99_ms, "throughput": figures.requests_per_second}[name]


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count} connections"


@contextmanager
def floor(work: Path, wrapper: Sequence[str]) -> Iterator[dict[str, Side]]:
    """Run the empty routes, by the command `wrapper`. Yields a side for each."""
    certificate = throwaway_certificate(work, HOST)
    trust = ssl.create_default_context(cadata=certificate.authority)
    files = (Path(__file__).with_name("floor.py"), certificate.certificate, certificate.key)
    command = in_own_session(*wrapper, sys.executable, *files)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with programs.running_server(command, ready=re.compile(r"port (\d+)"), log=work / "floor.log", env=env) as port:
        yield {
            name: Side((HOST, int(port), path), trust, example_reviews())
            for name, path in (("empty ASGI application", "/bare"), (_FLOOR, "/empty"))
        }


def example_reviews() -> list[bytes]:
    """AdmissionReviews of the usual pod, which asks for a range of versions, as JSON."""
    return _reviews(example_pod("^1.0", VARIABLES))


def reviews_of(containers: int = 1, strategy: str = "s3-init") -> list[bytes]:
    """AdmissionReviews of pods with that many containers like the example's, for an exact version."""
    pod = example_pod(VERSION)
    pod["metadata"]["annotations"]["model-injector.io/strategy"] = strategy
    (app,) = pod["spec"]["containers"]
    pod["spec"]["containers"] = [{**copy.deepcopy(app), "name": f"app-{number}"} for number in range(containers)]
    return _reviews(pod)


def _reviews(pod: JSON) -> list[bytes]:
    """Reviews of pods that differ in their names: the webhook remembers answers, but fewer than there are pods."""
    _set_defaults(pod)
    metadata = pod["metadata"]
    named = ({**pod, "metadata": {**metadata, "generateName": f"app-{number:02}-"}} for number in range(2 * REMEMBERED))
    return [json.dumps(review(each, NAMESPACE), separators=(",", ":")).encode() for each in named]


def _set_defaults(pod: JSON) -> None:
    """As an API server does before it asks webhooks."""
    token = {
        "name": "kube-api-access-x7k2p",
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        "readOnly": True,
    }
    sources = [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]
    pod["spec"] |= {
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "volumes": [{"name": token["name"], "projected": {"defaultMode": 420, "sources": sources}}],
    }
    for container in pod["spec"]["containers"]:
        container |= {"volumeMounts": [token], "imagePullPolicy": "IfNotPresent"}


def _check(side: Side) -> None:
    """Raise RuntimeError unless the webhook allows the pod and changes it, so that no refusal is measured."""
    host, port, path = side.url
    with httpx.Client(verify=side.trust, trust_env=False) as client:
        answer = client.post(f"https://{host}:{port}{path}", content=side.bodies[0]).json()["response"]
    if not answer["allowed"] or "patch" not in answer:
        raise RuntimeError(f"the pod is not changed: {answer}")
