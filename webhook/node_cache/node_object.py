"""The driver's own node in the API: the labels of the versions in its cache, and the startup taint."""

import logging
from http import HTTPStatus
from typing import Any, Final

import msgspec

from webhook.http.log import FIELDS
from webhook.kubernetes.client import ApiResponse, ClusterError, KubernetesClient, RequestBody
from webhook.kubernetes.decoding import decoded
from webhook.kubernetes.patch import JSON
from webhook.node_cache.protocol import Mark

_ATTEMPTS: Final = 5
_VALUE: Final = "true"
_log = logging.getLogger(__name__)


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    labels: dict[str, str] | None = None


class _Spec(msgspec.Struct, frozen=True):
    taints: tuple[dict[str, Any], ...] | None = None


class _Node(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec = _Spec()


_nodes: Final = msgspec.json.Decoder(_Node)


def mark(api: KubernetesClient, request: Mark) -> None:
    """Make the labels of the node those of the request, and remove its taint. Raises ClusterError and InvalidObject.

    Labels without the prefix of the request stay, and so do other taints.
    """
    path = f"/api/v1/nodes/{request.node}"
    for _ in range(_ATTEMPTS):
        patch = _patch(decoded(_nodes, _checked(api.request("GET", path)).content, "a Node"), request)
        if not patch:
            return
        response = api.request("PATCH", path, RequestBody("application/merge-patch+json", patch))
        if response.status != HTTPStatus.CONFLICT:
            _checked(response)
            _log.info("node changed", extra={FIELDS: {"labels": len(request.labels), "taint": "spec" in patch}})
            return
    raise ClusterError(f"PATCH {path}: the node changed {_ATTEMPTS} times meanwhile")


def _checked(response: ApiResponse) -> ApiResponse:
    if response.status != HTTPStatus.OK:
        raise ClusterError(f"{response.what}: the API server answers {response.status}")
    return response


def _patch(node: _Node, request: Mark) -> JSON:
    """The merge patch; empty if the node needs none."""
    own = {name: value for name, value in (node.metadata.labels or {}).items() if name.startswith(request.prefix)}
    wanted = dict.fromkeys(request.labels, _VALUE)
    labels: JSON = {name: value for name, value in wanted.items() if own.get(name) != value}
    labels |= dict.fromkeys(own.keys() - wanted.keys())
    taints = node.spec.taints or ()
    kept = [taint for taint in taints if taint.get("key") != request.taint]
    if len(kept) == len(taints):
        return {"metadata": {"labels": labels}} if labels else {}
    # A merge patch replaces the whole list, so it must be that of this resourceVersion.
    metadata = {"resourceVersion": node.metadata.resource_version, "labels": labels}
    return {"metadata": metadata, "spec": {"taints": kept}}
