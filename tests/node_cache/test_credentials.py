"""A pod's token for its keys: the API server, STS over TLS and the agent of EKS Pod Identity are real servers."""

import json
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import moto_s3
from tests.support.api_server import ApiServer, running_api_server
from tests.support.certificates import throwaway_certificate
from tests.support.faults import Answer
from tests.support.pod_identity import Credentials, PodIdentityAgent
from tests.support.sts import ROLE, SecurityTokenService, serve, sts_error
from webhook.catalog.bucket.errors import CatalogError, Denied
from webhook.node_cache import credentials as module
from webhook.node_cache.credentials import AGENT_AUDIENCE, STS_AUDIENCE, PodCredentials, PodIdentity, tokens_of

IRSA = Credentials("ASIAIRSA", "a-secret-of-irsa")
AGENT = Credentials("ASIAAGENT", "a-secret-of-the-agent")
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJzdHMifQ.c2lnbmF0dXJl-_"  # noqa: S105 - what the stand-in projects
ACCOUNT = "/api/v1/namespaces/team-a/serviceaccounts/default"
POD = PodIdentity("team-a", "default", {STS_AUDIENCE: TOKEN, AGENT_AUDIENCE: TOKEN})
EXPIRY = 4070908800.0
"""2099-01-01, until when the keys of both are valid."""


class Clock:
    now = EXPIRY - 3600

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in moto_s3.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.fixture(autouse=True)
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    with running_api_server() as api:
        api.connect(tmp_path, monkeypatch)
        api.put(ACCOUNT, {})
        yield api


@pytest.fixture
def sts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecurityTokenService]:
    certificate = throwaway_certificate(tmp_path, "127.0.0.1")
    with serve(IRSA, tmp_path / "token", certificate) as sts:
        sts.project_token()
        (tmp_path / "ca.pem").write_text(certificate.authority)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        yield sts


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PodIdentityAgent]:
    (tmp_path / "token").write_text(TOKEN)
    agent = PodIdentityAgent(AGENT, tmp_path / "token")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", str(agent.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"]))
    yield agent
    agent.close()


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No log of this program has a token or a key."""
    caplog.set_level(logging.INFO)
    yield
    check_no_secrets(caplog.text)


def check_no_secrets(text: str) -> None:
    for secret in (TOKEN, *IRSA.secrets(), *AGENT.secrets()):
        assert secret not in text
        assert secret[:20] not in text


def refusal(pod: PodIdentity = POD) -> str:
    """The text of Denied or Unreachable, after the error's name."""
    with pytest.raises(CatalogError) as error:
        PodCredentials("us-east-1").of(pod, "")
    check_no_secrets("".join(traceback.format_exception(error.value)))
    return f"{type(error.value).__name__}: {error.value}"


def name_role(api: ApiServer, role: str = ROLE) -> None:
    api.put(ACCOUNT, {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": role}}})


def test_a_service_account_with_a_role_gets_the_keys_of_sts(api: ApiServer, sts: SecurityTokenService) -> None:
    name_role(api)
    assert PodCredentials("us-east-1").of(POD, "") == (IRSA.access_key, IRSA.secret_key, IRSA.session_token)
    assert sts.answered == [200]


def test_a_service_account_without_a_role_gets_the_keys_of_the_agent(agent: PodIdentityAgent) -> None:
    agent.come_up()
    keys = PodCredentials("").of(POD, "")
    assert keys == (AGENT.access_key, AGENT.secret_key, AGENT.session_token)


@pytest.mark.parametrize("has_role", [False, True])
def test_keys_are_kept_until_five_minutes_before_they_expire(
    has_role: bool, api: ApiServer, sts: SecurityTokenService, agent: PodIdentityAgent
) -> None:
    agent.come_up()
    if has_role:
        name_role(api)
    answered = sts.answered if has_role else agent.answered
    clock = Clock()
    exchange = PodCredentials("us-east-1", clock)
    for now, times in ((EXPIRY - 3600, 1), (EXPIRY - 300, 1), (EXPIRY - 299, 2), (EXPIRY - 298, 3)):
        clock.now = now
        exchange.of(POD, "")
        assert len(answered) == times


@pytest.mark.usefixtures("sts")
def test_another_service_account_and_another_role_have_keys_of_their_own(
    api: ApiServer, agent: PodIdentityAgent
) -> None:
    agent.come_up()
    api.put(ACCOUNT.replace("team-a", "team-b"), {})
    exchange = PodCredentials("us-east-1", Clock())
    exchange.of(POD, "")
    exchange.of(PodIdentity("team-b", "default", POD.tokens), "")
    assert len(agent.answered) == 2
    name_role(api)
    assert exchange.of(POD, "").access_key == IRSA.access_key
    name_role(api, ROLE + "-that-it-may-not-assume")
    with pytest.raises(Denied, match="AccessDenied"):
        exchange.of(POD, "")


def test_the_keys_of_a_limited_number_of_service_accounts_are_kept(
    api: ApiServer, agent: PodIdentityAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 2)
    agent.come_up()
    exchange = PodCredentials("", Clock())
    for number in range(5):
        api.put(f"{ACCOUNT}-{number}", {})
        exchange.of(PodIdentity("team-a", f"default-{number}", POD.tokens), "")
    assert len(exchange._known) == 2
    exchange.of(PodIdentity("team-a", "default-4", POD.tokens), "")
    assert len(agent.answered) == 5


@pytest.mark.usefixtures("sts")
def test_sts_refuses(api: ApiServer) -> None:
    name_role(api, ROLE + "-of-others")
    assert refusal() == f"Denied: STS does not let team-a/default assume {ROLE}-of-others: AccessDenied"
    name_role(api)
    stolen = PodIdentity("team-a", "default", {STS_AUDIENCE: "of-another-pod"})
    assert refusal(stolen).endswith(": InvalidIdentityToken")
    assert "kubelet gave no token for sts.amazonaws.com" in refusal(PodIdentity("team-a", "default", {}))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (sts_error(503, "ServiceUnavailable"), "Unreachable: STS: ServiceUnavailable"),
        (sts_error(429, "Throttling"), "Unreachable: STS: Throttling"),
        (Answer(200, b"<html>"), "Unreachable: the answer of STS cannot be read"),
        (Answer(200, b"<AssumeRoleWithWebIdentityResponse/>"), "Unreachable: the answer of STS cannot be read"),
    ],
)
def test_sts_has_a_fault(answer: Answer, text: str, api: ApiServer, sts: SecurityTokenService) -> None:
    name_role(api)
    sts.errors.append(answer)
    assert refusal() == text


