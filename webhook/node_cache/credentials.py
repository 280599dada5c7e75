"""The credentials of a pod in AWS: its service account's token, which kubelet gives to the driver, exchanged for keys.

By IRSA if the service account names a role, and otherwise by the agent of EKS Pod Identity on the node. The keys are
kept until shortly before they expire.
"""

import contextlib
import json
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec

from webhook.catalog.bucket.client import create_client
from webhook.catalog.bucket.errors import Denied, Unreachable
from webhook.catalog.bucket.store import Credentials
from webhook.kubernetes.client import ClusterError, KubernetesClient

STS_AUDIENCE: Final = "sts.amazonaws.com"
AGENT_AUDIENCE: Final = "pods.eks.amazonaws.com"
_ROLE: Final = "eks.amazonaws.com/role-arn"
_AGENT: Final = "http://169.254.170.23/v1/credentials"
"""The agent's address on every node. AWS_CONTAINER_CREDENTIALS_FULL_URI replaces it, such as by that for IPv6."""
_SECONDS: Final = 5.0
_EARLY_SECONDS: Final = 300.0
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")
"""The characters of a bearer token."""
_KEY: Final = re.compile(r"[!-~]+")
_MOST: Final = 1024
"""How many service accounts' keys are kept."""


class PodIdentity(msgspec.Struct, frozen=True):
    """Who mounts a volume. `tokens` are those of the service account, by audience."""

    namespace: str
    service_account: str
    tokens: dict[str, str]


class _Token(msgspec.Struct, frozen=True):
    token: str


def tokens_of(attribute: str) -> dict[str, str]:
    """The tokens in kubelet's attribute `csi.storage.k8s.io/serviceAccount.tokens`, by audience. Empty if invalid."""
    try:
        return {name: each.token for name, each in msgspec.json.decode(attribute, type=dict[str, _Token]).items()}
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return {}


class _Role(msgspec.Struct, frozen=True):
    """The credentials of an answer of STS, and of the agent."""

    access_key: str
    secret_key: str
    token: str
    expires: float
    """In seconds since the epoch."""


def _role(access_key: str, secret_key: str, token: str, expires: float) -> _Role:
    """Raises ValueError and TypeError for what cannot be in a header: an error of the client would show it."""
    given = (access_key, secret_key, token) if token else (access_key, secret_key)
    if not all(_KEY.fullmatch(each) for each in given):
        raise ValueError("a key has a character that no key has")
    return _Role(access_key, secret_key, token, expires)


class PodCredentials:
    """Exchanges tokens. Thread-safe."""

    def __init__(self, region: str, clock: Callable[[], float] = time.time) -> None:
        """`region` is that of STS, for sources that have none. `clock` is in seconds since the epoch."""
        self._region, self._clock = region, clock
        self._lock = threading.Lock()
        self._known = OrderedDict[tuple[str, str, str], _Role]()
        self._api: KubernetesClient | None = None

    def of(self, pod: PodIdentity, region: str) -> Credentials:
        """The pod's keys. Raises Denied if it has no role or may not assume it, and Unreachable without an answer."""
        role = self._role_of(pod)
        name = (pod.namespace, pod.service_account, role)
        with self._lock:
            found = self._known.get(name)
        if found is None or found.expires - self._clock() < _EARLY_SECONDS:
            found = self._by_sts(pod, role, region or self._region) if role else self._by_agent(pod)
            with self._lock:
                self._known[name] = found
                self._known.move_to_end(name)
                while len(self._known) > _MOST:
                    self._known.popitem(last=False)
        return Credentials(found.access_key, found.secret_key, found.token)

    def _role_of(self, pod: PodIdentity) -> str:
        """The role of IRSA that the service account names; empty if it names none."""
        path = f"/api/v1/namespaces/{pod.namespace}/serviceaccounts/{pod.service_account}"
        try:
            self._api = self._api or KubernetesClient()
            response = self._api.request("GET", path)
            if response.status != HTTPStatus.OK:
                raise Unreachable(f"{response.what}: the API server answers {response.status}")
            annotations = response.json().get("metadata", {}).get("annotations") or {}
        except ClusterError as error:
            raise Unreachable(str(error)) from error
        return str(annotations.get(_ROLE, ""))

    @staticmethod
    def _by_sts(pod: PodIdentity, role: str, region: str) -> _Role:
        from botocore import UNSIGNED  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError  # noqa: PLC0415
        from botocore.parsers import ResponseParserError  # noqa: PLC0415

        token = pod.tokens.get(STS_AUDIENCE)
        if not token:
            raise Denied(f"kubelet gave no token for {STS_AUDIENCE}: the CSIDriver object has to ask for it")
        config = Config(signature_version=UNSIGNED, connect_timeout=_SECONDS, read_timeout=_SECONDS)
        try:
            with contextlib.closing(create_client("sts", region_name=region or None, config=config)) as sts:
                answer: dict[str, Any] = sts.assume_role_with_web_identity(
                    RoleArn=role, RoleSessionName=f"model-injector-{pod.namespace}"[:64], WebIdentityToken=token
                )["Credentials"]
            expires = answer["Expiration"].timestamp()
            return _role(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"], expires)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            if _is_temporary(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)):
                raise Unreachable(f"STS: {code}") from None
            raise Denied(f"STS does not let {pod.namespace}/{pod.service_account} assume {role}: {code}") from None
        except ParamValidationError:  # its text has the token
            raise Denied(f"{role!r} cannot be a role, or the token for {STS_AUDIENCE} cannot be one") from None
        except BotoCoreError as error:
            raise Unreachable(f"STS: {type(error).__name__}") from None
        except (ResponseParserError, ValueError, KeyError, TypeError, AttributeError):
            raise Unreachable("the answer of STS cannot be read") from None

    def _by_agent(self, pod: PodIdentity) -> _Role:
        import urllib3  # noqa: PLC0415

        who = f"service account {pod.namespace}/{pod.service_account}"
        none = f"{who} has no role: it has no annotation {_ROLE}, and EKS Pod Identity has no association with it"
        token = pod.tokens.get(AGENT_AUDIENCE)
        if not token:
            raise Denied(none)
        if not _TOKEN.fullmatch(token):  # an error of the client would show it
            raise Denied(f"the token for {AGENT_AUDIENCE} cannot be one")
        url = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") or _AGENT
        timeout = urllib3.Timeout(connect=_SECONDS, read=_SECONDS)
        try:
            with urllib3.PoolManager(retries=False, timeout=timeout) as http:
                answer = http.request("GET", url, headers={"Authorization": token})
        except urllib3.exceptions.HTTPError:
            raise Denied(f"{none}: its agent does not answer on this node") from None
        if _is_temporary(answer.status):
            raise Unreachable(f"the agent of EKS Pod Identity answers {answer.status}")
        if answer.status != HTTPStatus.OK:
            raise Denied(f"{none}: its agent answers {answer.status}")
        try:
            content = json.loads(answer.data)
            expires = datetime.fromisoformat(content["Expiration"]).timestamp()
            return _role(content["AccessKeyId"], content["SecretAccessKey"], content["Token"], expires)
        except (ValueError, KeyError, TypeError, OverflowError):
            raise Unreachable("the answer of the EKS Pod Identity agent cannot be read") from None


def _is_temporary(status: int) -> bool:
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
