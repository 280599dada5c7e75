"""What an init container asks for, and is limited to, so that the pod keeps the place it would have without it."""

from decimal import Decimal
from typing import Final, Literal, Self

import msgspec

from webhook.errors import Conflict, InvalidAnnotation, shown
from webhook.kubernetes.pod import Container, Pod
from webhook.kubernetes.quantities import format_bytes, format_cpu, parse_quantity
from webhook.model.request import ModelRequest
from webhook.settings import FetchResources
from webhook.strategies.strategy import JSON

_BOUND: Final = ("cpu", "memory")


class PodHeadroom(msgspec.Struct, frozen=True):
    """What a pod's containers leave for an init container."""

    storage_limit: Decimal | None = None
    """The bytes to which they limit their ephemeral storage together; None where none of them does."""
    memory_request: Decimal = Decimal(0)
    """The bytes of memory that they ask for together."""
    memory_limit: Decimal | None = None
    """The bytes of memory to which they are limited together; None where one of them is not."""
    guaranteed_cpu: Decimal | None = None
    """The processors of a pod of the QoS class Guaranteed; None for any other."""

    @classmethod
    def of(cls, pod: Pod, *, in_memory: bool) -> Self:
        """The room in `pod`; that in its memory where models go there."""
        containers = pod.spec.containers or ()
        everyone = (*containers, *(pod.spec.init_containers or ()))
        guaranteed = bool(containers) and all(_is_guaranteed(container) for container in everyone)
        return cls(
            storage_limit=_limit(containers, "ephemeral-storage"),
            memory_request=sum(map(_memory_request, containers), Decimal(0)) if in_memory else Decimal(0),
            memory_limit=_limit(containers, "memory") if in_memory and all(map(_limits_memory, containers)) else None,
            guaranteed_cpu=_limit(containers, "cpu") if guaranteed else None,
        )


def resources(request: ModelRequest, size: Decimal | None, room: PodHeadroom, settings: FetchResources) -> JSON:
    """Requests and limits of the init container of `request`, whose volume holds `size` bytes in the end.

    Files in memory count as the memory of who writes them, and those on disk as ephemeral storage of the pod. The pod's
    need and its limit are those of the largest init container where that is more than its containers', so each of ours
    asks for the whole volume, and has the containers' own limit beside it. A Guaranteed pod stays one: it would lose
    its own processors and its rank when the node runs out of memory. Raises InvalidAnnotation.
    """
    cpu = _within(request, "cpu", settings)
    memory = _within(request, "memory", settings)
    storage: tuple[str | None, str | None] = (None, None)
    if request.volume is None and request.medium == "memory":
        explicit = request.fetch_memory_limit != settings.limits.memory
        memory = _with_files(memory, size or Decimal(0), room, is_limited=size is not None or explicit)
    elif size is not None:
        storage = format_bytes(size), None if room.storage_limit is None else format_bytes(room.storage_limit + size)
    if room.guaranteed_cpu is not None and memory[1]:
        limit = cpu[1] or format_cpu(room.guaranteed_cpu)
        cpu, memory = (limit, limit), (memory[1], memory[1])
    quantities = {"cpu": cpu, "memory": memory, "ephemeral-storage": storage}
    return {
        kind: {resource: pair[index] for resource, pair in quantities.items() if pair[index]}
        for index, kind in enumerate(("requests", "limits"))
    }


def _with_files(
    own: tuple[str | None, str | None], size: Decimal, room: PodHeadroom, *, is_limited: bool
) -> tuple[str | None, str | None]:
    """Memory for who writes `size` bytes to memory, and so that they are still there beside the containers after it."""
    request, limit = own
    beside = (room.memory_request, room.memory_limit or Decimal(0)) if size else (Decimal(0), Decimal(0))
    return (
        request and format_bytes(max(parse_quantity(request), beside[0]) + size),
        format_bytes(max(parse_quantity(limit), beside[1]) + size) if limit and is_limited else None,
    )


def _within(
    request: ModelRequest, resource: Literal["cpu", "memory"], settings: FetchResources
) -> tuple[str | None, str | None]:
    """The request and the limit. Where the settings' own value crosses an annotation's, the annotation wins."""
    asked: str | None = getattr(request, f"fetch_{resource}_request")
    limit: str | None = getattr(request, f"fetch_{resource}_limit")
    if asked is None or limit is None or parse_quantity(asked) <= parse_quantity(limit):
        return asked, limit
    if limit == getattr(settings.limits, resource):
        return asked, asked
    if asked == getattr(settings.requests, resource):
        return limit, limit
    raise InvalidAnnotation(request.where(f"fetch-{resource}-request"), asked, f"at most its limit, {limit}")


def _limit(containers: tuple[Container, ...], resource: str) -> Decimal | None:
    """The sum of the containers' limits of `resource`; None where none has one."""
    limits = (one.resources.limits or {} for one in containers if one.resources)
    found = [limit[resource] for limit in limits if resource in limit]
    return sum(map(_amount, found), Decimal(0)) if found else None


def _limits_memory(container: Container) -> bool:
    return bool(container.resources and container.resources.limits and "memory" in container.resources.limits)


def _memory_request(container: Container) -> Decimal:
    """What a container asks for; where it says nothing, that is its limit."""
    resources = container.resources
    asked = {**((resources and resources.limits) or {}), **((resources and resources.requests) or {})}
    return _amount(asked["memory"]) if "memory" in asked else Decimal(0)


def _is_guaranteed(container: Container) -> bool:
    limits = container.resources and container.resources.limits
    if not limits or not all(resource in limits for resource in _BOUND):
        return False
    requests = (container.resources and container.resources.requests) or limits
    return all(_amount(requests.get(resource, limits[resource])) == _amount(limits[resource]) for resource in _BOUND)


def _amount(quantity: str | float) -> Decimal:
    """A quantity of the pod's own, which the API server validates only after admission. Raises Conflict."""
    try:
        return parse_quantity(str(quantity))
    except ValueError as error:
        raise Conflict(f"the pod's resources hold {shown(str(quantity))}, which is no quantity; correct it") from error
