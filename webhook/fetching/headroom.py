"""The resources of a pod that bear on an init container which downloads a model.

Kubernetes sums the requests of a pod's containers, and their limits, by one formula (`AggregateContainerRequests` and
`AggregateContainerLimits` in k8s.io/component-helpers/resource):

    max(containers + sidecars, max over init containers of (the init container + the sidecars before it))

A sidecar is an init container that keeps running. The scheduler reserves the sum of the requests. The kubelet evicts a
pod whose files exceed the sum of its limits of ephemeral storage, as soon as any container has such a limit
(`podEphemeralStorageLimitEviction`), and bounds a pod's memory by the sum of its limits if all containers have one.

`spec.resources` of a pod (1.34) replaces the sums of CPU and memory. The API server then rejects containers whose
requests sum up to more, and limits above the pod's (`validatePodResourceConsistency`).
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from webhook.errors import shown
from webhook.fetching.container import download_of
from webhook.kubernetes.pod import Container, PodSpec
from webhook.kubernetes.quantities import parse_quantity
from webhook.model.refusals import Conflict

_Quantity: TypeAlias = str | int | float
_List: TypeAlias = tuple[_Quantity | None, _Quantity | None, _Quantity | None]
"""Quantities of CPU, memory and ephemeral storage."""
_Kind: TypeAlias = Literal["requests", "limits"]

_CPU, _MEMORY, _STORAGE = range(3)
_NOTHING: Final[_List] = (None, None, None)
_ZERO: Final = Decimal(0)
_FEW: Final = 32
"""Containers of a pod whose sums are cached. More of them are rare, and would take the cache's memory."""


class PodResource(msgspec.Struct, frozen=True, cache_hash=True):
    """One resource of a pod: CPUs, or bytes.

    `request` and `limit` sum up what runs beside a model: the containers that start after its download. Sidecars that
    start earlier run all the time, and are counted apart.
    """

    request: Decimal = _ZERO
    limit: Decimal | None = None
    """None if no container of the pod has a limit, not even an earlier one."""
    earlier_request: Decimal = _ZERO
    earlier_limit: Decimal = _ZERO
    pod_request: Decimal | None = None
    """The request in `spec.resources`. None if there is none, and no bound."""
    pod_limit: Decimal | None = None
    """The limit in `spec.resources`."""
    smallest_limit: Decimal | None = None
    """The smallest limit of a container, above 0. None if there is none."""

    @property
    def total_request(self) -> Decimal:
        """The sum of all requests, from the download on."""
        return self.earlier_request + self.request

    @property
    def total_limit(self) -> Decimal | None:
        """The sum of all limits, from the download on. None if there is none."""
        return None if self.limit is None else self.earlier_limit + self.limit

    @property
    def request_left(self) -> Decimal | None:
        """The most that an init container may request. None if there is no bound."""
        return None if self.pod_request is None else max(self.pod_request - self.earlier_request, _ZERO)


class PodHeadroom(msgspec.Struct, frozen=True, cache_hash=True):
    """The resources of a pod, from which follows what an init container has to request, and may use."""

    cpu: PodResource = PodResource()
    memory: PodResource = PodResource()
    storage: PodResource = PodResource()
    is_guaranteed: bool = False
    """Whether the resources of its containers put the pod into the QoS class Guaranteed (`ComputePodQOS`). False if
    `spec.resources` determines the class, which no container can change then."""

    @property
    def memory_limit(self) -> Decimal | None:
        """What the pod may use of memory, if an init container without a limit of its own does not change that."""
        return self.memory.total_limit if self.is_guaranteed else self.memory.pod_limit

    @classmethod
    def of(cls, spec: PodSpec, index: int) -> "PodHeadroom":
        """The headroom of a pod for init containers that are inserted at `index`.

        Init containers of an earlier pass are left out. Raises Conflict for an invalid quantity.
        """
        init_containers = spec.init_containers or ()
        pod = _Pod(
            _uses(spec.containers or ()),
            _uses([one for one in init_containers[:index] if not download_of(one)]) if init_containers else (),
            _uses([one for one in init_containers[index:] if not download_of(one)]) if init_containers else (),
            _Use(_list(spec.resources.requests), _list(spec.resources.limits)) if spec.resources else None,
        )
        return _cached(pod) if len(pod.containers) + len(init_containers) <= _FEW else _headroom(pod)


