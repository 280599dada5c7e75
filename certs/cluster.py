"""The cluster's side: the Secret that holds the authorities, the caBundles that API servers read, and their clock.

It needs `get`, `patch` and `create` on one Secret, and `get` and `patch` on one MutatingWebhookConfiguration, by name.
That a name is enough for `create` is due to server-side apply: there it is known when the request is authorized.
"""

import contextlib
import json
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import monotonic
from typing import Any, Final

from certs.errors import CertificateError, Conflict, NotFound

_SECONDS: Final = (5, 10)
"""To connect, and between bytes of the answer."""
_MANAGER: Final = "model-injector"


@dataclass(frozen=True)
class Read:
    """An object's content as it was read: a Secret's data, or each entry's caBundle by the entry's name."""

    content: Mapping[str, bytes]
    version: str
    """The resourceVersion: a change of what has been changed since is a Conflict."""


class Cluster:
    """Two objects of a cluster, by name. Raises CertificateError where the cluster does not answer as it should.

    What the API server says of a Secret is in no message.
    """

    def __init__(self, webhook_configuration: str, namespace: str = "", secret: str = "") -> None:
        from kubernetes import client, config  # noqa: PLC0415 - heavy, and of no use outside of a cluster

        settings = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=settings)
        except config.ConfigException:
            try:
                config.load_kube_config(client_configuration=settings)
            except config.ConfigException as error:
                raise CertificateError(f"there is no cluster here, and no kubeconfig: {error}") from error
        settings.retries = False
        api = client.ApiClient(settings)
        self._secrets, self._configurations = client.CoreV1Api(api), client.AdmissionregistrationV1Api(api)
        self._webhook_configuration, self._namespace, self._secret = webhook_configuration, namespace, secret
        self._clock = (datetime.now(UTC), monotonic())

    def now(self) -> datetime:
        """The API server's time: it is the API server that compares our certificates with the time."""
        time, since = self._clock
        return time + timedelta(seconds=monotonic() - since)

    def read_secret(self) -> Read:
        """The Secret's data. Raises NotFound."""
        found = self._call(self._secrets.read_namespaced_secret, self._secret, self._namespace)
        data = {}
        for key, value in (found.get("data") or {}).items():
            try:
                data[key] = b64decode(value)
            except (NotBase64, TypeError):
                continue  # spoiled is as good as missing
        return Read(data, found["metadata"]["resourceVersion"])

    def create_secret(self) -> None:
        """An empty Secret, whether there is one or not: replicas that start at once do each other no harm."""
        body = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque"}
        self._call(
            self._secrets.patch_namespaced_secret,
            self._secret,
            self._namespace,
            {**body, "metadata": {"name": self._secret, "namespace": self._namespace}},
            field_manager=_MANAGER,
            _content_type="application/apply-patch+yaml",
        )

    def write_secret(self, read: Read, data: Mapping[str, bytes]) -> None:
        """Put `data` into the Secret, and nothing else. Raises Conflict where it is not as it was `read`."""
        removed = dict.fromkeys(read.content.keys() - data.keys())
        encoded = {key: b64encode(value).decode() for key, value in data.items()}
        self._call(
            self._secrets.patch_namespaced_secret,
            self._secret,
            self._namespace,
            {"metadata": {"resourceVersion": read.version}, "data": {**removed, **encoded}},
            field_manager=_MANAGER,
            _content_type="application/merge-patch+json",
        )

    def read_bundles(self) -> Read:
        """The caBundle of each entry of the webhook configuration, empty where there is none. Raises NotFound."""
        found = self._call(self._configurations.read_mutating_webhook_configuration, self._webhook_configuration)
        entries = found.get("webhooks") or ()
        bundles = {entry["name"]: b64decode(entry["clientConfig"].get("caBundle") or "") for entry in entries}
        return Read(bundles, found["metadata"]["resourceVersion"])

    def write_bundles(self, read: Read, bundle: bytes) -> None:
        """Give each entry this caBundle. Raises Conflict where the entries are not as they were `read`."""
        encoded = b64encode(bundle).decode()
        self._call(
            self._configurations.patch_mutating_webhook_configuration,
            self._webhook_configuration,
            {
                "metadata": {"resourceVersion": read.version},
                "webhooks": [{"name": name, "clientConfig": {"caBundle": encoded}} for name in read.content],
            },
            field_manager=_MANAGER,
            _content_type="application/strategic-merge-patch+json",
        )

    def _call(self, method: Callable[..., Any], *arguments: object, **options: object) -> dict[str, Any]:
        from kubernetes.client import ApiException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        what = f"{method.__name__.replace('_', ' ')} {arguments[0]}"
        sent = monotonic()
        try:
            response = method(*arguments, **options, _preload_content=False, _request_timeout=_SECONDS)
            status, headers, body = response.status, response.headers, response.data
        except ApiException as error:
            status, headers, body = error.status or 0, error.headers or {}, b""
            if not status:
                raise CertificateError(f"can't {what}: {error.reason}") from None
        except (HTTPError, OSError) as error:
            raise CertificateError(f"can't {what}: {type(error).__name__}") from error
        self._set_clock(headers, sent)
        if status == HTTPStatus.NOT_FOUND:
            raise NotFound(f"can't {what}: it does not exist")
        if status == HTTPStatus.CONFLICT:
            raise Conflict(f"can't {what}: someone else has changed it")
        if status >= HTTPStatus.BAD_REQUEST:
            raise CertificateError(f"can't {what}: the API server answers {status}")
        try:
            found: dict[str, Any] = json.loads(body)
        except ValueError:
            raise CertificateError(f"can't {what}: the answer is no JSON") from None
        return found

    def _set_clock(self, headers: Mapping[str, str], sent: float) -> None:
        with contextlib.suppress(KeyError, ValueError):  # a proxy without a clock: the one before goes on
            self._clock = (parsedate_to_datetime(headers["Date"]).astimezone(UTC), sent)
