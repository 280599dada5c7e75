"""A real webhook with a catalog, as these tests ask it and load it."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx

from tests.admission.conftest import JSON
from tests.support.reviews import apply, operations, review
from tests.support.webhook import Webhook

Run = Callable[..., AbstractContextManager[Webhook]]


DEPLOYMENT = {"group": "apps", "version": "v1", "kind": "Deployment"}


def ask(client: httpx.Client, pod: JSON, **request: Any) -> JSON:
    found: JSON = client.post("/mutate", json=review(pod, **request)).json()
    return found


def created(client: httpx.Client, pod: JSON) -> JSON:
    """The pod as it comes out of the admission chain."""
    answer = ask(client, pod)
    assert answer["response"]["allowed"], answer
    return apply(pod, operations(answer))


def record_of(pod: JSON) -> JSON:
    """What is recorded of a pod's only model."""
    (record,) = json.loads(pod["metadata"]["annotations"]["model-injector.io/injected"])
    assert isinstance(record, dict)
    return record


def version_of(pod: JSON) -> str:
    found: str = record_of(pod)["version"]
    return found


def applied(client: httpx.Client, new: JSON, old: JSON | None = None) -> JSON:
    """A Deployment as it is stored."""
    request = {"kind": DEPLOYMENT, "operation": "UPDATE" if old else "CREATE", "oldObject": old}
    answer = ask(client, new, **request)
    assert answer["response"]["allowed"], answer
    return apply(new, operations(answer))


class Load:
    """Pods that are created one after the other on connections of their own, until it ends."""

    def __init__(self, webhook: Webhook, pods: list[JSON], connections: int = 8) -> None:
        self.webhook, self.bodies = webhook, [json.dumps(review(pod)) for pod in pods]
        self.slowest, self.count, self.refused = 0.0, 0, list[str]()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(connections)]

    def _run(self, number: int) -> None:
        with self.webhook.client() as client:
            while not self._stop.is_set():
                for body in self.bodies[number:] + self.bodies[:number]:
                    if self._stop.is_set():
                        break
                    started = time.perf_counter()
                    answer = client.post("/mutate", content=body)
                    self.slowest = max(self.slowest, time.perf_counter() - started)
                    self.count += 1
                    if answer.status_code != 200 or not answer.json()["response"]["allowed"]:
                        self.refused.append(answer.text)
                time.sleep(0.01)  # the test shares two processors with the webhook

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