def pod_quantity(quantity: object) -> Decimal:
    """A quantity in a pod, which the API server validates only after admission. Raises Conflict."""
    try:
        return parse_quantity(str(quantity))
    except ValueError as error:
        raise Conflict(f"the pod has the invalid quantity {shown(str(quantity))}; correct it") from error


class _Use(NamedTuple):
    """The quantities of a container, or of `spec.resources`."""

    requests: _List
    limits: _List
    is_sidecar: bool = False

    def get(self, kind: _Kind, resource: int) -> Decimal | None:
        """An amount. A request that is missing is the limit."""
        quantity = self.limits[resource]
        if kind == "requests" and self.requests[resource] is not None:
            quantity = self.requests[resource]
        return None if quantity is None else pod_quantity(quantity)


_NO_USE: Final = _Use(_NOTHING, _NOTHING)


class _Pod(NamedTuple):
    containers: tuple[_Use, ...]
    earlier: tuple[_Use, ...]
    """The init containers before the download."""
    later: tuple[_Use, ...]
    """The init containers after the download."""
    level: _Use | None
    """`spec.resources`."""

    @property
    def everyone(self) -> tuple[_Use, ...]:
        return (*self.containers, *self.earlier, *self.later)


def _uses(containers: Iterable[Container]) -> tuple[_Use, ...]:
    return tuple(
        [
            _Use(_list(container.resources.requests), _list(container.resources.limits), container.is_sidecar)
            if container.resources
            else _NO_USE
            for container in containers
        ]
    )


def _list(quantities: Mapping[str, _Quantity] | None) -> _List:
    if not quantities:
        return _NOTHING
    return quantities.get("cpu"), quantities.get("memory"), quantities.get("ephemeral-storage")


def _headroom(pod: _Pod) -> PodHeadroom:
    return PodHeadroom(
        cpu=_resource(pod, _CPU),
        memory=_resource(pod, _MEMORY),
        storage=_resource(pod, _STORAGE),
        is_guaranteed=pod.level is None and bool(pod.containers) and all(map(_is_guaranteed, pod.everyone)),
    )


_cached = lru_cache(maxsize=256)(_headroom)  # identical for all pods of a workload


def _resource(pod: _Pod, resource: int) -> PodResource:
    sidecars = [use for use in pod.earlier if use.is_sidecar]
    limits = [limit for use in pod.everyone if (limit := use.get("limits", resource)) is not None]
    return PodResource(
        request=_sum(pod.containers, pod.later, "requests", resource),
        limit=_sum(pod.containers, pod.later, "limits", resource) if limits else None,
        earlier_request=_sum(sidecars, (), "requests", resource),
        earlier_limit=_sum(sidecars, (), "limits", resource),
        pod_request=_pod_request(pod, pod.level, resource) if pod.level else None,
        pod_limit=pod.level.get("limits", resource) if pod.level else None,
        smallest_limit=min(filter(None, limits), default=None),
    )


def _sum(containers: Iterable[_Use], init_containers: Iterable[_Use], kind: _Kind, resource: int) -> Decimal:
    """The sum of the module's formula."""
    sidecars = largest = _ZERO
    for use in init_containers:
        amount = use.get(kind, resource) or _ZERO
        largest = max(largest, sidecars + amount)
        if use.is_sidecar:
            sidecars += amount
    return max(sum([use.get(kind, resource) or _ZERO for use in containers], sidecars), largest)


def _pod_request(pod: _Pod, level: _Use, resource: int) -> Decimal | None:
    """The request in `spec.resources`. The API server's default for a pod with limits there is what the containers
    request, or else the limit (`defaultPodRequests`)."""
    is_requested = any(use.get("requests", resource) is not None for use in pod.everyone)
    if is_requested and level.requests[resource] is None and level.limits != _NOTHING:
        return _sum(pod.containers, (*pod.earlier, *pod.later), "requests", resource)
    return level.get("requests", resource)


def _is_guaranteed(use: _Use) -> bool:
    bounds = [(use.get("requests", resource), use.get("limits", resource)) for resource in (_CPU, _MEMORY)]
    return all(limit and request == limit for request, limit in bounds)
