"""What messages of the client of the API server quote."""

import traceback
from pathlib import Path

import pytest
import yaml

from webhook.kubernetes.client import ClusterError, KubernetesClient


def test_a_token_that_no_header_can_have_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "it", "user": {"token": "S3CRET\n"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
    with pytest.raises(ClusterError, match="GET /version: the token has a character") as error:
        KubernetesClient().request("GET", "/version")
    assert "S3CRET" not in "".join(traceback.format_exception(error.value))
