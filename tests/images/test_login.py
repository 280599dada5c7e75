"""Logins as Docker stores them, at registries that check them; and secrets that go nowhere else."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.images.conftest import World
from tests.support import registry, token_server
from tests.support.command_line import Done
from tests.support.token_server import TokenServer
from webhook.errors import InvalidInput
from webhook.images.credentials import Login, login

HOST = "registry.example.com:5000"
USER = "pusher"
SECRET = "a-secret-of-pusher"  # noqa: S105 - a test's own
REFRESH = "a-refresh-token"
_HASHED = "$2b$04$Ow1N6Z0m.Tn1S/2cOeqocu9axwyz81WKoVPrh9WggOy0sx1Z5kOey"


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry with a user and a password."""
    folder = tmp_path_factory.mktemp("private")
    (folder / "htpasswd").write_text(f"{USER}:{_HASHED}\n")
    auth = {"htpasswd": {"realm": "a-realm", "path": str(folder / "htpasswd")}}
    with registry.serve(folder / "registry", auth) as address:
        yield address


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    with token_server.serve(f"{USER}:{SECRET}", REFRESH, tmp_path_factory.mktemp("tokens")) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tokens: TokenServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that wants tokens of the token server."""
    with registry.serve(tmp_path_factory.mktemp("guarded") / "registry", tokens.auth) as address:
        yield address


def encoded(password: str = SECRET) -> str:
    return base64.b64encode(f"{USER}:{password}".encode()).decode()


def configure(world: World, **config: Any) -> None:
    (world.docker / "config.json").write_text(json.dumps(config))


def helper(world: World, name: str, script: str) -> str:
    """Install a credential helper; gives a PATH with it."""
    folder = world.folder / "bin"
    folder.mkdir(exist_ok=True)
    file = folder / f"docker-credential-{name}"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def pushed(world: World, address: str, **env: str) -> Done:
    world.publish(files={"weights.bin": b"w"})
    done = world.run("image push", "my-model@1.2.3", f"{address}/my-model", **env)
    assert SECRET not in done.stdout + done.stderr
    assert encoded() not in done.stdout + done.stderr
    assert REFRESH not in done.stdout + done.stderr
    return done


def configured(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str = "", **config: Any) -> None:
    """Docker's configuration for `login`, and a credential helper `sample`."""
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    file = folder / "docker-credential-sample"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def failed(registry: str) -> str:
    """The message of a login that fails; it contains no secret."""
    with pytest.raises(InvalidInput) as raised:
        login(registry)
    message = str(raised.value)
    assert SECRET not in message
    assert encoded() not in message
    return message


def test_a_password_is_enough_for_a_registry_with_users(world: World, private: str) -> None:
    configure(world, auths={private: {"auth": encoded()}})
    assert pushed(world, private).returncode == 0


@pytest.mark.parametrize(
    "config", [{}, {"auths": {"registry.example.com": {"auth": encoded()}}}, {"auths": {"{}": {"auth": encoded("x")}}}]
)
def test_without_the_right_login_the_advice_is_to_log_in(world: World, private: str, config: dict[str, Any]) -> None:
    configure(world, **json.loads(json.dumps(config).replace("{}", private) if config else "{}"))
    done = pushed(world, private)
    assert done.returncode == 1
    assert f"docker login {private}" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "auth", [{"auth": encoded()}, {"username": USER, "password": SECRET}, {"auth": encoded(), "email": "a@example.com"}]
)
@pytest.mark.parametrize("key", ["{}", "http://{}", "https://{}/v2/"])
def test_a_login_is_found_in_each_form_that_docker_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: dict[str, str], key: str
) -> None:
    others = {"example.com": {"auth": "eDp5"}, "empty.example.com": {}, "registry.example.com": {"auth": "eDp5"}}
    configured(tmp_path, monkeypatch, auths={key.format(HOST): auth, **others})
    assert login(HOST) == Login(USER, SECRET)
    assert login("empty.example.com") is None
    assert login("nowhere.example.com") is None


def test_docker_hub_has_another_name_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(tmp_path, monkeypatch, auths={"https://index.docker.io/v1/": {"auth": encoded()}})
    assert login("docker.io") == Login(USER, SECRET)


@pytest.mark.parametrize("config", [{"credHelpers": {"{}": "sample"}}, {"credsStore": "sample"}])
def test_a_helper_gets_the_address_on_its_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]
) -> None:
    answer = json.dumps({"ServerURL": HOST, "Username": USER, "Secret": SECRET})
    script = f'read server; [ "$*" = get ] && [ "$server" = {HOST} ] && echo \'{answer}\''
    configured(tmp_path, monkeypatch, script, **json.loads(json.dumps(config).replace("{}", HOST)))
    assert login(HOST) == Login(USER, SECRET)


