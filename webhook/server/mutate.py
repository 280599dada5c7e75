"""POST /mutate: reads an AdmissionReview, decides with `inject`, `pin` or `pin_object`, and writes the answer."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Final

import msgspec
from starlette.types import Receive, Scope, Send

from webhook.admission.decide import inject
from webhook.admission.objects import pin_object
from webhook.admission.pinning import pin
from webhook.admission.result import AdmissionResult
from webhook.admission.review import AdmissionRequest, decode, encode_response, respond
from webhook.catalog.live import LiveCatalog, settle
from webhook.http.body import BodyReader, ClientGone
from webhook.http.errors import BodyTooLarge, Busy, RequestError
from webhook.http.log import FIELDS, write
from webhook.http.metrics import Metrics
from webhook.inventory.inventory import Inventory
from webhook.inventory.refresh import unknown
from webhook.kubernetes import pod
from webhook.kubernetes.decoding import InvalidObject
from webhook.server.alike import Answer, RecentAnswers, alike_pod
from webhook.settings import Settings

_NO_NAMES: Final = pod.ObjectMeta()
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MutateEndpoint:
    """The ASGI application of /mutate."""

    settings: Settings
    live: LiveCatalog
    metrics: Metrics
    inventory: Callable[[], Inventory | None] = unknown
    bodies: BodyReader = field(default_factory=BodyReader)
    recent: RecentAnswers = field(default_factory=RecentAnswers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 200 with a review, 400 or 413 for an invalid body, 500 for an internal error."""
        started = perf_counter()
        answer: Answer | None = None
        try:
            request = decode(await self.bodies.read(scope, receive))
            answer = await self._answer(request)
            status, response = 200, respond(request.uid, answer.response)
        except ClientGone:
            return
        except (RequestError, InvalidObject) as error:
            status, response = getattr(error, "status", RequestError.status), _failure(str(error))
            self.metrics.bad_requests.labels(status).inc()
            _log.warning("bad request", extra={FIELDS: {"status": status, "error": str(error)}})
        except Exception:  # noqa: BLE001 - every request gets a response
            self.metrics.errors.inc()
            _log.exception("unexpected error")
            # Not a refusal: the API server treats a 500 as a failure of the webhook, so that failurePolicy applies.
            status, response = 500, _failure("unexpected error; the webhook's log has its traceback")
        seconds = perf_counter() - started
        await _reply(send, status, response)
        if answer:  # recorded after the response, because the pod waits for that
            self._record(request, answer, seconds)

    async def _answer(self, request: AdmissionRequest) -> Answer:
        if request.creates_a_pod:
            return await self._answer_about_pod(request)
        if request.changes_a_workload:
            decide = partial(
                pin, request.decode_workload(), request.namespace, self.settings, inventory=self.inventory()
            )
            return _answer(await settle(decide, self.live), "Workload")
        if request.changes_one_of(self.settings.workloads):
            return _answer(await self._pin_object(request), "Workload")
        return _answer(AdmissionResult("skipped", "NotForUs"), "Other")

    async def _answer_about_pod(self, request: AdmissionRequest) -> Answer:
        alike = alike_pod(request)
        if alike and (known := self.recent.get(alike)):
            return known
        asking = pod.decode(request.object)
        decide = partial(inject, asking, request.namespace, self.settings, inventory=self.inventory())
        answer = _answer(await settle(decide, self.live), "Pod", asking.metadata)
        if alike:
            self.recent.put(alike, answer)
        return answer

    async def _pin_object(self, request: AdmissionRequest) -> AdmissionResult:
        if not request.mentions(f"{self.settings.annotation_prefix}/"):
            return AdmissionResult("skipped", "NotAnnotated")  # without decoding, because most objects ask for nothing
        changed, namespace = request.decode_object(), request.namespace
        return await settle(
            partial(pin_object, changed, namespace, self.settings, inventory=self.inventory()), self.live
        )

    def _record(self, request: AdmissionRequest, answer: Answer, seconds: float) -> None:
        """Update the metrics and log one line. Never logs the object."""
        result = answer.result
        self.metrics.decisions.labels(answer.label, result.decision, result.reason).inc()
        self.metrics.seconds.observe(seconds)
        name = request.name or answer.name
        write(
            "decision",
            {
                "uid": request.uid,
                "kind": request.kind.kind,
                "namespace": request.namespace,
                **({"name": name} if name else {"generateName": answer.generate_name}),
                "decision": result.decision,
                "reason": result.reason,
                "operations": len(result.operations),
                "models": [f"{model.model}:{model.version}" for model in result.models],
                "milliseconds": round(seconds * 1000, 3),
            },
        )


def _answer(result: AdmissionResult, label: str, metadata: pod.ObjectMeta = _NO_NAMES) -> Answer:
    return Answer(result, encode_response(result), label, metadata.name, metadata.generate_name)


def _failure(error: str) -> bytes:
    return msgspec.json.encode({"error": error})


async def _reply(send: Send, status: int, body: bytes) -> None:
    """Send JSON. ASGI messages, because a framework's Response would add a tenth to the time of a decision."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status in (BodyTooLarge.status, Busy.status):  # the rest of the request's body is not read
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
