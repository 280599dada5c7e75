"""Who may preview what: the cluster's own answer, by TokenReview and SubjectAccessReview."""

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
from webhook.kubernetes.client import ClusterError, KubernetesClient, RequestBody
from webhook.preview.access import AUDIENCE, is_loopback
from webhook.preview.errors import ManifestTooLarge
from webhook.settings import Settings

_REMEMBERED_SECONDS: Final = 10
_MOST_REMEMBERED: Final = 1000
_THREADS: Final = 4
_MOST_WAITING: Final = 32
_LONGEST_TOKEN: Final = 16 * 1024
_MOST_NAMESPACES: Final = 50
_CHECKING_SECONDS: Final = 10
T = TypeVar("T")


class NotAuthenticated(RequestError):
    """The request does not say who sent it."""

    status = 401


class NotAllowed(RequestError):
    """The sender has no right to the answer."""

    status = 403


class Unavailable(Busy):
    """A service that the answer depends on does not respond."""


class User(msgspec.Struct, frozen=True):
    """Who has sent a request, as a TokenReview tells it."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = {}


class Access(Protocol):
    """Decides on requests before anything is told."""

    async def user(self, authorization: str | None, client: str) -> User:
        """Who has sent the request. Raises NotAuthenticated, TooMany, and Unavailable."""

    async def check(self, user: User, namespaces: Collection[str]) -> None:
        """Raise NotAllowed where the user may not create pods in one of these namespaces, ManifestTooLarge, and
        Unavailable."""


class OpenAccess:
    """Lets everyone in."""

    async def user(self, authorization: str | None, client: str) -> User:  # noqa: ARG002 - it is for anyone
        """Nobody in particular."""
        return User("anyone")

    async def check(self, user: User, namespaces: Collection[str]) -> None:
        """All namespaces."""


class ClusterAccess:
    """Asks the API server, and remembers its answers for some seconds."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "access")
        self._waiting = 0
        self._api: KubernetesClient | None = None
        self._users: TTLCache[str, User | None] = TTLCache(_MOST_REMEMBERED, _REMEMBERED_SECONDS)
        self._rights: TTLCache[str, bool] = TTLCache(_MOST_REMEMBERED, _REMEMBERED_SECONDS)
        self._guesses = RateLimiter(per_second=2, burst=20)

    async def user(self, authorization: str | None, client: str) -> User:
        """The owner of a bearer token, which is kept nowhere but as its hash."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > _LONGEST_TOKEN or not token.isascii():
            raise NotAuthenticated("a bearer token is needed, such as `kubectl create token ACCOUNT` makes")
        key = hashlib.sha256(token.encode()).hexdigest()
        try:
            user = self._users[key]
        except KeyError:
            self._guesses.check(client)  # each one costs the API server a request
            self._users[key] = user = await self._ask(partial(_review_token, token))
            if user is None:
                self._guesses.acquire(client)
        if user is None:
            raise NotAuthenticated("the cluster does not know this token, or no longer")
        return user

    async def check(self, user: User, namespaces: Collection[str]) -> None:
        """Whether the user may create pods there."""
        if len(namespaces) > _MOST_NAMESPACES:
            raise ManifestTooLarge(
                f"the manifest has pods in more than {_MOST_NAMESPACES} namespaces; preview a part of it"
            )
        try:
            async with asyncio.timeout(_CHECKING_SECONDS):
                for namespace in sorted(namespaces):
                    if not await self._may_create(user, namespace):
                        raise NotAllowed(f"{user.username} may not create pods in {namespace}")
        except TimeoutError:
            raise Unavailable("the API server does not answer in time; try again") from None

    async def _may_create(self, user: User, namespace: str) -> bool:
        key = hashlib.sha256(msgspec.json.encode((user, namespace))).hexdigest()
        try:
            return self._rights[key]
        except KeyError:
            self._rights[key] = allowed = await self._ask(partial(_may_create, user, namespace))
            return allowed

    async def _ask(self, question: Callable[[KubernetesClient], T]) -> T:
        if self._waiting >= _MOST_WAITING:
            raise Busy("too many questions to the API server are on their way; try again")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._asked, question)
        except ClusterError as error:
            raise Unavailable(f"the API server can't be asked who you are: {error}") from error
        finally:
            self._waiting -= 1

    def _asked(self, question: Callable[[KubernetesClient], T]) -> T:
        if self._api is None:
            self._api = KubernetesClient()
        return question(self._api)


def access_for(settings: Settings) -> Access:
    """What the setting preview.auth asks for."""
    return OpenAccess() if settings.preview.auth == "none" else ClusterAccess()


def local_only(app: ASGIApp) -> ASGIApp:
    """The application, for who asks for it as this machine, and from a page of it: a name of elsewhere that leads here
    is how others would get in (DNS rebinding), and so is a request of their page's."""

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        names = [headers.get("host", ""), *(origin.partition("//")[2] for origin in headers.getlist("origin"))]
        if all(is_loopback(re.sub(r":\d+$", "", name)) for name in names):
            await app(scope, receive, send)
        else:
            content = msgspec.json.encode({"error": "ask for localhost or 127.0.0.1: this is for this machine alone"})
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
        raise ClusterError(f"a TokenReview tells of no user: {error}") from error


def _audiences(token: str) -> tuple[str, ...]:
    """What a token says that it is for. It proves nothing, but tells what to have the API server check."""
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
    """The status of a review that the API server has answered."""
    body = {"apiVersion": f"{group}/v1", "kind": kind, "spec": spec}
    reply = api.request("POST", f"/apis/{group}/v1/{kind.lower()}s", RequestBody("application/json", body))
    status = reply.json().get("status")
    return status if isinstance(status, dict) else {}
