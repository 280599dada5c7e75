"""Answers that hold for the other replicas of a workload, for a second."""

import asyncio
import json
from typing import Any

import pytest

from tests.admission.conftest import asking
from tests.server.test_fault import post
from tests.support.reviews import apply, operations, review
from webhook.admission.result import AdmissionResult
from webhook.admission.review import decode
from webhook.catalog.live import StaticCatalog
from webhook.catalog.lookup.exact import ExactCatalog
from webhook.catalog.resolution import Resolved, UnknownVersion
from webhook.http.metrics import Metrics
from webhook.model.request import ModelRequest
from webhook.server.alike import AlikePod, Answer, RecentAnswers, alike_pod
from webhook.server.mutate import MutateEndpoint
from webhook.settings import Settings

JSON = dict[str, Any]
_VOLUME = "kube-api-access-x7k2p"
_OTHER_VOLUME = "kube-api-access-b4b5b"


def sent(pod: JSON, namespace: str = "apps", uid: str = "first") -> bytes:
    """A review as the API server writes it, without spaces."""
    name = pod["metadata"].get("name", "")
    return json.dumps(review(pod, namespace, uid, name=name), separators=(",", ":")).encode()


class CountingCatalog(ExactCatalog):
    """A catalog that counts decisions, and has every version but those that are gone."""

    decisions = 0
    gone = ""

    def resolve(self, request: ModelRequest) -> Resolved:
        self.decisions += 1
        if request.version == self.gone:
            raise UnknownVersion(f"{request.model} has no version {self.gone}")
        return super().resolve(request)


class Webhook:
    """An endpoint whose clock stands still until it is moved."""

    def __init__(self) -> None:
        settings = Settings(bucket="my-ml-bucket")
        self.now, self.metrics = 100.0, Metrics()
        self.catalog = CountingCatalog(settings)
        recent = RecentAnswers(lambda: self.now)
        self._endpoint = MutateEndpoint(settings, StaticCatalog(self.catalog), self.metrics, recent=recent)

    def ask(self, pod: JSON, namespace: str = "apps", uid: str = "first") -> JSON:
        _, body = asyncio.run(post(self._endpoint, sent(pod, namespace, uid)))
        answer: JSON = json.loads(body["body"])
        return answer


@pytest.fixture
def webhook() -> Webhook:
    return Webhook()


def replica(volume: str = _VOLUME, **annotations: str) -> JSON:
    """A pod with the volume of its service account's token."""
    mount = {"name": volume, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}
    app = {"name": "app", "image": "app:1", "volumeMounts": [mount]}
    return asking({"containers": [app], "volumes": [{"name": volume, "projected": {"sources": []}}]}, **annotations)


def alike(pod: JSON, namespace: str = "apps") -> AlikePod:
    found = alike_pod(decode(sent(pod, namespace)))
    assert found
    return found


def injected(response: bytes = b"{}") -> Answer:
    return Answer(AdmissionResult("injected", "Injected"), response, "Pod")


def test_the_third_replica_gets_the_same_patch_without_a_decision(webhook: Webhook) -> None:
    first, _, third = (webhook.ask(replica(f"kube-api-access-{uid}"), uid=uid) for uid in ("first", "other", "third"))
    assert webhook.catalog.decisions == 2
    assert first["response"].pop("uid") == "first"
    assert third["response"].pop("uid") == "third"
    assert operations(first)
    assert first == third


def test_an_answer_without_a_decision_is_counted_as_any_other(webhook: Webhook) -> None:
    for volume in (_VOLUME, _OTHER_VOLUME, _VOLUME):
        webhook.ask(replica(volume))
    counted = b'model_injector_decisions_total{decision="injected",kind="Pod",reason="Injected"} 3.0'
    assert webhook.catalog.decisions == 2
    assert counted in webhook.metrics.render()


def test_after_a_second_there_is_a_decision_again(webhook: Webhook) -> None:
    for _ in range(2):
        webhook.ask(replica())
    webhook.now += 0.9
    webhook.ask(replica())
    assert webhook.catalog.decisions == 2
    webhook.now += 0.1
    webhook.ask(replica())
    assert webhook.catalog.decisions == 3


