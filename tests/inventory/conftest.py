"""An API server with claims, and the client that its kubeconfig gives."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api_server import ApiServer, running_api_server

CLAIMS = "/api/v1/persistentvolumeclaims"
DRIVERS = "/apis/storage.k8s.io/v1/csidrivers"
JSON = dict[str, Any]


def claim(name: str, namespace: str = "ml", **labels: str) -> JSON:
    """A bound claim of a model, with these labels."""
    named = {f"model-injector.io/{label}": value for label, value in {"model": "my-model", **labels}.items()}
    metadata = {"name": name, "namespace": namespace, "uid": name, "labels": {**named, "team": "ml"}}
    return {"metadata": metadata, "spec": {"volumeName": f"pv-{name}"}, "status": {"phase": "Bound"}}


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    with running_api_server() as api:
        api.connect(tmp_path, monkeypatch)
        api.lists = {CLAIMS: [], DRIVERS: [{"metadata": {"name": "s3.csi.aws.com"}, "spec": {}}]}
        api.put("/version", {"major": "1", "minor": "36+", "gitVersion": "v1.36.2"})
        yield api
