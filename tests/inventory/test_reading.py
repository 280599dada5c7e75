"""What is read from an API server, over HTTP, and what is not taken for an inventory."""

from collections.abc import Callable

import pytest

from tests.inventory.conftest import CLAIMS, DRIVERS, claim
from tests.support.api_server import ApiServer
from webhook.inventory import reading
from webhook.inventory.inventory import Claim, Inventory
from webhook.inventory.reading import read_inventory
from webhook.kubernetes import client
from webhook.kubernetes.client import ClusterError, KubernetesClient

PREFIX = "model-injector.io"


def test_the_claims_of_models_are_read_page_by_page_with_drivers_and_version(api: ApiServer) -> None:
    going = claim("going", state="ready")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    api.lists[CLAIMS] = [
        *(claim(f"claim-{number}", state="ready") for number in range(1000)),
        {**claim("new", "apps"), "spec": {}, "status": {"phase": "Pending"}},
        going,
        *({"metadata": {"name": "data", "namespace": f"ns-{number}"}, "spec": {}} for number in range(600)),
    ]
    inventory = read_inventory(KubernetesClient(), PREFIX)
    assert len(inventory.claims) == 1002
    assert inventory.claims["ml", "claim-999"] == Claim("ready", "Bound", "pv-claim-999")
    assert inventory.claims["apps", "new"] == Claim("", "Pending")
    assert inventory.claims["ml", "going"].is_deleted
    assert (inventory.drivers, inventory.version) == (frozenset({"s3.csi.aws.com"}), "1.36")
    assert [path for _, path in api.requests] == [CLAIMS, CLAIMS, CLAIMS, DRIVERS, "/version"]
    assert read_inventory(KubernetesClient(), "other.example.com").claims == {}


Setup = Callable[[ApiServer, pytest.MonkeyPatch], object]


@pytest.mark.parametrize(
    ("setup", "problem"),
    [
        (lambda api, _: setattr(api, "answer", 403), "answers 403; the chart's config.inventory.enabled grants it"),
        (lambda api, _: setattr(api, "answer", 500), f"GET {CLAIMS}: the API server answers 500"),
        (lambda api, _: setattr(api, "body", b"<html>"), f"GET {CLAIMS}: the response cannot be decoded"),
        (lambda api, _: setattr(api, "body", b"{}"), f"GET {CLAIMS}: the response cannot be decoded"),
        (lambda api, _: setattr(api, "body", b'{"kind": "Status", "metadata": {}}'), "`items`"),
        (lambda api, _: setattr(api, "body", b'{"a":' + b"[" * 9999), "the response cannot be decoded"),
        (lambda api, _: setattr(api, "body", b"\xff"), "the response cannot be decoded"),
        (lambda api, _: api.lists.pop(DRIVERS), f"GET {DRIVERS}: the API server answers 404"),
        (lambda api, _: api.objects.clear(), "GET /version: the API server answers 404"),
        (lambda api, _: setattr(api, "keeps_lists", False), f"GET {CLAIMS}: the API server answers 410"),
        (lambda _, patch: patch.setattr(reading, "_MOST_PAGES", 1), "the list has more than 1 pages of 500 objects"),
        (lambda _, patch: patch.setattr(reading, "_SECONDS", -1), "the inventory was not read within -1 s"),
        (lambda _, patch: patch.setattr(client, "_LARGEST_BODY", 1000), f"GET {CLAIMS}: the response takes more than"),
        (lambda _, patch: patch.setattr(client, "_BODY_SECONDS", -1), f"GET {CLAIMS}: the response takes more than -1"),
    ],
)
def test_what_is_not_a_whole_inventory_is_an_error(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch, setup: Setup, problem: str
) -> None:
    """A part of the claims would make the others unavailable."""
    api.lists[CLAIMS] = [claim(f"claim-{number}") for number in range(501)]
    setup(api, monkeypatch)
    with pytest.raises(ClusterError) as raised:
        read_inventory(KubernetesClient(), PREFIX)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("known", "problem"),
    [
        (Claim("ready", "Bound", "pv"), None),
        (Claim("ready", "Pending"), None),  # a clone, which is provisioned for the first pod
        (Claim("ready", "Pending", "pv"), "the claim models is not bound to its volume pv"),
        (Claim("ready", "Lost", "pv"), "the claim models has lost its volume"),
        (Claim("ready", "Bound", "pv", is_deleted=True), "the claim models is being deleted"),
        (Claim("loading", "Bound", "pv"), "the claim models is not ready: its state is loading"),
        (Claim("", "Bound", "pv"), "the claim models is not ready: its state is not set"),
        (None, "namespace ml has no claim models"),
    ],
)
def test_a_claim_can_be_mounted_or_there_is_a_reason(known: Claim | None, problem: str | None) -> None:
    inventory = Inventory({("ml", "models"): known} if known else {}, frozenset({"a.csi"}), "1.36")
    assert inventory.claim_problem("ml", "models") == problem
    assert inventory.claim_problem("apps", "models") == "namespace apps has no claim models"
    assert inventory.driver_problem("a.csi") is None
    assert inventory.driver_problem("b.csi") == "the cluster has no CSI driver b.csi"


def test_a_list_may_be_null() -> None:
    """Some API servers encode an empty list so."""
    assert reading._drivers.decode(b'{"metadata": {}, "items": null}').items is None
