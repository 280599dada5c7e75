"""POST /mutate: one AdmissionReview in, one out. A thin layer over `inject` and `pin`."""

import logging
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import NamedTuple

import msgspec
from starlette.types import Receive, Scope, Send

from webhook.admission.decide import inject
from webhook.admission.pinning import pin
from webhook.admission.result import AdmissionResult
from webhook.admission.review import AdmissionRequest, decode, respond
from webhook.catalog.live import LiveCatalog, settle
from webhook.http.body import BodyReader, ClientGone
from webhook.http.errors import BodyTooLarge, Busy, RequestError
from webhook.http.log import FIELDS, write
from webhook.http.metrics import Metrics
from webhook.kubernetes import pod
from webhook.kubernetes.decoding import InvalidObject
from webhook.settings import Settings

_log = logging.getLogger(__name__)


class _Reviewed(NamedTuple):
    """One request, and what was decided; the pod, where it is about one."""

    request: AdmissionRequest
    reviewed: pod.Pod | None
    injection: AdmissionResult


@dataclass(frozen=True, slots=True)
class MutateEndpoint:
    """The ASGI application behind /mutate."""

    settings: Settings
    live: LiveCatalog
    metrics: Metrics
    bodies: BodyReader = field(default_factory=BodyReader)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 200 with a review, 400 or 413 for a body that is none, 500 for a fault of ours."""
        started = perf_counter()
        decision: _Reviewed | None = None
        try:
            body = await self.bodies.read(scope, receive)
            decision = await self._decide(body)
            status, answer = 200, respond(decision.request.uid, decision.injection)
        except ClientGone:
            return
        except (RequestError, InvalidObject) as error:
            status, answer = getattr(error, "status", RequestError.status), _failure(str(error))
            self.metrics.bad_requests.labels(status).inc()
            _log.warning("bad request", extra={FIELDS: {"status": status, "error": str(error)}})
        except Exception:  # noqa: BLE001 - whatever it is, the client gets its answer
            self.metrics.errors.inc()
            _log.exception("unexpected error")
            # Not a refusal: the API server takes a 500 as the webhook's failure, so failurePolicy decides.
            status, answer = 500, _failure("unexpected error; the webhook's log has its traceback")
        seconds = perf_counter() - started
        await _reply(send, status, answer)
        if decision:  # told after the answer is out, for the pod waits for that
            self._record(decision, seconds)

    async def _decide(self, body: bytes) -> _Reviewed:
        request = decode(body)
        if request.creates_a_pod:
            reviewed = pod.decode(request.object)
            decide = partial(inject, reviewed, request.namespace, self.settings)
            return _Reviewed(request, reviewed, await settle(decide, self.live))
        if request.changes_a_workload:
            decide = partial(pin, request.decode_workload(), request.namespace, self.settings)
            return _Reviewed(request, None, await settle(decide, self.live))
        return _Reviewed(request, None, AdmissionResult("skipped", "NotForUs"))

    def _record(self, decision: _Reviewed, seconds: float) -> None:
        """Metrics, and the log's one line: never the object."""
        request, reviewed, injection = decision
        self.metrics.decisions.labels(_kind(request), injection.decision, injection.reason).inc()
        self.metrics.seconds.observe(seconds)
        name = request.name or (reviewed and reviewed.metadata.name)
        generate_name = reviewed and reviewed.metadata.generate_name
        write(
            "decision",
            {
                "uid": request.uid,
                "kind": request.kind.kind,
                "namespace": request.namespace,
                **({"name": name} if name else {"generateName": generate_name}),
                "decision": injection.decision,
                "reason": injection.reason,
                "operations": len(injection.operations),
                "models": [f"{model.model}:{model.version}" for model in injection.models],
                "milliseconds": round(seconds * 1000, 3),
            },
        )


def _kind(request: AdmissionRequest) -> str:
    """What a review is about, in one of a few words."""
    return "Pod" if request.creates_a_pod else "Workload" if request.changes_a_workload else "Other"


def _failure(error: str) -> bytes:
    return msgspec.json.encode({"error": error})


async def _reply(send: Send, status: int, answer: bytes) -> None:
    """Answer in JSON; straight to the server, for a framework's response would take a tenth of a decision's time."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    if status in (BodyTooLarge.status, Busy.status):  # the rest of a body may still be on its way
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
