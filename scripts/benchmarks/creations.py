"""Creations of pods at an API server, as dry runs, and the requests to webhooks that they cause."""

import re
import time
from collections import Counter
from http import HTTPStatus
from typing import Final, NamedTuple

from tests.support.reviews import JSON
from webhook.kubernetes.client import ClusterError, KubernetesClient, RequestBody

_ACCEPT: Final = {"Accept": "application/vnd.kubernetes.protobuf"}
"""What Kubernetes' own controllers accept, which create nearly all pods."""
_SERVICE_ACCOUNT: Final = "model-injector.io/service-account"
_COUNTED: Final = 10
"""Creations of each kind by which the requests to webhooks are counted."""
_REQUESTS: Final = re.compile(
    r'^apiserver_admission_webhook_request_total\{.*?\bname="([^"]*)".*\} (\S+)$', re.MULTILINE
)


class Pod(NamedTuple):
    """A pod that is created."""

    path: str
    body: RequestBody


def pod_to_create(template: JSON, account: str, *, annotated: bool) -> Pod:
    """A creation of that pod, which asks for a model if it is annotated.

    It keeps NAMESPACE/ACCOUNT: the template's annotation for another account is left out.
    """
    namespace, _, name = account.partition("/")
    asking = {key: value for key, value in template["metadata"]["annotations"].items() if key != _SERVICE_ACCOUNT}
    metadata = {**template["metadata"], "annotations": asking if annotated else {}}
    pod = {**template, "metadata": metadata, "spec": {**template["spec"], "serviceAccountName": name}}
    return Pod(f"/api/v1/namespaces/{namespace}/pods", RequestBody("application/json", pod))


def create(api: KubernetesClient, pod: Pod) -> float:
    """The milliseconds of a creation, which is a dry run. Raises ClusterError if the pod is not created."""
    started = time.perf_counter()
    reply = api.request("POST", pod.path, pod.body, query=[("dryRun", "All")], headers=_ACCEPT)
    taken = (time.perf_counter() - started) * 1000
    if reply.status != HTTPStatus.CREATED:
        raise ClusterError(f"a pod is not created: {reply.content.decode(errors='replace')[:300]}")
    return taken


def requests_for_one(api: KubernetesClient, pod: Pod) -> dict[str, float]:
    """The requests to webhooks for one creation, by the webhook's name."""
    before = _total(api)
    for _ in range(_COUNTED):
        create(api, pod)
    return {name: count / _COUNTED for name, count in (_total(api) - before).items()}


def _total(api: KubernetesClient) -> Counter[str]:
    total = Counter[str]()
    for name, count in _REQUESTS.findall(api.request("GET", "/metrics").content.decode()):
        total[name] += int(float(count))
    return total
