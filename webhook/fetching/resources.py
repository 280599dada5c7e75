"""Resource requests and limits of the init container, chosen so that the pod is scheduled as it would be without it."""

from decimal import Decimal
from typing import Final, Literal, Self

import msgspec

from webhook.errors import shown
from webhook.fetching.options import FetchOptions
from webhook.fetching.settings import FetchResources
from webhook.kubernetes.patch import JSON
from webhook.kubernetes.pod import Container, Pod
from webhook.kubernetes.quantities import format_bytes, format_cpu, parse_quantity
from webhook.model.refusals import Conflict, InvalidAnnotation
from webhook.model.request import ModelRequest

_BOUND: Final = ("cpu", "memory")


class PodHeadroom(msgspec.Struct, frozen=True):
    """The resources of a pod's containers, from which follows what an init container may use."""

    storage_limit: Decimal | None = None
    """The sum of their limits of ephemeral storage, in bytes. None where no container has one."""
    memory_request: Decimal = Decimal(0)
    """The sum of their memory requests, in bytes."""
    memory_limit: Decimal | None = None
    """The sum of their memory limits, in bytes. None where a container has no limit."""
    guaranteed_cpu: Decimal | None = None
    """The CPU limit of a pod of the QoS class Guaranteed. None for any other class."""

    @classmethod
    def of(cls, pod: Pod, *, in_memory: bool) -> Self:
        """The headroom of `pod`; that of its memory only where models are kept in memory."""
        containers = pod.spec.containers or ()
        everyone = (*containers, *(pod.spec.init_containers or ()))
        guaranteed = bool(containers) and all(_is_guaranteed(container) for container in everyone)
        return cls(
            storage_limit=_limit(containers, "ephemeral-storage"),
            memory_request=sum(map(_memory_request, containers), Decimal(0)) if in_memory else Decimal(0),
            memory_limit=_limit(containers, "memory") if in_memory and all(map(_limits_memory, containers)) else None,
            guaranteed_cpu=_limit(containers, "cpu") if guaranteed else None,
        )


def resources(
    request: ModelRequest,
    options: FetchOptions,
    size: Decimal | None,
    headroom: PodHeadroom,
    settings: FetchResources,
) -> JSON:
    """core/v1 ResourceRequirements of the init container of `request`, whose volume holds `size` bytes in the end.

    Files in memory count as memory of the container that writes them; files on disk count as ephemeral storage of the
    pod. Kubernetes takes the larger of the largest init container and the sum of the containers, so each init container
    requests the whole volume, and its limit adds the containers' own. A Guaranteed pod stays Guaranteed: otherwise it
    would lose its exclusive CPUs and its rank when the node runs out of memory. Raises InvalidAnnotation.
    """
    cpu = _within(request, options, "cpu", settings)
    memory = _within(request, options, "memory", settings)
    storage: tuple[str | None, str | None] = (None, None)
    if options.volume is None and options.medium == "memory":
        explicit = options.fetch_memory_limit != settings.limits.memory
        memory = _with_files(memory, size or Decimal(0), headroom, is_limited=size is not None or explicit)
    elif size is not None:
        limit = None if headroom.storage_limit is None else format_bytes(headroom.storage_limit + size)
        storage = format_bytes(size), limit
    if headroom.guaranteed_cpu is not None and memory[1]:
        limit = cpu[1] or format_cpu(headroom.guaranteed_cpu)
        cpu, memory = (limit, limit), (memory[1], memory[1])
    quantities = {"cpu": cpu, "memory": memory, "ephemeral-storage": storage}
    return {
        kind: {resource: pair[index] for resource, pair in quantities.items() if pair[index]}
        for index, kind in enumerate(("requests", "limits"))
    }


def _with_files(
    own: tuple[str | None, str | None], size: Decimal, headroom: PodHeadroom, *, is_limited: bool
) -> tuple[str | None, str | None]:
    """Memory for a container that writes `size` bytes to memory, where they stay beside the pod's containers."""
    request, limit = own
    beside = (headroom.memory_request, headroom.memory_limit or Decimal(0)) if size else (Decimal(0), Decimal(0))
    return (
        request and format_bytes(max(parse_quantity(request), beside[0]) + size),
        format_bytes(max(parse_quantity(limit), beside[1]) + size) if limit and is_limited else None,
    )


def _within(
    request: ModelRequest, options: FetchOptions, resource: Literal["cpu", "memory"], settings: FetchResources
) -> tuple[str | None, str | None]:
    """The request and the limit. Where the settings' own value crosses an annotation's, the annotation wins."""
    asked: str | None = getattr(options, f"fetch_{resource}_request")
    limit: str | None = getattr(options, f"fetch_{resource}_limit")
    if asked is None or limit is None or parse_quantity(asked) <= parse_quantity(limit):
        return asked, limit
    if limit == getattr(settings.limits, resource):
        return asked, asked
    if asked == getattr(settings.requests, resource):
        return limit, limit
    raise InvalidAnnotation(request.where(f"fetch-{resource}-request"), asked, f"at most its limit, {limit}")


def _limit(containers: tuple[Container, ...], resource: str) -> Decimal | None:
    """The sum of the containers' limits of `resource`; None where none has one."""
    limits = (container.resources.limits or {} for container in containers if container.resources)
    quantities = [limit[resource] for limit in limits if resource in limit]
    return sum(map(_amount, quantities), Decimal(0)) if quantities else None


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
        raise Conflict(f"the pod's resources hold the invalid quantity {shown(str(quantity))}; correct it") from error
