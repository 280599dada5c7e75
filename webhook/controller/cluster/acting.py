"""Takes the steps: sends them to the API server."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Literal, TypeAlias

import msgspec

from webhook.controller.cluster.cache import Cache
from webhook.controller.steps import (
    EVENTS,
    JOBS,
    RESOURCES,
    Create,
    Delete,
    Emit,
    Label,
    ObjectRef,
    Resource,
    Rewrite,
    Step,
)
from webhook.kubernetes.client import ApiResponse, ClusterError, KubernetesClient, RequestBody
from webhook.kubernetes.names import short_hash
from webhook.kubernetes.patch import JSON

MANAGER: Final = "model-injector-controller"
_QUERY: Final = (("fieldManager", MANAGER),)
_FORCED: Final = (*_QUERY, ("force", "true"))
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_LONGEST_MESSAGE: Final = 1000
Result: TypeAlias = Literal["ok", "conflict"]


class StepFailed(ClusterError):
    """The API server refused a step."""


class Actor:
    """Takes steps, and tells the cache what the API server returned. Thread-safe."""

    def __init__(self, api: KubernetesClient, cache: Cache, identity: str) -> None:
        """`identity` is this process, for events."""
        self._api, self._cache, self._identity = api, cache, identity

    def take(self, step: Step) -> Result:
        """Take a step. `conflict` if the object changed, exists or is gone: the decision has to be made again.

        Raises StepFailed, and ClusterError without an answer.
        """
        match step:
            case Create():
                return self._create(step.object)
            case Label():
                return self._patch(step.of, _label(step), _APPLY, _FORCED)
            case Rewrite():
                return self._patch(step.of, _rewrite(step), _MERGE, _QUERY)
            case Delete():
                return self._delete(step.of)
            case Emit():
                return self._emit(step)

    def _create(self, manifest: JSON) -> Result:
        resource = RESOURCES[manifest["kind"]]
        namespace = manifest["metadata"].get("namespace", "")
        path = resource.path(namespace)
        response = self._api.request("POST", path, RequestBody("application/json", manifest), query=_QUERY)
        if response.status == HTTPStatus.CONFLICT:
            return "conflict"
        return self._accepted(response, resource, namespace)

    def _patch(self, of: ObjectRef, body: JSON, kind: str, query: tuple[tuple[str, str], ...]) -> Result:
        content = msgspec.json.encode(body).decode() if kind == _APPLY else body  # JSON is YAML, too
        path = of.resource.path(of.namespace, of.name)
        response = self._api.request("PATCH", path, RequestBody(kind, content), query=query)
        if response.status in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND):
            return "conflict"
        return self._accepted(response, of.resource, of.namespace)

    def _delete(self, of: ObjectRef) -> Result:
        # A Job goes after its pods, so that those of the next one never write beside them.
        body = {
            "propagationPolicy": "Foreground" if of.resource is JOBS else "Background",
            "preconditions": {"uid": of.uid, "resourceVersion": of.resource_version},
        }
        path = of.resource.path(of.namespace, of.name)
        response = self._api.request("DELETE", path, RequestBody("application/json", body))
        if response.status in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND):
            return "conflict"
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise StepFailed(f"{response.what}: {_reason(response)}")
        return "ok"

    def _emit(self, step: Emit) -> Result:
        """Write an event of core/v1, which `kubectl describe` shows."""
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        of, namespace = step.of, step.of.namespace or "default"
        unique = f"{of.uid} {step.reason} {step.message} {now} {self._identity}"
        name = step.name or f"{of.name[:200]}.{short_hash(unique)}"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": of.resource.api_version,
                "kind": of.resource.kind,
                "namespace": of.namespace,
                "name": of.name,
                "uid": of.uid,
            },
            "type": step.type,
            "reason": step.reason,
            "message": step.message[:_LONGEST_MESSAGE],
            "source": {"component": MANAGER},
            "reportingComponent": MANAGER,
            "reportingInstance": self._identity,
            "lastTimestamp": now,
            "firstTimestamp": step.since or now,
            "count": step.count,
        }
        path = EVENTS.path(namespace, name)
        body = RequestBody(_APPLY, msgspec.json.encode(event).decode())
        return self._accepted(self._api.request("PATCH", path, body, query=_FORCED), EVENTS, namespace)

    def _accepted(self, response: ApiResponse, resource: Resource, namespace: str) -> Result:
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise StepFailed(f"{response.what}: {_reason(response)}")
        try:
            self._cache.written(resource, namespace, response.content)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            raise StepFailed(f"{response.what}: the response is not an object") from None
        return "ok"


def _label(step: Label) -> JSON:
    of = step.of
    metadata = {
        "name": of.name,
        **({"namespace": of.namespace} if of.namespace else {}),
        "uid": of.uid,
        "resourceVersion": of.resource_version,
        "labels": dict(step.labels),
        "annotations": dict(step.annotations),
    }
    return {"apiVersion": of.resource.api_version, "kind": of.resource.kind, "metadata": metadata}


def _rewrite(step: Rewrite) -> JSON:
    metadata = {
        "uid": step.of.uid,
        "resourceVersion": step.of.resource_version,
        **({"annotations": dict(step.annotations)} if step.annotations else {}),
        **({"labels": dict(step.labels)} if step.labels else {}),
    }
    if not step.template_annotations:
        return {"metadata": metadata}
    return {
        "metadata": metadata,
        "spec": {"template": {"metadata": {"annotations": dict(step.template_annotations)}}},
    }


class _Status(msgspec.Struct, frozen=True):
    reason: str = ""
    message: str = ""


def _reason(response: ApiResponse) -> str:
    """Why the API server refused a request. Steps contain no secrets, so its message may be shown."""
    try:
        status = msgspec.json.decode(response.content, type=_Status)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        status = _Status()
    return f"the API server answers {response.status}: {status.reason} {status.message}"[:_LONGEST_MESSAGE]
