"""Reads the inventory from the API server."""

from http import HTTPStatus
from typing import Final, TypeVar

import msgspec

from webhook.inventory.inventory import Claim, Inventory
from webhook.kubernetes.client import ClusterError, KubernetesClient

T = TypeVar("T")
_PAGE: Final = 500
_MOST_PAGES: Final = 40
"""The maximum number of pages. More claims are an error: without the others, their pods would be refused."""


class _Metadata(msgspec.Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None


class _Status(msgspec.Struct, frozen=True):
    phase: str = ""


class _Object(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()
    status: _Status = _Status()


class _ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    continue_: str | None = msgspec.field(default=None, name="continue")


class _List(msgspec.Struct, frozen=True):
    metadata: _ListMeta = _ListMeta()
    items: tuple[_Object, ...] = ()


class _Version(msgspec.Struct, frozen=True):
    major: str
    minor: str


_list = msgspec.json.Decoder(_List)
_version = msgspec.json.Decoder(_Version)


def read_inventory(api: KubernetesClient, prefix: str) -> Inventory:
    """Read the claims that have the label PREFIX/model, the CSI drivers and the version. Raises ClusterError."""
    claims = {
        (claim.metadata.namespace, claim.metadata.name): Claim(
            (claim.metadata.labels or {}).get(f"{prefix}/state", ""), claim.status.phase
        )
        for claim in _items(api, "/api/v1/persistentvolumeclaims", f"{prefix}/model")
    }
    drivers = frozenset(driver.metadata.name for driver in _items(api, "/apis/storage.k8s.io/v1/csidrivers"))
    version = _decoded(_version, _content(api, "/version"), "/version")
    return Inventory(claims, drivers, f"{version.major}.{version.minor.rstrip('+')}")


def _items(api: KubernetesClient, path: str, selector: str = "") -> list[_Object]:
    items, following = list[_Object](), None
    for _ in range(_MOST_PAGES):
        query = [("limit", str(_PAGE))]
        query += [("labelSelector", selector)] if selector else []
        query += [("continue", following)] if following else []
        page = _decoded(_list, _content(api, path, query), path)
        items += page.items
        following = page.metadata.continue_
        if not following:
            return items
    raise ClusterError(f"GET {path}: more than {_PAGE * _MOST_PAGES} objects")


def _content(api: KubernetesClient, path: str, query: list[tuple[str, str]] | None = None) -> bytes:
    response = api.request("GET", path, query=query or ())
    if response.status != HTTPStatus.OK:
        raise ClusterError(f"GET {path}: the API server answers {response.status}")
    return response.content


def _decoded(decoder: msgspec.json.Decoder[T], content: bytes, path: str) -> T:
    try:
        return decoder.decode(content)
    except msgspec.MsgspecError as error:
        raise ClusterError(f"GET {path}: the response cannot be decoded: {error}") from None
