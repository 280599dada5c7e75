"""Who may have a version: the roles of pods' service accounts decide, also about what the node has already."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from grpclib.exceptions import GRPCError

from tests.catalog.conftest import PREFIX
from tests.node_cache.conftest import SMALL, publish
from tests.node_cache.driver import POD, Node, running_node, status_of
from tests.node_cache.test_driver import of_model
from tests.support import iam, moto_s3
from tests.support.api_server import ApiServer, running_api_server
from tests.support.certificates import throwaway_certificate
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from tests.support.pod_identity import Credentials
from tests.support.sts import ROLE, SecurityTokenService, serve
from webhook.catalog.bucket.store import Store


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with running_api_server() as api:
        yield api


@pytest.fixture
def sts(tmp_path: Path) -> Iterator[SecurityTokenService]:
    certificate = throwaway_certificate(tmp_path, "127.0.0.1")
    with serve(Credentials("", ""), tmp_path / "token", certificate) as sts:
        (tmp_path / "ca.pem").write_text(certificate.authority)
        sts.project_token()
        yield sts


def keys_that_may_read(bucket: MotoBucket, folder: str) -> Credentials:
    """Keys of a user who may read a folder below the prefix."""
    arn = f"arn:aws:s3:::{bucket.name}"
    statements = [
        {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"{arn}/{PREFIX}/{folder}/*"]},
        {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [arn]},
    ]
    env = moto_s3.make_user_with(bucket.url, {"Version": "2012-10-17", "Statement": statements})
    return Credentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], "")  # moto knows no other token


@pytest.fixture
def node(
    store: Store, settings: dict[str, Any], api: ApiServer, sts: SecurityTokenService, tmp_path: Path
) -> Iterator[Node]:
    """A node whose pods read the bucket with their own roles; the driver has no keys."""
    publish(store, tmp_path, SMALL)
    env: dict[str, Any] = {
        "KUBECONFIG": str(api.kubeconfig(tmp_path)),
        "AWS_ENDPOINT_URL_STS": sts.url,
        "AWS_CA_BUNDLE": str(tmp_path / "ca.pem"),
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
    }
    with running_node({**settings, "options": {"authenticationSource": "pod"}}, **env) as node:
        yield node


@pytest.fixture
def join(api: ApiServer, sts: SecurityTokenService, bucket: MotoBucket) -> Callable[[str, str], dict[str, str]]:
    """Creates a service account of team-a whose role may read this folder. Returns what kubelet adds for its pods."""

    def create(name: str, folder: str) -> dict[str, str]:
        metadata = {"annotations": {"eks.amazonaws.com/role-arn": ROLE}}
        api.put(f"/api/v1/namespaces/team-a/serviceaccounts/{name}", {"metadata": metadata})
        sts.credentials = keys_that_may_read(bucket, folder)
        return attributes(name, sts.token_file.read_text())

    return create


def attributes(account: str, token: str) -> dict[str, str]:
    tokens = {"sts.amazonaws.com": {"token": token, "expirationTimestamp": "2099-01-01T00:00:00Z"}}
    return {f"{POD}serviceAccount.name": account, f"{POD}serviceAccount.tokens": json.dumps(tokens)}


def mount(node: Node, pod: str, given: dict[str, str]) -> None:
    with iam.evaluated():
        node.mount(pod, 60, **given)


def refusal(node: Node, given: dict[str, str]) -> str:
    with pytest.raises(GRPCError) as error:
        mount(node, "refused", given)
    assert "refused" not in node.mounted()
    assert status_of(error.value) == ("PERMISSION_DENIED", "Unauthorized")
    return str(error.value.message)


Join = Callable[[str, str], dict[str, str]]


def test_whoever_may_not_read_a_version_is_refused_although_the_node_has_it(
    node: Node, join: Join, proxy: FaultyProxy
) -> None:
    reader = join("reader", "my-model-1.0.0")
    mount(node, "first", reader)
    assert of_model(node.files("first")) == SMALL
    stranger = join("stranger", "other-model-1.0.0")
    assert "AccessDenied" in refusal(node, stranger)
    asked = len(proxy.requests)
    mount(node, "second", reader)
    assert of_model(node.files("second")) == SMALL
    reads = [each for each in proxy.requests[asked:] if each.is_download() and "manifest" not in each.key]
    assert [each.headers["Range"] for each in reads] == ["bytes=0-0"]


def test_whoever_may_read_the_manifest_alone_is_refused(node: Node, join: Join) -> None:
    mount(node, "first", join("reader", "my-model-1.0.0"))
    assert "AccessDenied" in refusal(node, join("curious", "my-model-1.0.0/manifest.json"))


def test_whoever_has_no_role_or_the_token_of_nobody_is_refused(node: Node, join: Join, api: ApiServer) -> None:
    reader = join("reader", "my-model-1.0.0")
    mount(node, "first", reader)
    api.put("/api/v1/namespaces/team-a/serviceaccounts/plain", {})
    assert "has no role" in refusal(node, {**reader, f"{POD}serviceAccount.name": "plain"})
    join("other", "my-model-1.0.0")
    assert "InvalidIdentityToken" in refusal(node, attributes("other", "stolen"))
    assert "kubelet gave no token" in refusal(node, {f"{POD}serviceAccount.name": "other"})


def test_whoever_lost_the_role_is_refused_at_once(node: Node, join: Join, api: ApiServer) -> None:
    reader = join("reader", "my-model-1.0.0")
    mount(node, "first", reader)
    api.put("/api/v1/namespaces/team-a/serviceaccounts/reader", {})
    assert "has no role" in refusal(node, reader)


def test_no_token_and_no_key_is_in_the_log_or_on_the_disk(node: Node, join: Join, sts: SecurityTokenService) -> None:
    token = sts.token_file.read_text()
    mount(node, "first", join("reader", "my-model-1.0.0"))
    refusal(node, join("stranger", "other-model-1.0.0"))
    refusal(node, attributes("stranger", f"{token}-of-others"))
    files = [path.read_bytes() for path in node.cache.rglob("*") if path.is_file()]
    shown = (node.root / "log").read_bytes() + b"".join(files)
    assert b"volume mounted" in shown
    for secret in (token, *sts.credentials.secrets()):
        assert not secret or secret.encode() not in shown
