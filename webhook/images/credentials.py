"""Logins to registries, as `docker login` stores them: in Docker's config.json, or behind a credential helper."""

import base64
import binascii
import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Final

import msgspec

from webhook.errors import InvalidInput

_LARGEST: Final = 1 << 20
_HELPER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_HELPER_SECONDS: Final = 30
_TOKEN_USER: Final = "<token>"  # noqa: S105 - what helpers write in place of a name, if the secret is a token
_DOCKER_HUB: Final = ("docker.io", "index.docker.io", "registry-1.docker.io")


class Login(msgspec.Struct, frozen=True):
    """A login. Has either a name and a password, or one of the tokens."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    """Exchanged for tokens at the registry's token server."""
    registry_token: str = ""
    """Sent to the registry as it is."""

    def __repr__(self) -> str:
        return f"Login({self.username!r}, …)"


class _Auth(msgspec.Struct, frozen=True):
    auth: str = ""
    username: str = ""
    password: str = ""
    identity_token: str = msgspec.field(default="", name="identitytoken")
    registry_token: str = msgspec.field(default="", name="registrytoken")


class _DockerConfig(msgspec.Struct, frozen=True):
    auths: dict[str, _Auth | None] = {}
    helpers: dict[str, str] = msgspec.field(default_factory=dict, name="credHelpers")
    store: str = msgspec.field(default="", name="credsStore")


class _HelperOutput(msgspec.Struct, frozen=True):
    username: str = msgspec.field(name="Username")
    secret: str = msgspec.field(name="Secret")


def login(registry: str) -> Login | None:
    """The login to a registry, such as `registry.example.com:5000`. None without one. Raises InvalidInput."""
    file = Path(os.environ.get("DOCKER_CONFIG") or "~/.docker", "config.json")
    with suppress(RuntimeError):  # a user without a home directory
        file = file.expanduser()
    config = _read(file)
    servers = ("https://index.docker.io/v1/", *_DOCKER_HUB) if registry in _DOCKER_HUB else (registry,)
    for server in servers:
        if (helper := config.helpers.get(server, config.store)) and (found := _ask(helper, server, file)):
            return found
    for server, auth in config.auths.items():
        if auth and _host(server) in {_host(each) for each in servers} and (found := _decoded(auth, server, file)):
            return found
    return None


def _read(file: Path) -> _DockerConfig:
    try:
        with file.open("rb") as opened:
            return msgspec.json.decode(opened.read(_LARGEST), type=_DockerConfig)
    except FileNotFoundError:
        return _DockerConfig()
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, RecursionError, ValueError):  # whose message could quote a secret
        raise InvalidInput(f"{file} is not a configuration of Docker; repair it, or set DOCKER_CONFIG") from None


def _host(server: str) -> str:
    """The host and port of a key of `auths`, which may be a URL."""
    return server.partition("://")[2].partition("/")[0] if "://" in server else server.partition("/")[0]


def _decoded(auth: _Auth, server: str, file: Path) -> Login | None:
    username, password = auth.username, auth.password
    if auth.auth:
        try:
            username, _, password = base64.b64decode(auth.auth, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise InvalidInput(f"{file}: the login for {server} is not Base64; run docker login {server}") from None
    found = Login(username, password.rstrip("\0"), auth.identity_token, auth.registry_token)
    return found if found != Login() else None


def _ask(helper: str, server: str, file: Path) -> Login | None:
    """Ask a credential helper. None if it has no login."""
    name = f"docker-credential-{helper}"
    program = shutil.which(name) if _HELPER.fullmatch(helper) else None
    if program is None:
        raise InvalidInput(f"{file} asks for the credential helper {name!r}, which is not on the PATH; install it")
    status, output = _run(program, server)
    if status is None:
        raise InvalidInput(
            f"{name} did not answer within {_HELPER_SECONDS} s for {server}; run `{name} get` to see why"
        )
    if status:
        if b"credentials not found" in output:
            return None
        raise InvalidInput(f"{name} failed for {server}; run `echo {server} | {name} get` to see why")
    try:
        found = msgspec.json.decode(output, type=_HelperOutput)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise InvalidInput(f"{name} gave an invalid answer for {server}") from None
    if found.username == _TOKEN_USER:
        return Login(identity_token=found.secret)
    return Login(found.username, found.secret)


def _run(program: str, server: str) -> tuple[int | None, bytes]:
    """The exit status and the output of a helper; a status of None if it took too long."""
    process = subprocess.Popen(  # noqa: S603 - a program of this name, which the user's own configuration names
        [program, "get"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that its children end with it
    )
    late = False

    def end() -> None:
        nonlocal late
        late = True
        _kill(process)

    timer = Timer(_HELPER_SECONDS, end)
    timer.start()
    try:
        with process:
            assert process.stdin  # noqa: S101 - for mypy
            assert process.stdout  # noqa: S101
            with suppress(BrokenPipeError):
                process.stdin.write(f"{server}\n".encode())
                process.stdin.close()
            output = process.stdout.read(_LARGEST + 1)
            if len(output) > _LARGEST:
                _kill(process)
            status = process.wait()
    finally:
        timer.cancel()
    return None if late else status, output


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
