"""The cluster's side: the Secret that holds the authorities, the caBundles that API servers read, and their clock.

It needs `get`, `patch` and `create` on one Secret, and `get` and `patch` on one MutatingWebhookConfiguration, by name.
That a name is enough for `create` is due to server-side apply: there it is known when the request is authorized.
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
_ANSWERS: Final = {
    HTTPStatus.NOT_FOUND: (ObjectNotFound, "it does not exist"),
    HTTPStatus.CONFLICT: (ObjectChanged, "someone else has changed it"),
}


@dataclass(frozen=True)
class Snapshot:
    """An object's content as it was read: a Secret's data, or each entry's caBundle by the entry's name."""

    content: Mapping[str, bytes]
    version: str
    """The resourceVersion: a change of what has been changed since is a Conflict."""


class ClusterObjects:
    """Two objects of a cluster, by name. Raises ClusterError where the cluster does not answer as it should.

    What the API server says of a Secret is in no message.
    """

    def __init__(self, webhook_configuration: str, namespace: str = "", secret: str = "") -> None:
        self._api = KubernetesClient()
        self._secret = f"/api/v1/namespaces/{namespace}/secrets/{secret}"
        self._configuration = (
            f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{webhook_configuration}"
        )
        self._clock = (datetime.now(UTC), monotonic())

    def now(self) -> datetime:
        """The API server's time: it is the API server that compares our certificates with the time."""
        time, since = self._clock
        return time + timedelta(seconds=monotonic() - since)

    def read_secret(self) -> Snapshot:
        """The Secret's data. Raises ObjectNotFound."""
        found = self._call("GET", self._secret)
        data = {}
        for key, value in (found.get("data") or {}).items():
            with contextlib.suppress(NotBase64, TypeError):  # spoiled is as good as missing
                data[key] = b64decode(value)
        return Snapshot(data, found["metadata"]["resourceVersion"])

    def create_secret(self) -> None:
        """An empty Secret, whether there is one or not: replicas that start at once do each other no harm."""
        name = self._secret.rpartition("/")[2]
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque"}
        self._call("PATCH", self._secret, "apply-patch+yaml", json.dumps(body))  # JSON is YAML, too

    def write_secret(self, read: Snapshot, data: Mapping[str, bytes]) -> None:
        """Put `data` into the Secret, and nothing else. Raises ObjectChanged where it is not as it was `read`."""
        removed = dict.fromkeys(read.content.keys() - data.keys())
        encoded = {key: b64encode(value).decode() for key, value in data.items()}
        body = {"metadata": {"resourceVersion": read.version}, "data": {**removed, **encoded}}
        self._call("PATCH", self._secret, "merge-patch+json", body)

    def read_bundles(self) -> Snapshot:
        """The caBundle of each entry of the webhook configuration, empty where there is none. Raises ObjectNotFound."""
        found = self._call("GET", self._configuration)
        entries = found.get("webhooks") or ()
        bundles = {entry["name"]: b64decode(entry["clientConfig"].get("caBundle") or "") for entry in entries}
        return Snapshot(bundles, found["metadata"]["resourceVersion"])

    def write_bundles(self, read: Snapshot, bundle: bytes) -> None:
        """Give each entry this caBundle. Raises ObjectChanged where the entries are not as they were `read`."""
        encoded = b64encode(bundle).decode()
        entries = [{"name": name, "clientConfig": {"caBundle": encoded}} for name in read.content]
        body = {"metadata": {"resourceVersion": read.version}, "webhooks": entries}
        self._call("PATCH", self._configuration, "strategic-merge-patch+json", body)

    def _call(self, method: str, path: str, kind: str = "json", body: object = None) -> dict[str, Any]:
        """One request; `kind` is the body's media type, after `application/`."""
        sent = monotonic()
        query = [("fieldManager", _MANAGER)] if body else []
        sent_body = RequestBody(f"application/{kind}", body) if body else None
        reply = self._api.request(method, path, sent_body, query=query)
        with contextlib.suppress(LookupError, TypeError, ValueError):  # a proxy without a clock: the one before goes on
            self._clock = (parsedate_to_datetime(reply.headers["Date"]).astimezone(UTC), sent)
        if reply.status in _ANSWERS:
            kind_of_error, meaning = _ANSWERS[HTTPStatus(reply.status)]
            raise kind_of_error(f"{reply.what}: {meaning}")
        return reply.json()