def test_a_helper_without_a_login_leaves_it_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "echo credentials not found in native keychain; exit 1"
    configured(tmp_path, monkeypatch, script, credsStore="sample", auths={HOST: {"auth": encoded()}})
    assert login(HOST) == Login(USER, SECRET)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"echo {SECRET}; exit 1", "docker-credential-sample failed"),
        (f"echo {SECRET} >&2; exit 1", "docker-credential-sample failed"),
        (f'echo \'{{"Username": "{SECRET}"}}\'', "gave an invalid answer"),
        ("sleep 60 & sleep 60", "did not answer within"),
        ("yes", "docker-credential-sample failed"),
    ],
)
def test_a_helper_that_fails_is_named_without_what_it_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], script: str, message: str
) -> None:
    monkeypatch.setattr("webhook.images.credentials._HELPER_SECONDS", 0.5 if "sleep" in script else 60)
    configured(tmp_path, monkeypatch, script, credsStore="sample")
    assert message in failed(HOST)
    assert SECRET not in "".join(capfd.readouterr())


@pytest.mark.parametrize("name", ["missing", "../bin/sample"])
def test_a_helper_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    configured(tmp_path, monkeypatch, credHelpers={HOST: name})
    assert "is not on the PATH" in failed(HOST)


@pytest.mark.parametrize(
    "content", [f'{{"auths": "{SECRET}"}}', "{", f'{{"auths": {{"{HOST}": {{"auth": "{SECRET}"}}}}}}']
)
def test_a_configuration_that_cannot_be_read_is_named_without_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    configured(tmp_path, monkeypatch)
    (tmp_path / "config.json").write_text(content)
    assert "config.json" in failed(HOST)


def test_a_login_does_not_show_its_secret() -> None:
    assert SECRET not in repr(Login(USER, SECRET, SECRET, SECRET))


@pytest.mark.parametrize("auth", [{"auth": encoded()}, {"identitytoken": REFRESH}])
def test_a_token_is_asked_for_with_the_rights_that_are_needed(
    world: World, tokens: TokenServer, guarded: str, auth: dict[str, str]
) -> None:
    configure(world, auths={guarded: auth})
    tokens.asked.clear()
    assert pushed(world, guarded).returncode == 0
    method = "POST" if "identitytoken" in auth else "GET"
    assert set(tokens.asked) == {f"{method} repository:my-model:pull,push"}
    assert len(tokens.asked) <= 4  # of the threads that begin at once


def test_a_token_of_a_helper_is_exchanged(world: World, guarded: str) -> None:
    answer = json.dumps({"Username": "<token>", "Secret": REFRESH})
    configure(world, credsStore="sample")
    assert pushed(world, guarded, PATH=helper(world, "sample", f"echo '{answer}'")).returncode == 0


def test_a_token_that_is_ready_is_sent(world: World, tokens: TokenServer, guarded: str) -> None:
    token = tokens.token(["repository:my-model:pull,push"])
    configure(world, auths={guarded: {"registrytoken": token}})
    assert pushed(world, guarded).returncode == 0


def test_who_may_only_read_is_told_to_log_in(world: World, guarded: str) -> None:
    world.publish("9.9.9", {"other.bin": b"x"})
    done = world.run("image push", "my-model@9.9.9", f"{guarded}/my-model")
    assert done.returncode == 1
    assert f"docker login {guarded}" in done.stderr


def test_a_mount_asks_for_the_right_to_read_the_other_repository(
    world: World, tokens: TokenServer, guarded: str
) -> None:
    configure(world, auths={guarded: {"auth": encoded()}})
    pushed(world, guarded)
    tokens.asked.clear()
    assert world.uploaded(f"{guarded}/copy", "1.2.3") == 0
    assert "GET repository:copy:pull,push repository:my-model:pull" in tokens.asked or not tokens.asked


class _Recorder(BaseHTTPRequestHandler):
    """Answers every request in the same way, and keeps its headers."""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        self.server.seen.append(self.headers)  # type: ignore[attr-defined]
        status, headers = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815 - the base class' own names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def recorder(status: int, **headers: str) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Recorder)
    server.answer = status, {name.replace("_", "-"): value for name, value in headers.items()}
    server.seen = []
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_token_server_on_plain_http_gets_no_login(world: World) -> None:
    challenge = 'Bearer realm="http://tokens.example.com/token",service="x"'
    with recorder(401, WWW_Authenticate=challenge) as server:
        address = f"127.0.0.1:{server.server_port}"
        configure(world, auths={address: {"auth": encoded()}})
        done = pushed(world, address)
    assert done.returncode == 1
    assert "tokens.example.com is to be asked over plain HTTP" in done.stderr


@pytest.mark.parametrize("status", [202, 307])
def test_another_host_that_the_registry_names_gets_no_login(world: World, status: int) -> None:
    with recorder(404) as other, recorder(401, WWW_Authenticate='Basic realm="x"') as server:
        address = f"127.0.0.1:{server.server_port}"
        location = f"http://127.0.0.1:{other.server_port}/elsewhere"
        configure(world, auths={address: {"auth": encoded()}})

        class Redirecting(_Recorder):
            def do_GET(self) -> None:
                if "Authorization" in self.headers:
                    self.server.answer = status, {"Location": location}  # type: ignore[attr-defined]
                super().do_GET()

            do_HEAD = do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815

        server.RequestHandlerClass = Redirecting
        done = pushed(world, address)
    assert done.returncode == 1
    assert any("Authorization" in headers for headers in server.seen)
    assert not any("Authorization" in headers for headers in other.seen)
    if status == 202:
        assert other.seen
