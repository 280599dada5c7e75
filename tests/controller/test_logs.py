"""What is read of containers' logs, and the events about them, over HTTP."""

import pytest

from tests.support.api_server import ApiServer
from webhook.controller.cluster.acting import Actor
from webhook.controller.cluster.cache import Cache
from webhook.controller.cluster.logs import last_line
from webhook.controller.steps import PODS, Emit, ObjectRef
from webhook.kubernetes.client import ClusterError, KubernetesClient

pytestmark = pytest.mark.usefixtures("client")
LOG = "/api/v1/namespaces/apps/pods/app-0/fetch-my-model"


def test_the_last_line_of_a_log_is_read(api: ApiServer) -> None:
    api.logs[LOG] = "first\nlast\n"
    assert last_line(KubernetesClient(), "apps", "app-0", "fetch-my-model") == "last\n"
    assert api.requests == [("GET", "/api/v1/namespaces/apps/pods/app-0/log")]


def test_a_long_line_is_read_in_part(api: ApiServer) -> None:
    api.logs[LOG] = "x" * 100_000
    assert last_line(KubernetesClient(), "apps", "app-0", "fetch-my-model") == "x" * 1024
    api.body = b"\xff" * 100_000
    assert last_line(KubernetesClient(), "apps", "app-0", "fetch-my-model") == "\ufffd" * 1024


@pytest.mark.parametrize("status", [400, 404])
def test_a_container_that_has_not_started_has_no_line(api: ApiServer, status: int) -> None:
    api.answer = status
    assert last_line(KubernetesClient(), "apps", "app-0", "fetch-my-model") is None


@pytest.mark.parametrize(("status", "text"), [(403, "progress.enabled grants it"), (500, "answers 500")])
def test_other_answers_are_errors(api: ApiServer, status: int, text: str) -> None:
    api.answer = status
    with pytest.raises(ClusterError, match=text):
        last_line(KubernetesClient(), "apps", "app-0", "fetch-my-model")


def test_an_event_that_is_written_again_says_since_when_and_how_often(api: ApiServer) -> None:
    of = ObjectRef(PODS, "apps", "app-0", "uid-of-app-0", "1")
    event = Emit(of, "Normal", "Downloading", "half", "app-0.0badc0de", "2026-01-01T11:59:00Z", 2)
    assert Actor(KubernetesClient(), Cache(KubernetesClient()), "me").take(event) == "ok"
    written = api.objects["/api/v1/namespaces/apps/events/app-0.0badc0de"]
    assert (written["message"], written["firstTimestamp"], written["count"]) == ("half", "2026-01-01T11:59:00Z", 2)
    assert written["involvedObject"]["uid"] == "uid-of-app-0"
