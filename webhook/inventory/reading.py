"""Reads the inventory from the API server."""

from typing import Final

import msgspec

from webhook.inventory.inventory import Claim, Inventory
from webhook.kubernetes.client import KubernetesClient
from webhook.kubernetes.paging import ListReader, Page

_MOST_PAGES: Final = 40
"""The maximum number of pages. More objects are an error: a part of the claims would make the others unavailable."""
_SECONDS: Final = 60
"""The maximum duration of a reading."""
_REMEDY: Final = "the chart's config.inventory.enabled grants it"


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    labels: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    volume_name: str = ""


class _Status(msgspec.Struct, frozen=True):
    phase: str = ""


class _Claim(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()


class _Driver(msgspec.Struct, frozen=True):
    metadata: _Metadata


class _Version(msgspec.Struct, frozen=True):
    major: str
    minor: str


_claims = msgspec.json.Decoder(Page[_Claim])
_drivers = msgspec.json.Decoder(Page[_Driver])
_version = msgspec.json.Decoder(_Version)


def read_inventory(api: KubernetesClient, prefix: str) -> Inventory:
    """Read the claims that have the label PREFIX/model, the CSI drivers and the version. Raises ClusterError."""
    reader = ListReader(api, "inventory", _SECONDS, _REMEDY)
    claims = {
        (claim.metadata.namespace, claim.metadata.name): Claim(
            (claim.metadata.labels or {}).get(f"{prefix}/state", ""),
            claim.status.phase,
            claim.spec.volume_name,
            claim.metadata.deletion_timestamp is not None,
        )
        for claim in reader.items(_claims, "/api/v1/persistentvolumeclaims", _MOST_PAGES, f"{prefix}/model")
    }
    drivers = frozenset(
        driver.metadata.name for driver in reader.items(_drivers, "/apis/storage.k8s.io/v1/csidrivers", _MOST_PAGES)
    )
    version = reader.get(_version, "/version")
    return Inventory(claims, drivers, f"{version.major}.{version.minor.rstrip('+')}")
