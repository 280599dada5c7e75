"""Keys, no keys, EKS Pod Identity, which s5cmd itself cannot use, and what it can: IRSA, and the node's role."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fetching.conftest import Model, Store, own
from tests.support import node_role, rclone, sts
from tests.support.certificates import throwaway_certificate
from tests.support.container import NO_RETRY, InitContainer
from tests.support.faults import SLOW_DOWN, Request
from tests.support.faulty_proxy import FaultyProxy
from tests.support.folder import Folder
from tests.support.pod_identity import Credentials, PodIdentityAgent
from tests.support.sts import SecurityTokenService, sts_error

KEYS = Credentials(rclone.ACCESS_KEY, rclone.SECRET_KEY)
NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
DEAD_PROXY = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:1")


@pytest.fixture(params=["127.0.0.1"])
def agent(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PodIdentityAgent]:
    """Not up yet."""
    token = tmp_path / "eks-pod-identity-token"
    token.write_text("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl-_")
    agent = PodIdentityAgent(KEYS, token, request.param)
    yield agent
    agent.close()


def test_without_any_credentials_it_tries_again_and_says_so_in_the_end(fetch: InitContainer, model: Model) -> None:
    model.write({"a": b"x"})
    outcome = fetch(env=NO_KEYS, skip_pauses=True)
    assert outcome.reason == "Unauthorized"
    assert outcome.log.count("Unauthorized, retrying") >= 2
    assert "NoCredentialProviders" in outcome.message.message


@pytest.mark.parametrize("agent", ["127.0.0.1", "::1"], ids=["IPv4", "IPv6"], indirect=True)
def test_pod_identity_gives_the_keys(
    fetch: InitContainer, model: Model, volume: Folder, agent: PodIdentityAgent
) -> None:
    agent.come_up()
    model.write({"a": b"x"})
    assert fetch(env=agent.env).reason == "Complete"
    assert volume.read() == {"a": b"x"}
    assert set(agent.answered) == {200}


def test_the_session_token_goes_to_s3(
    fetch: InitContainer, model: Model, s3: FaultyProxy, agent: PodIdentityAgent
) -> None:
    agent.come_up()
    model.write({"a": b"x"})
    fetch(env=agent.env)
    assert {request.headers["X-Amz-Security-Token"] for request in s3.requests} == {agent.credentials.session_token}


def test_an_agent_that_comes_up_late_is_waited_for(fetch: InitContainer, model: Model, agent: PodIdentityAgent) -> None:
    model.write({"a": b"x"})
    run = fetch.start(env=agent.env)
    run.wait_for_log("Unauthorized, retrying")
    agent.come_up()
    assert run.wait().reason == "Complete"


def test_an_agent_that_refuses_the_token_ends_as_unauthorized(
    fetch: InitContainer, model: Model, agent: PodIdentityAgent, tmp_path: Path
) -> None:
    agent.come_up()
    model.write({"a": b"x"})
    stale = tmp_path / "stale-token"
    stale.write_text("expired")
    env = {**agent.env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(stale)}
    assert fetch(env=env, skip_pauses=True).reason == "Unauthorized"
    assert set(agent.answered) == {401}


def test_an_http_proxy_is_not_asked_for_the_agent(fetch: InitContainer, model: Model, agent: PodIdentityAgent) -> None:
    agent.come_up()
    model.write({"a": b"x"})
    assert fetch(env=agent.env | DEAD_PROXY).reason == "Complete"


@pytest.mark.parametrize("ends_well", [True, False])
def test_secrets_are_neither_logged_nor_left_behind(
    fetch: InitContainer, model: Model, s3: FaultyProxy, agent: PodIdentityAgent, shm: Folder, *, ends_well: bool
) -> None:
    agent.come_up()
    model.write({"a": b"x"})
    if not ends_well:
        s3.inject(SLOW_DOWN, when=Request.is_download)
    outcome = fetch(env=agent.env, flags=NO_RETRY, skip_pauses=True, inside=own(shm))
    assert outcome.reason == ("Complete" if ends_well else "Unreachable")
    assert agent.answered
    for secret in (*agent.credentials.secrets(), agent.token_file.read_text()):
        assert secret not in outcome.log + outcome.termination
    assert list(shm.path.iterdir()) == []


def test_secrets_are_readable_by_nobody_else_while_it_runs(
    fetch: InitContainer, agent: PodIdentityAgent, shm: Folder
) -> None:
    run = fetch.start(env=agent.env, inside=own(shm))
    run.wait_for_log("retrying")
    (work,) = shm.path.iterdir()
    assert work.stat().st_mode & 0o077 == 0


@dataclass(frozen=True)
class Amazon:
    """S3 and STS under their own names, for s5cmd asks an endpoint of one's own for STS too."""

    sts: SecurityTokenService
    env: dict[str, str | None]


