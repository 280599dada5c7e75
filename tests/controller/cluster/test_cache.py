"""Collections of several namespaces, each of which the controller may list alone."""

import pytest

from tests.support.api_server import ApiServer
from webhook.controller.cluster.cache import Cache
from webhook.controller.cluster.watching import Watch
from webhook.controller.observed import Job
from webhook.controller.steps import CLAIMS, JOBS
from webhook.kubernetes.client import ClusterError, KubernetesClient

HOME, PUSHES = Watch(JOBS, Job, namespace="home"), Watch(JOBS, Job, namespace="pushes")


def job(namespace: str, version: str = "5") -> dict[str, object]:
    metadata = {"namespace": namespace, "name": "load", "uid": "u", "resourceVersion": version}
    return {"kind": "Job", "metadata": metadata}


@pytest.fixture
def changes() -> list[str]:
    return []


@pytest.fixture
def cache(api: ApiServer, client: KubernetesClient, changes: list[str]) -> Cache:
    """Jobs of two namespaces. Two listeners are about one of them."""
    for namespace in ("home", "pushes"):
        api.lists[JOBS.path(namespace)] = [job(namespace)]
    found = Cache(client)
    for watch, listener in ((HOME, "loads"), (PUSHES, "loads"), (HOME, "cleaning")):
        found.watch(watch, lambda listener=listener: changes.append(listener))  # type: ignore[misc]
    return found


def test_a_resource_has_the_objects_of_all_its_namespaces(api: ApiServer, cache: Cache, changes: list[str]) -> None:
    cache.read()
    assert sorted(cache.objects(JOBS)) == [("home", "load"), ("pushes", "load")]
    assert cache.objects(CLAIMS) == {}
    assert api.requests == [("GET", JOBS.path("home")), ("GET", JOBS.path("pushes"))]
    assert sorted(changes) == ["cleaning", "loads", "loads"]
    assert sorted(cache.ages()) == ["jobs/home", "jobs/pushes"]


def test_whoever_needs_one_namespace_does_not_wait_for_the_other(api: ApiServer, cache: Cache) -> None:
    del api.lists[JOBS.path("pushes")]
    with pytest.raises(ClusterError, match="404"):
        cache.read()
    assert cache.is_read([HOME])
    assert not cache.is_read([PUSHES])
    assert not cache.is_read([HOME, PUSHES])


def test_what_is_written_is_in_the_collection_of_its_namespace(cache: Cache) -> None:
    cache.read()
    cache.written(JOBS, "pushes", b'{"metadata": {"namespace": "pushes", "name": "new", "resourceVersion": "9"}}')
    cache.written(CLAIMS, "pushes", b"no collection has claims")
    assert sorted(cache.objects(JOBS)) == [("home", "load"), ("pushes", "load"), ("pushes", "new")]
