"""The Secret that holds the authorities, the caBundles of the webhook configuration, and the API server's clock.

Needs `get`, `patch` and `create` on one Secret, and `get` and `patch` on one MutatingWebhookConfiguration, by name. A
Role can restrict `create` to that name because server-side apply creates the Secret, and its URL contains the name.
"""

import contextlib
import json
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import monotonic
from typing import Any, Final

from certs.errors import ObjectChanged, ObjectNotFound
from webhook.kubernetes.client import KubernetesClient, RequestBody

_MANAGER: Final = "model-injector"
_ERRORS: Final = {
    HTTPStatus.NOT_FOUND: (ObjectNotFound, "the object does not exist"),
    HTTPStatus.CONFLICT: (ObjectChanged, "the object changed since it was read"),
}


@dataclass(frozen=True)
class Snapshot:
    """An object as it was read: a Secret's data, or the caBundle of each webhook by the webhook's name."""

    content: Mapping[str, bytes]
    version: str
    """The resourceVersion. A write that carries it fails with ObjectChanged if the object changed in between."""


class ClusterObjects:
    """Reads and writes the Secret and the MutatingWebhookConfiguration. All methods that do so raise ClusterError.

    Messages never contain the API server's response, because that may quote the Secret.
    """

    def __init__(self, webhook_configuration: str, namespace: str = "", secret: str = "") -> None:
        self._api = KubernetesClient()
        self._secret = f"/api/v1/namespaces/{namespace}/secrets/{secret}"
        self._configuration = (
            f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{webhook_configuration}"
        )
        self._clock = (datetime.now(UTC), monotonic())

    def now(self) -> datetime:
        """The API server's time, from its last `Date` header: the API server decides whether a certificate is valid."""
        time, read_at = self._clock
        return time + timedelta(seconds=monotonic() - read_at)

    def read_secret(self) -> Snapshot:
        """The Secret's data. Raises ObjectNotFound."""
        secret = self._call("GET", self._secret)
        data = {}
        for key, value in (secret.get("data") or {}).items():
            with contextlib.suppress(NotBase64, TypeError):  # an invalid value counts as missing
                data[key] = b64decode(value)
        return Snapshot(data, secret["metadata"]["resourceVersion"])

    def create_secret(self) -> None:
        """Create the Secret, empty, unless it exists. Safe when several replicas start at the same time."""
        name = self._secret.rpartition("/")[2]
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque"}
        self._call("PATCH", self._secret, "apply-patch+yaml", json.dumps(body))  # JSON is YAML, too

    def write_secret(self, read: Snapshot, data: Mapping[str, bytes]) -> None:
        """Replace the Secret's data. Raises ObjectChanged if the Secret changed since it was `read`."""
        removed = dict.fromkeys(read.content.keys() - data.keys())
        encoded = {key: b64encode(value).decode() for key, value in data.items()}
        body = {"metadata": {"resourceVersion": read.version}, "data": {**removed, **encoded}}
        self._call("PATCH", self._secret, "merge-patch+json", body)

    def read_bundles(self) -> Snapshot:
        """The caBundle (PEM) of each webhook of the configuration, b"" if it has none. Raises ObjectNotFound."""
        configuration = self._call("GET", self._configuration)
        webhooks = configuration.get("webhooks") or ()
        bundles = {webhook["name"]: b64decode(webhook["clientConfig"].get("caBundle") or "") for webhook in webhooks}
        return Snapshot(bundles, configuration["metadata"]["resourceVersion"])

    def write_bundles(self, read: Snapshot, bundle: bytes) -> None:
        """Set the caBundle of every webhook. Raises ObjectChanged if the configuration changed since it was `read`."""
        encoded = b64encode(bundle).decode()
        webhooks = [{"name": name, "clientConfig": {"caBundle": encoded}} for name in read.content]
        body = {"metadata": {"resourceVersion": read.version}, "webhooks": webhooks}
        self._call("PATCH", self._configuration, "strategic-merge-patch+json", body)

    def _call(self, method: str, path: str, kind: str = "json", body: object = None) -> dict[str, Any]:
        """Send a request; the body's media type is `application/KIND`. Returns the object in the response."""
        sent = monotonic()
        query = [("fieldManager", _MANAGER)] if body else []
        sent_body = RequestBody(f"application/{kind}", body) if body else None
        reply = self._api.request(method, path, sent_body, query=query)
        with contextlib.suppress(LookupError, TypeError, ValueError):  # without a `Date`, the previous clock stays
            self._clock = (parsedate_to_datetime(reply.headers["Date"]).astimezone(UTC), sent)
        if reply.status in _ERRORS:
            error, meaning = _ERRORS[HTTPStatus(reply.status)]
            raise error(f"{reply.what}: {meaning}")
        return reply.json()