@pytest.fixture
def amazon(store: Store, model: Model, tmp_path: Path) -> Iterator[Amazon]:
    """The token's file is not there yet."""
    certificate = throwaway_certificate(tmp_path, sts.HOST, f"{model.bucket}.s3.amazonaws.com")
    with (
        rclone.serve(store.root, tmp_path / "tls-log", certificate=certificate, virtual_hosts=True) as s3_url,
        sts.serve(KEYS, tmp_path / "web-identity-token", certificate) as service,
        FaultyProxy(s3_url, {sts.HOST: service.url}) as proxy,
    ):
        ways = {"S3_ENDPOINT_URL": None, "HTTPS_PROXY": proxy.url, "FETCH_CA_BUNDLE": certificate.authority}
        yield Amazon(service, service.env | ways)


def test_a_web_identity_token_gives_the_keys_of_its_role(
    fetch: InitContainer, model: Model, volume: Folder, amazon: Amazon
) -> None:
    amazon.sts.project_token()
    model.write({"a": b"x"})
    assert fetch(env=amazon.env).reason == "Complete"
    assert volume.read() == {"a": b"x"}
    assert set(amazon.sts.answered) == {200}


@pytest.mark.parametrize("code", ["Throttling", "IDPCommunicationError"])
def test_an_sts_that_throttles_is_asked_again(fetch: InitContainer, model: Model, amazon: Amazon, code: str) -> None:
    amazon.sts.project_token()
    amazon.sts.errors.extend([sts_error(400, code)] * 2)
    model.write({"a": b"x"})
    outcome = fetch(env=amazon.env, flags=NO_RETRY, skip_pauses=True)
    assert outcome.reason == "Complete"
    assert amazon.sts.answered[:3] == [400, 400, 200]
    assert "retrying: " in outcome.log


def test_an_sts_that_throttles_to_the_end_is_unreachable(fetch: InitContainer, model: Model, amazon: Amazon) -> None:
    amazon.sts.project_token()
    amazon.sts.errors.extend([sts_error(400, "Throttling")] * 100)
    model.write({"a": b"x"})
    outcome = fetch(env=amazon.env, flags=NO_RETRY, skip_pauses=True)
    assert outcome.reason == "Unreachable"
    assert "Throttling" in outcome.message.message


def test_a_role_that_does_not_trust_the_service_account_is_unauthorized(
    fetch: InitContainer, model: Model, amazon: Amazon
) -> None:
    amazon.sts.project_token()
    amazon.sts.errors.extend([sts_error(403, "AccessDenied")] * 100)
    model.write({"a": b"x"})
    assert fetch(env=amazon.env).reason == "Unauthorized"


def test_a_web_identity_token_that_comes_late_is_waited_for(fetch: InitContainer, model: Model, amazon: Amazon) -> None:
    model.write({"a": b"x"})
    run = fetch.start(env=amazon.env)
    run.wait_for_log("Unauthorized, retrying")
    amazon.sts.project_token()
    assert run.wait().reason == "Complete"


def test_a_web_identity_token_that_never_comes_is_unauthorized(fetch: InitContainer, amazon: Amazon) -> None:
    outcome = fetch(env=amazon.env, skip_pauses=True)
    assert outcome.reason == "Unauthorized"
    assert str(amazon.sts.token_file) in outcome.message.message


def test_the_role_of_the_node_gives_the_keys(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy
) -> None:
    model.write({"a": b"x"})
    with node_role.serve(KEYS) as service:
        assert fetch(env=service.env).reason == "Complete"
    assert volume.read() == {"a": b"x"}
    assert service.answered[0] == ("/latest/api/token", 200)
    assert {status for _, status in service.answered} == {200}
    assert {request.headers["X-Amz-Security-Token"] for request in s3.requests} == {KEYS.session_token}
