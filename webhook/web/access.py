"""Authentication and authorization of previews, by TokenReview and SubjectAccessReview."""

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import msgspec
from cachetools import TTLCache
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from webhook.http.errors import Busy, RequestError
from webhook.http.limits import RateLimiter
from webhook.http.loopback import is_loopback
from webhook.kubernetes.client import ClusterError, KubernetesClient, RequestBody
from webhook.preview.access import AUDIENCE
from webhook.preview.errors import ManifestTooLarge
from webhook.settings import Settings

_CACHE_SECONDS: Final = 10
_CACHE_SIZE: Final = 1000
_THREADS: Final = 4
_MAX_WAITING: Final = 32
_MAX_TOKEN_LENGTH: Final = 16 * 1024
_MAX_NAMESPACES: Final = 50
_CHECKING_SECONDS: Final = 10
T = TypeVar("T")


class NotAuthenticated(RequestError):
    """The request has no valid token."""

    status = 401


class NotAllowed(RequestError):
    """The user lacks the permissions that the preview requires."""

    status = 403


class Unavailable(Busy):
    """The API server or S3 does not respond."""


class User(msgspec.Struct, frozen=True):
    """The user of a token, as in the status of a TokenReview."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = {}


class Access(Protocol):
    """Authenticates and authorizes requests before a preview reveals anything."""

    async def user(self, authorization: str | None, client: str) -> User:
        """The user of an Authorization header. `client` is the client's IP address, to which rate limits apply.

        Raises NotAuthenticated, TooManyRequests, Busy and Unavailable.
        """

    async def check(self, user: User, namespaces: Collection[str]) -> None:
        """Check that the user may create pods in each namespace.

        Raises NotAllowed if not, ManifestTooLarge for too many namespaces, Busy and Unavailable.
        """


class OpenAccess:
    """Allows every request."""

    async def user(self, authorization: str | None, client: str) -> User:  # noqa: ARG002 - all requests get the same user
        """The same user for every request."""
        return User("anyone")

    async def check(self, user: User, namespaces: Collection[str]) -> None:
        """Allow all namespaces."""


class ClusterAccess:
    """Asks the API server, and caches its answers for some seconds."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "access")
        self._waiting = 0
        self._api: KubernetesClient | None = None
        self._users: TTLCache[str, User | None] = TTLCache(_CACHE_SIZE, _CACHE_SECONDS)
        self._rights: TTLCache[str, bool] = TTLCache(_CACHE_SIZE, _CACHE_SECONDS)
        self._guesses = RateLimiter(per_second=2, burst=20)

    async def user(self, authorization: str | None, client: str) -> User:
        """The user of a bearer token. The cache stores only the hash of the token."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN_LENGTH or not token.isascii():
            raise NotAuthenticated(
                "the request has no valid bearer token; create one with `kubectl create token ACCOUNT`"
            )
        key = hashlib.sha256(token.encode()).hexdigest()
        try:
            user = self._users[key]
        except KeyError:
            self._guesses.check(client)  # each unknown token costs the API server a request
            self._users[key] = user = await self._ask(partial(_review_token, token))
            if user is None:
                self._guesses.acquire(client)
        if user is None:
            raise NotAuthenticated(
                "the cluster does not accept this token; create a new one with `kubectl create token ACCOUNT`"
            )
        return user

    async def check(self, user: User, namespaces: Collection[str]) -> None:
        """Check each namespace with a SubjectAccessReview."""
        if len(namespaces) > _MAX_NAMESPACES:
            raise ManifestTooLarge(
                f"the manifest has pods in more than {_MAX_NAMESPACES} namespaces; preview a part of it"
            )
        try:
            async with asyncio.timeout(_CHECKING_SECONDS):
                for namespace in sorted(namespaces):
                    if not await self._may_create(user, namespace):
                        raise NotAllowed(f"{user.username} may not create pods in {namespace}")
        except TimeoutError:
            raise Unavailable("the API server does not respond in time; try again") from None

    async def _may_create(self, user: User, namespace: str) -> bool:
        key = hashlib.sha256(msgspec.json.encode((user, namespace))).hexdigest()
        try:
            return self._rights[key]
        except KeyError:
            self._rights[key] = allowed = await self._ask(partial(_may_create, user, namespace))
            return allowed

    async def _ask(self, question: Callable[[KubernetesClient], T]) -> T:
        if self._waiting >= _MAX_WAITING:
            raise Busy("too many requests to the API server are pending; try again")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._asked, question)
        except ClusterError as error:
            raise Unavailable(f"the API server cannot check your access: {error}") from error
        finally:
            self._waiting -= 1

    def _asked(self, question: Callable[[KubernetesClient], T]) -> T:
        if self._api is None:
            self._api = KubernetesClient()
        return question(self._api)


def access_for(settings: Settings) -> Access:
    """The access control that the setting preview.auth selects."""
    return OpenAccess() if settings.preview.auth == "none" else ClusterAccess()


def local_only(app: ASGIApp) -> ASGIApp:
    """Wrap an application so that it rejects requests whose Host or Origin is not a loopback address.

    A check of the client's address would not suffice: a page of another site reaches the server through the user's own
    browser, directly or under a host name that resolves to 127.0.0.1 (DNS rebinding).
    """

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        names = [headers.get("host", ""), *(origin.partition("//")[2] for origin in headers.getlist("origin"))]
        if all(is_loopback(re.sub(r":\d+$", "", name)) for name in names):
            await app(scope, receive, send)
        else:
            content = msgspec.json.encode(
                {"error": "this server accepts only requests to localhost; use http://localhost or http://127.0.0.1"}
            )
            await Response(content, 403, media_type="application/json")(scope, receive, send)

    return checked


def _review_token(token: str, api: KubernetesClient) -> User | None:
    audiences = [AUDIENCE] if AUDIENCE in _audiences(token) else []
    answer = _create(api, "authentication.k8s.io", "TokenReview", {"token": token, "audiences": audiences})
    if not answer.get("authenticated") or (audiences and AUDIENCE not in (answer.get("audiences") or ())):
        return None
    try:
        return msgspec.convert(answer.get("user") or {}, User)
    except msgspec.ValidationError as error:
        raise ClusterError(f"the status of the TokenReview has an invalid user: {error}") from error


def _audiences(token: str) -> tuple[str, ...]:
    """The audiences that a JWT claims. The claim is not verified; the API server checks it in the TokenReview."""
    try:
        payload = token.split(".")[1]
        claimed = msgspec.json.decode(base64.urlsafe_b64decode(f"{payload}=="))["aud"]
    except (LookupError, TypeError, ValueError, RecursionError, binascii.Error, msgspec.MsgspecError):
        return ()
    return tuple(claimed) if isinstance(claimed, list) else (claimed,)


def _may_create(user: User, namespace: str, api: KubernetesClient) -> bool:
    attributes = {"namespace": namespace, "verb": "create", "version": "v1", "resource": "pods"}
    spec = {
        "user": user.username,
        "uid": user.uid,
        "groups": user.groups,
        "extra": dict(user.extra),
        "resourceAttributes": attributes,
    }
    answer = _create(api, "authorization.k8s.io", "SubjectAccessReview", spec)
    return bool(answer.get("allowed")) and not answer.get("denied")


def _create(api: KubernetesClient, group: str, kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Create a TokenReview or SubjectAccessReview, and return its status. Raises ClusterError."""
    body = {"apiVersion": f"{group}/v1", "kind": kind, "spec": spec}
    reply = api.request("POST", f"/apis/{group}/v1/{kind.lower()}s", RequestBody("application/json", body))
    status = reply.json().get("status")
    return status if isinstance(status, dict) else {}
