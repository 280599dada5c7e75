"""At most one replica leads, by a Lease and clocks that need not agree."""

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from tests.controller.cluster.pauses import Pauses
from tests.support.api_server import ApiServer
from tests.support.clock import Clock
from webhook.controller.cluster import lease
from webhook.controller.cluster.lease import Election, LeaseLost
from webhook.kubernetes.client import ApiResponse, ClusterError, KubernetesClient

PATH = "/apis/coordination.k8s.io/v1/namespaces/model-injector/leases/controller"


class Replica:
    """One process, with a clock of its own."""

    def __init__(self, client: KubernetesClient, name: str) -> None:
        self.clock, self._client, self._name = Clock(), client, name
        self.stopped: Event = Pauses(1, self.clock)
        self.election = self._election(self.stopped)

    def _election(self, stopped: Event) -> Election:
        owner = {"apiVersion": "v1", "kind": "Pod", "name": self._name, "uid": f"uid-of-{self._name}"}
        return Election(self._client, "model-injector", "controller", self._name, stopped, self.clock, owner)

    def is_elected(self, seconds: float = 0) -> bool:
        """Whether it is elected at once, after that time on its clock."""
        self.clock.now += seconds
        self.election._stopped = Pauses(1, self.clock)
        return self.election.wait()

    def keep(self, pauses: int, then: Callable[[], None] = lambda: None) -> Pauses:
        """Lead until the n-th pause."""
        stopped = Pauses(pauses, self.clock, then)
        self.election._stopped = stopped
        self.election.keep()
        return stopped


@pytest.fixture
def replicas(client: KubernetesClient) -> tuple[Replica, Replica]:
    return Replica(client, "a"), Replica(client, "b")


def spec(api: ApiServer) -> dict[str, Any]:
    found: dict[str, Any] = api.objects[PATH]["spec"]
    return found


def test_the_lease_belongs_to_the_pod_of_the_replica_that_leads(
    api: ApiServer, replicas: tuple[Replica, Replica]
) -> None:
    first, second = replicas
    assert first.is_elected()
    assert [owner["uid"] for owner in api.objects[PATH]["metadata"]["ownerReferences"]] == ["uid-of-a"]

    first.election.release()
    assert second.is_elected(1)
    assert [owner["uid"] for owner in api.objects[PATH]["metadata"]["ownerReferences"]] == ["uid-of-b"]


def test_the_first_replica_creates_the_lease(api: ApiServer, replicas: tuple[Replica, Replica]) -> None:
    first, second = replicas
    assert first.is_elected()
    assert spec(api)["holderIdentity"] == "a"
    assert (spec(api)["leaseDurationSeconds"], spec(api)["leaseTransitions"]) == (15, 1)
    assert spec(api)["acquireTime"] == spec(api)["renewTime"]
    assert not second.is_elected()
    assert spec(api)["holderIdentity"] == "a"


def test_a_replica_that_is_started_again_leads_at_once(api: ApiServer, client: KubernetesClient) -> None:
    assert Replica(client, "a").is_elected()
    assert Replica(client, "a").is_elected()
    assert spec(api)["leaseTransitions"] == 1


def test_a_lease_that_is_not_renewed_is_taken_over_after_its_duration(
    api: ApiServer, replicas: tuple[Replica, Replica]
) -> None:
    first, second = replicas
    first.is_elected()
    assert not second.is_elected()
    assert not second.is_elected(11)  # and up to 3 seconds of the pause before
    assert second.is_elected(5)
    assert spec(api)["holderIdentity"] == "b"
    assert spec(api)["leaseTransitions"] == 2
    with pytest.raises(LeaseLost, match="b holds the lease"):
        first.keep(1 + 1)


def test_a_lease_that_is_renewed_is_not_taken_over(api: ApiServer, replicas: tuple[Replica, Replica]) -> None:
    first, second = replicas
    first.is_elected()
    times = []
    for _ in range(5):
        assert not second.is_elected(10)
        first.keep(2)
        times.append(spec(api)["renewTime"])
    assert len(set(times)) == 5
    assert spec(api)["leaseTransitions"] == 1


def test_the_time_in_the_lease_does_not_matter(api: ApiServer, replicas: tuple[Replica, Replica]) -> None:
    first, second = replicas
    first.is_elected()
    spec(api)["renewTime"] = "2001-01-01T00:00:00.000000Z"
    assert not second.is_elected()
    spec(api)["renewTime"] = "2999-01-01T00:00:00.000000Z"
    assert not second.is_elected(10)
    assert second.is_elected(20)


def test_a_replica_waits_with_pauses_until_it_is_stopped(replicas: tuple[Replica, Replica]) -> None:
    first, second = replicas
    first.is_elected()
    stopped = Pauses(3)
    second.election._stopped = stopped
    assert not second.election.wait()
    assert all(2 <= seconds <= 3 for seconds in stopped.seconds)


