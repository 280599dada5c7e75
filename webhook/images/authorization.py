"""The header Authorization for a registry: a login, or a token of the token server that the registry names."""

import base64
import re
import time
from collections.abc import Mapping
from threading import Lock
from typing import Final
from urllib.parse import urlencode

import msgspec

from webhook.images.connection import Connection, RegistryError, Response, split
from webhook.images.credentials import Login

_CHALLENGE: Final = re.compile(r"(?i)(?:^|,)\s*(bearer|basic)(?=\s|$)([^\0]*)")
_PARAMETER: Final = re.compile(r'([A-Za-z]+)="([^"]*)"')
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_SECONDS: Final = 60.0
"""How long a token is valid if the server does not say."""
_SOON: Final = 10.0
"""A token is not used any more this number of seconds before it expires."""
_CLIENT: Final = "model-injector"


class _TokenResponse(msgspec.Struct, frozen=True):
    token: str | None = None
    access_token: str | None = None
    expires_in: float | None = None


class Authorization:
    """The authorization of requests to one registry. Thread-safe."""

    def __init__(self, connection: Connection, registry: str, login: Login | None) -> None:
        self._connection, self._registry, self._login = connection, registry, login
        self._lock = Lock()
        self._challenge: Mapping[str, str] | None = None
        self._scheme = ""
        self._tokens: dict[str, tuple[str, float]] = {}

    def headers(self, scope: str) -> dict[str, str]:
        """The headers of a request that needs these rights, such as `repository:my-model:pull,push`."""
        if self._login and self._login.registry_token:
            return {"Authorization": f"Bearer {self._login.registry_token}"}
        if self._scheme == "basic" and self._login:
            return {"Authorization": _basic(self._login)}
        if self._scheme != "bearer":
            return {}
        with self._lock:
            token, end = self._tokens.get(scope, ("", 0.0))
            if time.monotonic() > end - _SOON:
                token, seconds = self._new_token(scope)
                self._tokens[scope] = token, time.monotonic() + max(seconds, 2 * _SOON)
            return {"Authorization": f"Bearer {token}"}

    def challenged(self, response: Response, sent: Mapping[str, str]) -> bool:
        """Take the challenge of a response with status 401. Returns whether to ask again, with other headers.

        `sent` are the headers that were not enough. Raises RegistryError.
        """
        found = _CHALLENGE.search(response.headers.get("WWW-Authenticate", ""))
        if found is None:
            raise RegistryError(f"{self._registry} answers 401 without a way to log in")
        used = sent.get("Authorization", "")
        with self._lock:
            self._scheme, self._challenge = found[1].lower(), dict(_PARAMETER.findall(found[2]))
            self._tokens = {scope: held for scope, held in self._tokens.items() if used != f"Bearer {held[0]}"}
        if self._scheme == "bearer":
            return not (self._login and self._login.registry_token and used)
        return self._login is not None and not used

    def _new_token(self, scope: str) -> tuple[str, float]:
        challenge = self._challenge or {}
        realm = challenge.get("realm", "")
        server = split(realm).netloc
        asked = {"service": challenge["service"]} if "service" in challenge else {}
        if self._login and self._login.identity_token:
            form = {"grant_type": "refresh_token", "client_id": _CLIENT, "refresh_token": self._login.identity_token}
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            body = urlencode({**form, **asked, "scope": scope}).encode()
            response = self._connection.request("POST", realm, headers, body)
        else:
            query = urlencode([*asked.items(), *(("scope", each) for each in scope.split(" "))])
            headers = {"Authorization": _basic(self._login)} if self._login else {}
            response = self._connection.request("GET", f"{realm}{'&' if '?' in realm else '?'}{query}", headers)
        if response.status != 200:
            raise RegistryError(
                f"{server} gives no token for {self._registry} (status {response.status}); {advice(self._registry)}"
            )
        try:
            found = msgspec.json.decode(response.content, type=_TokenResponse, strict=False)
        except (msgspec.MsgspecError, RecursionError, ValueError):  # whose message could quote the token
            found = _TokenResponse()
        token = found.token or found.access_token or ""
        if not _TOKEN.fullmatch(token):
            raise RegistryError(f"{server} gives an invalid token for {self._registry}")
        return token, found.expires_in or _SECONDS


def advice(registry: str) -> str:
    """What to do about a missing or an insufficient login."""
    return f"log in with `docker login {registry}` or a credential helper, as a user that may push"


def _basic(login: Login) -> str:
    return f"Basic {base64.b64encode(f'{login.username}:{login.password}'.encode()).decode()}"
