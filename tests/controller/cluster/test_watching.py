"""A collection in memory is what the API server has, whatever happens to its connections."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.controller.cluster.pauses import Pauses
from tests.support.api_server import CUT, HOLD, ApiServer
from webhook.controller.cluster import watching
from webhook.controller.cluster.watching import Collection, Watch
from webhook.controller.observed import Claim
from webhook.controller.steps import CLAIMS, REFERENCES
from webhook.kubernetes.client import KubernetesClient

JSON = dict[str, Any]
PATH = "/api/v1/persistentvolumeclaims"
SELECTOR = "model-injector.io/model"
OF_CLAIMS = Watch(CLAIMS, Claim, SELECTOR)
EXPIRED = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
INTERNAL = {"type": "ERROR", "object": {"kind": "Status", "code": 500}}


def claim(name: str, version: int, state: str = "loading") -> JSON:
    labels = {SELECTOR: "my-model", "state": state}
    metadata = {"namespace": "team-a", "name": name, "resourceVersion": str(version), "labels": labels}
    return {"kind": "PersistentVolumeClaim", "metadata": metadata}


def event(kind: str, name: str, version: int, state: str = "loading") -> JSON:
    return {"type": kind, "object": claim(name, version, state)}


def bookmark(version: int) -> JSON:
    return {
        "type": "BOOKMARK",
        "object": {"kind": "PersistentVolumeClaim", "metadata": {"resourceVersion": f"{version}"}},
    }


def content(name: str, version: int, state: str) -> bytes:
    return json.dumps(claim(name, version, state)).encode()


class Watched(Collection):
    """A collection of claims."""

    def __init__(self, client: KubernetesClient, watch: Watch = OF_CLAIMS) -> None:
        self.changes = 0
        super().__init__(client, watch, self._count)

    def _count(self) -> None:
        self.changes += 1

    @property
    def states(self) -> dict[str, str]:
        return {name: known.labels["state"] for (_, name), known in self.objects().items()}


@pytest.fixture
def watched(api: ApiServer, client: KubernetesClient) -> Callable[..., Watched]:
    """Lists these claims, and watches these streams until the n-th pause."""

    def begin(claims: list[JSON], *streams: list[JSON | str], pauses: int = 1) -> Watched:
        api.lists[PATH], api.watched[PATH], collection = claims, list(streams), Watched(client)
        collection.run(Pauses(pauses))
        return collection

    return begin


def test_objects_come_change_and_go(api: ApiServer, watched: Callable[..., Watched]) -> None:
    api.list_version = "7"
    events = [event("ADDED", "b", 8), event("MODIFIED", "a", 9, "ready"), event("DELETED", "b", 10)]
    collection = watched([claim("a", 5), claim("c", 6)], events)
    assert collection.states == {"a": "ready", "c": "loading"}
    assert collection.is_read
    assert collection.changes == 4
    assert api.watches[0]["resourceVersion"] == "7"
    assert api.watches[0]["allowWatchBookmarks"] == "true"
    assert api.watches[0]["labelSelector"] == SELECTOR
    assert 240 <= int(api.watches[0]["timeoutSeconds"]) <= 360


def test_a_list_in_pages_is_read_whole(watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_PAGE", 2)
    assert list(watched([claim(name, 1) for name in "abcde"]).states) == list("abcde")


def test_a_watch_goes_on_where_the_last_one_has_ended(api: ApiServer, watched: Callable[..., Watched]) -> None:
    collection = watched([], [event("ADDED", "a", 5)], [bookmark(9)], [event("ADDED", "b", 10)])
    assert [each["resourceVersion"] for each in api.watches] == ["1", "5", "9", "10"]
    assert collection.states == {"a": "loading", "b": "loading"}
    assert collection.changes == 3, "a bookmark is no change"
    assert [method for method, path in api.requests].count("GET") == 5


@pytest.mark.parametrize("error", [EXPIRED, INTERNAL])
def test_after_an_error_event_the_collection_is_listed_again(
    api: ApiServer, watched: Callable[..., Watched], error: JSON
) -> None:
    collection = watched([claim("a", 1)], [event("ADDED", "b", 5), error], pauses=2)
    assert collection.states == {"a": "loading"}
    assert [each["resourceVersion"] for each in api.watches] == ["1", "1"]


def test_a_cut_connection_is_continued(api: ApiServer, watched: Callable[..., Watched]) -> None:
    collection = watched([], [event("ADDED", "a", 5), CUT], [event("MODIFIED", "a", 6, "ready")], pauses=2)
    assert [each["resourceVersion"] for each in api.watches] == ["1", "5", "6"]
    assert collection.states == {"a": "ready"}


def test_silence_ends_a_watch(api: ApiServer, watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_SILENCE_SECONDS", 0.5)
    watched([], [event("ADDED", "a", 5), HOLD], pauses=1)
    assert [each["resourceVersion"] for each in api.watches] == ["1", "5"]


@pytest.mark.parametrize(
    "streams",
    [
        [],  # they end at once
        [[EXPIRED]] * 9,
        [[CUT]] * 9,
        [[event("ADDED", "a", 5), CUT], [CUT]] * 5,
        [[{"type": "ADDED", "object": {"metadata": 1}}]] * 9,
        [[{}]] * 9,
    ],
)
def test_each_request_that_brings_nothing_new_is_followed_by_a_pause(
    api: ApiServer, watched: Callable[..., Watched], streams: list[list[JSON | str]]
) -> None:
    watched([], *streams, pauses=6)
    assert len(api.requests) <= 12


def test_pauses_grow_until_news_come(api: ApiServer, client: KubernetesClient) -> None:
    api.lists[PATH], stopped = [], Pauses(20)
    Watched(client).run(stopped)
    assert all(2**number / 4 <= seconds <= 2**number / 2 for number, seconds in enumerate(stopped.seconds[:6], 1))
    assert max(stopped.seconds) <= 60
    assert len([each for each in api.requests if each[1] == PATH]) == 21
    api.watched[PATH] = [*[[]] * 3, [event("ADDED", "a", 5)], []]
    stopped = Pauses(5)
    Watched(client).run(stopped)
    assert [seconds > 1 for seconds in stopped.seconds] == [False, True, True, False, True]


@pytest.mark.parametrize("status", [401, 403, 404, 410, 429, 500])
def test_a_collection_that_cannot_be_listed_keeps_what_it_had(
    api: ApiServer, client: KubernetesClient, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    api.lists[PATH], api.list_version = [claim("a", 1)], "7"
    collection = Watched(client)
    collection.run(Pauses(1))
    api.answer, api.watched[PATH] = status, []
    collection.run(Pauses(4))
    assert collection.states == {"a": "loading"}
    assert len(caplog.records) <= 2, "the same problem is logged once"
    assert "Traceback" not in caplog.text
    api.answer, api.lists[PATH] = None, [claim("b", 9)]
    collection.run(Pauses(1))
    assert collection.states == {"b": "loading"}


def test_a_list_that_expires_while_it_is_read_is_read_again(
    api: ApiServer, watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_PAGE", 2)
    api.keeps_lists = False
    collection = watched([claim(name, 1) for name in "abc"], pauses=3)
    assert not collection.is_read
    assert len(api.requests) == 6
    api.keeps_lists = True
    collection.run(Pauses(1))
    assert list(collection.states) == ["a", "b", "c"]


def test_a_list_without_end_is_given_up(
    watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watching, "_PAGE", 1)
    monkeypatch.setattr(watching, "_MOST_PAGES", 3)
    assert not watched([claim(name, 1) for name in "abcde"]).is_read
    assert "more than 3 pages" in caplog.records[0].fields["problem"]  # type: ignore[attr-defined]


def test_an_unexpected_answer_does_not_end_the_thread(
    api: ApiServer, client: KubernetesClient, caplog: pytest.LogCaptureFixture
) -> None:
    api.lists[PATH], api.body = [], b'{"metadata": {}, "items": [[[]]]}'
    collection, stopped = Watched(client), Pauses(2)
    collection.run(stopped)
    assert not collection.is_read
    assert len(stopped.seconds) == 2
    assert len(caplog.records) == 1


def test_a_resource_that_the_api_lacks_has_no_objects_and_may_come(api: ApiServer, client: KubernetesClient) -> None:
    collection = Watched(client, Watch(REFERENCES, Claim, is_optional=True))
    stopped = Pauses(3)
    collection.run(stopped)
    assert (collection.is_read, collection.states, len(api.requests)) == (True, {}, 3)
    path = "/apis/trident.netapp.io/v1/tridentvolumereferences"
    api.lists[path] = [claim("a", 5)]
    collection.run(Pauses(1))
    assert collection.states == {"a": "loading"}
    del api.lists[path]
    collection.run(Pauses(2))
    assert collection.states == {}


def test_a_resource_that_is_required_is_not_read_without_the_api(client: KubernetesClient) -> None:
    collection = Watched(client, Watch(REFERENCES, Claim))
    collection.run(Pauses(2))
    assert not collection.is_read


def test_a_write_is_seen_at_once_and_older_news_do_not_undo_it(api: ApiServer, client: KubernetesClient) -> None:
    api.lists[PATH] = [claim("a", 1)]
    collection = Watched(client)
    collection.refresh()
    collection.written(content("a", 6, "ready"))
    assert collection.states == {"a": "ready"}
    api.watched[PATH] = [[event("MODIFIED", "a", 5, "failed")]]
    collection.run(Pauses(1))
    assert collection.states == {"a": "ready"}
    api.watched[PATH] = [[event("MODIFIED", "a", 6, "ready"), event("MODIFIED", "a", 7, "outdated")]]
    collection.run(Pauses(1))
    assert collection.states == {"a": "outdated"}


def test_an_older_list_does_not_undo_a_write(api: ApiServer, client: KubernetesClient) -> None:
    api.lists[PATH], api.list_version = [claim("a", 1)], "5"
    collection = Watched(client)
    collection.refresh()
    collection.written(content("a", 6, "ready"))
    collection.refresh()
    assert collection.states == {"a": "ready"}
    api.lists[PATH], api.list_version = [], "7"
    collection.refresh()
    assert collection.states == {}


@pytest.mark.parametrize("later", [event("MODIFIED", "a", 7, "outdated"), event("DELETED", "a", 7)])
def test_a_write_whose_answer_is_late_does_not_undo_newer_news(
    api: ApiServer, client: KubernetesClient, later: JSON
) -> None:
    api.lists[PATH], api.watched[PATH] = [claim("a", 1)], [[event("MODIFIED", "a", 6, "ready"), later]]
    collection = Watched(client)
    collection.run(Pauses(1))
    after = collection.states
    collection.written(content("a", 6, "ready"))
    assert collection.states == after != {"a": "ready"}


def test_answers_of_two_writes_may_be_swapped(api: ApiServer, client: KubernetesClient) -> None:
    api.lists[PATH] = [claim("a", 1)]
    collection = Watched(client)
    collection.refresh()
    collection.written(content("a", 7, "outdated"))
    collection.written(content("a", 6, "ready"))
    assert collection.states == {"a": "outdated"}


def test_a_process_that_is_stopped_takes_no_more_news(api: ApiServer, client: KubernetesClient) -> None:
    api.lists[PATH], api.watched[PATH] = [], [[event("ADDED", "a", 5), event("ADDED", "b", 6), HOLD]]
    collection, stopped = Watched(client), Pauses(1)
    collection._changed = lambda: stopped.set() if collection.states else None
    collection.run(stopped)
    assert collection.states == {"a": "loading"}