@pytest.mark.parametrize(("role", "token"), [("x", TOKEN), (ROLE, "x")])
def test_what_cannot_be_a_role_or_a_token_is_not_sent(
    role: str, token: str, api: ApiServer, sts: SecurityTokenService
) -> None:
    name_role(api, role)
    assert refusal(PodIdentity("team-a", "default", {STS_AUDIENCE: token})).startswith("Denied: ")
    assert sts.answered == []


@pytest.mark.usefixtures("sts")
def test_sts_does_not_answer_or_is_not_trusted(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    name_role(api)
    with monkeypatch.context() as patched:
        patched.delenv("AWS_CA_BUNDLE")
        assert refusal() == "Unreachable: STS: SSLError"
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "https://127.0.0.1:1")
    assert refusal() == "Unreachable: STS: EndpointConnectionError"


def test_the_agent_is_down_or_refuses(agent: PodIdentityAgent) -> None:
    assert refusal().endswith("its agent does not answer on this node")
    agent.come_up()
    stolen = PodIdentity("team-a", "default", {AGENT_AUDIENCE: "of-another-pod"})
    assert refusal(stolen).endswith("has no association with it: its agent answers 401")


def test_without_a_role_and_without_a_token_for_the_agent_there_are_no_keys() -> None:
    assert refusal(PodIdentity("team-a", "default", {STS_AUDIENCE: TOKEN})) == (
        "Denied: service account team-a/default has no role: it has no annotation eks.amazonaws.com/role-arn, and EKS "
        "Pod Identity has no association with it"
    )


@pytest.mark.parametrize("token", [f"{TOKEN}\r\nHost: other", f"{TOKEN}\n", f"{TOKEN}ü", f"{TOKEN}\x00", " "])
def test_a_token_that_cannot_be_a_header_is_not_sent_and_not_shown(token: str, agent: PodIdentityAgent) -> None:
    agent.come_up()
    assert refusal(PodIdentity("team-a", "default", {AGENT_AUDIENCE: token})).startswith("Denied: ")
    assert agent.answered == []


@pytest.mark.parametrize("status", [None, 403, 404, 500])
def test_the_api_server_has_to_say_which_role_it_is(status: int | None, api: ApiServer) -> None:
    api.answer = status
    pod = PodIdentity("team-a", "unknown", POD.tokens)
    expected = f"Unreachable: GET {ACCOUNT.replace('default', 'unknown')}: the API server answers {status or 404}"
    assert refusal(pod) == expected


@pytest.mark.parametrize(
    ("attribute", "tokens"),
    [
        (json.dumps({"a": {"token": "t", "expirationTimestamp": "2026-01-01T00:00:00Z"}, "b": {"token": "u"}}), True),
        *[(text, False) for text in ("", "{", "[]", "null", '{"a": "t"}', '{"a": {"token": 1}}', '{"a": {}}')],
        *[(text, False) for text in ("[" * 100_000, '{"a":' * 100_000, "\ud800")],
    ],
)
def test_tokens_that_kubelet_did_not_write_are_none(attribute: str, tokens: bool) -> None:
    assert tokens_of(attribute) == ({"a": "t", "b": "u"} if tokens else {})


class _Unreadable(PodIdentityAgent):
    content: Any = None
    status = 200

    def _answer(self, path: str, authorization: str | None) -> tuple[int, Any]:  # noqa: ARG002 - the base class' own
        return self.status, self.content


@pytest.mark.parametrize(
    "content",
    [
        *(None, [], "x", {}, {"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": "soon"}),
        {"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c\nd", "Expiration": "2100-01-01T00:00:00Z"},
        {"AccessKeyId": "", "SecretAccessKey": "b", "Token": "c", "Expiration": "2100-01-01T00:00:00Z"},
        {"AccessKeyId": "a", "SecretAccessKey": 1, "Token": "c", "Expiration": "2100-01-01T00:00:00Z"},
    ],
)
def test_an_agent_whose_answer_cannot_be_read_may_recover(
    content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = _Unreadable(AGENT, tmp_path / "token")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", str(agent.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"]))
    agent.content = content
    agent.come_up()
    assert refusal() == "Unreachable: the answer of the EKS Pod Identity agent cannot be read"
    agent.status = 500
    assert refusal() == "Unreachable: the agent of EKS Pod Identity answers 500"
    agent.close()
