"""What a cluster tells about the ways that it supports: its version, and the names of its CSI drivers."""

from typing import Final, NamedTuple, TypeVar

import msgspec

from webhook.advice.inputs import kubernetes_minor
from webhook.kubernetes.client import ApiResponse, ClusterError, KubernetesClient

_T = TypeVar("_T")
_NAMES_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_FORBIDDEN: Final = (401, 403)


class Capabilities(NamedTuple):
    """What could be read. None: it may not be read, or is unusable; `warnings` say why."""

    kubernetes_minor: int | None
    csi_drivers: tuple[str, ...] | None
    warnings: tuple[str, ...]


class _Version(msgspec.Struct, rename="camel"):
    git_version: str


class _Metadata(msgspec.Struct):
    name: str


class _Object(msgspec.Struct):
    metadata: _Metadata


class _Objects(msgspec.Struct):
    items: tuple[_Object, ...]


def read_capabilities(context: str | None) -> Capabilities:
    """Ask the API server of the kubeconfig's context, with two requests. Raises ClusterError if it does not answer."""
    api = KubernetesClient(context)
    minor: int | None = None
    names: tuple[str, ...] | None = None
    warnings = []
    response = api.request("GET", "/version")
    try:
        minor = kubernetes_minor(_content(response, _Version).git_version)
    except ClusterError as error:
        warnings.append(f"the cluster's version is unknown: {error}; give --kubernetes-version")
    except ValueError:
        warnings.append("the cluster's version is not one of Kubernetes 1; give --kubernetes-version")
    response = api.request(
        "GET", "/apis/storage.k8s.io/v1/csidrivers", query=[("limit", "500")], headers={"Accept": _NAMES_ONLY}
    )
    try:
        names = tuple(sorted(driver.metadata.name for driver in _content(response, _Objects).items))
    except ClusterError as error:
        hint = "this user may not list csidrivers" if response.status in _FORBIDDEN else str(error)
        warnings.append(f"the cluster's CSI drivers are unknown: {hint}; give --csi-drivers")
    return Capabilities(minor, names, tuple(warnings))


def _content(response: ApiResponse, kind: type[_T]) -> _T:
    """The object in a response. Raises ClusterError."""
    try:
        return msgspec.convert(response.json(), kind)
    except msgspec.ValidationError as error:
        raise ClusterError(f"{response.what}: {error}") from error