def test_a_version_that_is_gone_is_refused_a_second_later(webhook: Webhook) -> None:
    for _ in range(2):
        webhook.ask(replica())
    webhook.catalog.gone = "1.2.3"
    assert webhook.ask(replica())["response"]["allowed"] is True
    webhook.now += 1
    assert webhook.ask(replica())["response"]["allowed"] is False


def test_pods_that_differ_otherwise_are_decided_by_themselves(webhook: Webhook) -> None:
    other_image = replica()
    other_image["spec"]["containers"][0]["image"] = "app:2"
    for _ in range(2):
        webhook.ask(replica())
    for number, (pod, namespace) in enumerate(
        ((replica(), "other"), (other_image, "apps"), (replica(timeout="1h"), "apps")), start=3
    ):
        webhook.ask(pod, namespace)
        assert webhook.catalog.decisions == number


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": {"serviceAccountName": _VOLUME}},
        {"metadata": {"name": _VOLUME}},
        {"metadata": {"generateName": _VOLUME}},
        {"metadata": {"annotations": {"model-injector.io/source": _VOLUME}}},
        {"metadata": {"labels": {"app": _VOLUME}}},
    ],
    ids=str,
)
@pytest.mark.parametrize("has_token", [True, False])
def test_a_name_that_is_not_only_a_volumes_is_like_no_other(changes: JSON, has_token: bool) -> None:
    pod = replica() if has_token else asking()
    for part, fields in changes.items():
        pod[part] |= fields
    assert alike_pod(decode(sent(pod))) is None


def test_a_name_without_its_random_part_is_another_name() -> None:
    """Such a pod is invalid, but the webhook is asked before that is found."""
    assert alike_pod(decode(sent(replica("kube-api-access-")))) is None
    assert alike(replica("")).likeness != alike(replica()).likeness


def test_a_pod_with_several_volumes_of_that_name_is_like_no_other() -> None:
    pod = replica()
    pod["spec"]["volumes"].append({"name": _OTHER_VOLUME, "emptyDir": {}})
    assert alike_pod(decode(sent(pod))) is None


def test_a_refusal_holds_for_one_pod(webhook: Webhook) -> None:
    webhook.catalog.gone = "1.2.3"
    for _ in range(2):
        assert webhook.ask(replica())["response"]["allowed"] is False
    webhook.catalog.gone = ""
    assert webhook.ask(replica())["response"]["allowed"] is True


def test_a_patch_that_names_the_volume_holds_for_one_pod(webhook: Webhook) -> None:
    for name in (_VOLUME, _VOLUME, _OTHER_VOLUME):
        pod = asking({"volumes": [{"name": name, "emptyDir": {}}]}, volume=name)
        changed = apply(pod, operations(webhook.ask(pod)))
        assert changed["spec"]["initContainers"][0]["volumeMounts"][0]["name"] == name


def remember(recent: RecentAnswers, pod: AlikePod, answer: Answer) -> None:
    for _ in range(2):
        recent.put(pod, answer)


def test_a_warning_that_names_the_volume_holds_for_one_pod() -> None:
    recent = RecentAnswers()
    warned = AdmissionResult("injected", "Injected", warnings=(f"the volume {_VOLUME} is small",))
    remember(recent, alike(replica()), Answer(warned, b"{}", "Pod"))
    assert recent.get(alike(replica(_OTHER_VOLUME))) is None


def test_memory_is_bounded() -> None:
    recent = RecentAnswers()
    pods = [alike(replica(), f"team-{number}") for number in range(33)]
    for pod in pods:
        remember(recent, pod, injected())
    assert [recent.get(pod) is not None for pod in pods] == [False] + 32 * [True]
    large = alike(replica(), "large")
    remember(recent, large, injected(bytes(65_537)))
    assert recent.get(large) is None


def test_pods_like_no_other_push_no_answer_out() -> None:
    recent = RecentAnswers()
    remember(recent, alike(replica()), injected())
    for number in range(100):
        recent.put(alike(replica(), f"team-{number}"), injected())
    assert recent.get(alike(replica())) is not None


def test_the_pod_that_is_renewed_is_not_the_next_to_be_forgotten() -> None:
    recent = RecentAnswers()
    pods = [alike(replica(), f"team-{number}") for number in range(33)]
    for pod in (*pods[:32], pods[0], pods[32]):
        remember(recent, pod, injected())
    assert recent.get(pods[0]) is not None
    assert recent.get(pods[1]) is None