def test_a_replica_that_cannot_read_the_lease_goes_on_trying(api: ApiServer, replicas: tuple[Replica, Replica]) -> None:
    first, _ = replicas
    api.answer = 503

    def recover() -> None:
        api.answer = None

    first.election._stopped = Pauses(2, first.clock, recover)
    assert first.election.wait()


def test_a_replica_that_loses_the_race_for_a_lease_waits(
    api: ApiServer, replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = replicas
    first.is_elected()
    with_change(monkeypatch, second, "PUT", lambda: api.put(PATH, api.objects[PATH]))
    second.is_elected()
    assert not second.is_elected(20)
    assert spec(api)["holderIdentity"] == "a"


def test_a_replica_that_loses_the_race_for_a_new_lease_waits(
    api: ApiServer, replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = replicas
    with_change(monkeypatch, second, "POST", lambda: first.is_elected() and None)
    assert not second.is_elected()
    assert spec(api)["holderIdentity"] == "a"


def with_change(monkeypatch: pytest.MonkeyPatch, replica: Replica, method: str, change: Callable[[], object]) -> None:
    """Something happens just before the replica's next request of that method."""
    client = KubernetesClient()

    def request(made: str, *arguments: Any, **options: Any) -> ApiResponse:
        if made == method:
            change()
        return client.request(made, *arguments, **options)

    monkeypatch.setattr(replica.election, "_api", type("Client", (), {"request": staticmethod(request)}))


def test_somebody_who_edits_the_lease_does_not_end_the_leader(
    api: ApiServer, replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = replicas
    first.is_elected()
    edits = iter([True, True, False, False])
    with_change(monkeypatch, first, "PUT", lambda: next(edits) and api.put(PATH, api.objects[PATH]))
    stopped = first.keep(4)
    assert stopped.seconds == [5, 2, 2, 5]
    assert spec(api)["holderIdentity"] == "a"


def test_a_lease_that_was_deleted_is_created_again(api: ApiServer, replicas: tuple[Replica, Replica]) -> None:
    first, _ = replicas
    first.is_elected()
    del api.objects[PATH]
    first.keep(2)
    assert spec(api)["holderIdentity"] == "a"


def test_a_leader_that_cannot_renew_stops_before_another_one_may_lead(
    api: ApiServer, replicas: tuple[Replica, Replica]
) -> None:
    first, _ = replicas
    first.is_elected()
    started, api.answer = first.clock.now, 503
    with pytest.raises(LeaseLost, match="not renewed for 10 s"):
        first.keep(100)
    assert 10 <= first.clock.now - started < 15


def test_a_leader_renews_after_a_short_failure(api: ApiServer, replicas: tuple[Replica, Replica]) -> None:
    first, _ = replicas
    first.is_elected()
    answers = iter([503, 503, None, None, None])

    def fail() -> None:
        api.answer = next(answers)

    assert first.keep(5, fail).seconds == [5, 2, 2, 5, 5]


def test_a_leader_whose_request_hangs_stops(replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = replicas
    first.is_elected()
    monkeypatch.setattr(lease, "_DEADLINE_SECONDS", 5.01)
    released = Event()

    def hang() -> None:
        released.wait()
        raise ClusterError("the connection is lost")

    with_change(monkeypatch, first, "PUT", hang)
    with pytest.raises(LeaseLost, match="not renewed"):
        first.keep(100)
    released.set()


def test_a_leader_whose_machine_slept_stops(replicas: tuple[Replica, Replica]) -> None:
    first, _ = replicas
    first.is_elected()

    def sleep() -> None:
        first.clock.now += 60

    with pytest.raises(LeaseLost, match="not renewed"):
        first.keep(100, sleep)


def test_a_leader_that_is_stopped_lets_another_one_lead_at_once(
    api: ApiServer, replicas: tuple[Replica, Replica]
) -> None:
    first, second = replicas
    first.is_elected()
    assert not second.is_elected()
    first.keep(2)
    first.election.release()
    assert spec(api)["holderIdentity"] == ""
    assert second.is_elected()


def test_a_lease_that_another_replica_has_is_not_released(api: ApiServer, replicas: tuple[Replica, Replica]) -> None:
    first, second = replicas
    first.is_elected()
    second.is_elected()
    second.is_elected(20)
    first.election.release()
    assert spec(api)["holderIdentity"] == "b"


def test_a_lease_that_cannot_be_released_is_told(
    api: ApiServer, replicas: tuple[Replica, Replica], caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = replicas
    first.is_elected()
    api.answer = 500
    first.election.release()
    assert spec(api)["holderIdentity"] == "a"
    assert "lease not released" in caplog.text
