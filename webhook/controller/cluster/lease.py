"""Leader election by a Lease, as Kubernetes' own controllers do it.

A replica leads while it renews the Lease. Another one takes it over when it has seen no renewal for the Lease's
duration, by its own clock, so the clocks of nodes need not agree.
"""

import logging
import random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from threading import Event
from time import monotonic
from typing import Any, Final

from webhook.http.log import FIELDS
from webhook.kubernetes.client import ClusterError, KubernetesClient, RequestBody

_DURATION_SECONDS: Final = 15
_DEADLINE_SECONDS: Final = 10
"""After so many seconds without a renewal, the leader stops: before another one may take over."""
_RENEWAL_SECONDS: Final = 5
_RETRY_SECONDS: Final = 2
_JSON: Final = "application/json"
_log = logging.getLogger(__name__)


class LeaseLost(Exception):
    """This process leads no longer."""


class Election:
    """The election of one of the replicas. `clock` is monotonic, in seconds.

    `owner` is the ownerReference of this replica's pod. Kubernetes deletes the Lease with the pod that held it last, so
    uninstalling leaves none. None outside of a pod: the Lease stays.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - where the Lease is, who asks, and a clock for tests
        self,
        api: KubernetesClient,
        namespace: str,
        name: str,
        identity: str,
        stopped: Event,
        clock: Callable[[], float] = monotonic,
        owner: Mapping[str, str] | None = None,
    ) -> None:
        self._api, self._identity, self._stopped, self._clock = api, identity, stopped, clock
        self._owner = owner
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path, self._name = f"{self._collection}/{name}", name
        self._holder: str | None = None
        self._seen: tuple[object, object] | None = None
        """Holder and time of renewal that were seen last."""
        self._seen_at = 0.0
        self._lease: dict[str, Any] = {}

    def wait(self) -> bool:
        """Wait until this process leads. False if it is stopped before."""
        while not self._stopped.is_set():
            try:
                if self._try():
                    _log.info("elected", extra={FIELDS: {"identity": self._identity}})
                    return True
            except ClusterError as error:
                _log.warning("lease not read", extra={FIELDS: {"problem": str(error)}})
            self._stopped.wait(_RETRY_SECONDS * random.uniform(1, 1.5))  # noqa: S311 - jitter
        return False

    def keep(self) -> None:
        """Renew the Lease until the process is stopped. Raises LeaseLost."""
        renewed_at, pause = self._clock(), _RENEWAL_SECONDS
        requests = ThreadPoolExecutor(1, "lease")  # a request may hang for longer than the deadline
        while not self._stopped.wait(pause):
            started, pause = self._clock(), _RETRY_SECONDS
            left = renewed_at + _DEADLINE_SECONDS - started
            try:
                if left > 0 and requests.submit(self._try).result(left):
                    renewed_at, pause = started, _RENEWAL_SECONDS
                elif self._holder not in (None, self._identity):
                    raise LeaseLost(f"{self._holder} holds the lease")
            except ClusterError as error:
                _log.warning("lease not renewed", extra={FIELDS: {"problem": str(error)}})
            except TimeoutError:
                left = 0
            if left <= 0:
                raise LeaseLost(f"the lease was not renewed for {_DEADLINE_SECONDS} s")

    def _try(self) -> bool:
        """Acquire or renew the Lease. False if another process holds it. Raises ClusterError."""
        response = self._api.request("GET", self._path)
        if response.status == HTTPStatus.NOT_FOUND:
            return self._write("POST", self._collection, {"metadata": {"name": self._name}, "spec": {}}, is_new=True)
        self._lease = response.json()
        spec = self._lease.get("spec") or {}
        holder, seen = spec.get("holderIdentity"), (spec.get("holderIdentity"), spec.get("renewTime"))
        self._holder = holder
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        duration = spec.get("leaseDurationSeconds") or _DURATION_SECONDS
        if holder and holder != self._identity and self._clock() - self._seen_at < duration:
            return False
        return self._write("PUT", self._path, self._lease, is_new=holder != self._identity)

    def _write(self, method: str, path: str, lease: dict[str, Any], *, is_new: bool) -> bool:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec = dict(lease.get("spec") or {})
        if is_new:
            spec |= {"acquireTime": now, "leaseTransitions": (spec.get("leaseTransitions") or 0) + 1}
            owners = [self._owner] if self._owner else []
            lease = {**lease, "metadata": {**lease["metadata"], "ownerReferences": owners}}
        spec |= {"holderIdentity": self._identity, "leaseDurationSeconds": _DURATION_SECONDS, "renewTime": now}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **lease, "spec": spec}
        response = self._api.request(method, path, RequestBody(_JSON, body))
        if response.status == HTTPStatus.CONFLICT:  # another process was faster
            return False
        self._lease = response.json()
        return True

    def release(self) -> None:
        """Let another process take over at once. It would otherwise wait for the Lease's duration."""
        spec = {**(self._lease.get("spec") or {}), "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            self._api.request("PUT", self._path, RequestBody(_JSON, {**self._lease, "spec": spec})).json()
        except ClusterError as error:
            _log.warning("lease not released", extra={FIELDS: {"problem": str(error)}})
