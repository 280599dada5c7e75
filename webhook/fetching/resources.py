"""Resource requests and limits of the init container that downloads a model."""

from collections.abc import Callable
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from webhook.fetching.headroom import PodHeadroom, PodResource
from webhook.fetching.options import FetchOptions
from webhook.fetching.settings import FetchResources
from webhook.kubernetes.patch import JSON
from webhook.kubernetes.quantities import format_bytes, format_cpu, parse_quantity
from webhook.model.refusals import Conflict, InvalidAnnotation
from webhook.model.request import ModelRequest


class Range(NamedTuple):
    """The request and the limit of one resource. None: none."""

    request: str | None
    limit: str | None


class Files(NamedTuple):
    """The models in one emptyDir, which count towards the pod's memory or its ephemeral storage."""

    in_memory: bool
    size: Decimal | None
    """Bytes that they take in the end. None if it is unknown."""
    is_own: bool = False
    """Whether the volume is the pod's own. What its containers request includes it then."""


def resources(
    request: ModelRequest,
    options: FetchOptions,
    files: Files | None,
    headroom: PodHeadroom,
    settings: FetchResources,
) -> JSON:
    """core/v1 ResourceRequirements of the init container of `request`. `files` are all models in its volume.

    The files stay when the container has ended: on disk as ephemeral storage of the pod, in memory as memory of the
    pod. A pod has the larger of what its init containers and its containers need, so each init container asks for the
    whole volume and for all that runs beside it later (`PodHeadroom`). Then the pod's requests and limits grow by the
    size of the volume, and by nothing else.

    A pod keeps the QoS class Guaranteed: otherwise it would lose its exclusive CPUs and its rank when the node runs out
    of memory. Raises InvalidAnnotation, and Conflict if the pod does not allow as much memory as the files need.
    """
    is_unlimited = files is not None and files.in_memory and files.size is None
    if is_unlimited and options.fetch_memory_limit == settings.limits.memory:
        options = msgspec.structs.replace(options, fetch_memory_limit=None)  # the limit is not meant for files
    cpu = _own(request, options, "cpu", headroom, settings)
    memory = _own(request, options, "memory", headroom, settings)
    storage = Range(None, None)
    if files and files.size:
        if files.in_memory:
            memory = _with_files(request, memory, files.size, _beside(files, headroom.memory))
        else:
            storage = _storage(files.size, _beside(files, headroom.storage))
    if headroom.is_guaranteed:
        cpu, memory = _equal(cpu, headroom.cpu, format_cpu), _equal(memory, headroom.memory, format_bytes)
    ranges = {"cpu": cpu, "memory": memory, "ephemeral-storage": storage}
    return {
        kind: {resource: found[index] for resource, found in ranges.items() if found[index]}
        for index, kind in enumerate(("requests", "limits"))
    }


def _beside(files: Files, sums: PodResource) -> PodResource:
    return msgspec.structs.replace(sums, request=Decimal(0)) if files.is_own else sums


def _storage(size: Decimal, sums: PodResource) -> Range:
    """Files on disk. A limit on one container is a limit on the pod, so only a pod with limits gets one."""
    asked = size + sums.request
    return Range(format_bytes(asked), None if sums.limit is None else format_bytes(max(size + sums.limit, asked)))


def _with_files(request: ModelRequest, own: Range, size: Decimal, sums: PodResource) -> Range:
    """Memory for a container that writes `size` bytes to memory. `own` is without the files."""
    asked = size + max(parse_quantity(own.request or "0"), sums.request)
    limit = max(size + max(parse_quantity(own.limit or "0"), sums.limit or Decimal(0)), asked)
    total = asked + sums.earlier_request
    if sums.pod_limit is not None and total > sums.pod_limit:
        raise Conflict(
            f"the pod needs {format_bytes(total)} of memory, {format_bytes(size)} of it for models in memory, and its "
            f"spec.resources.limits.memory is {format_bytes(sums.pod_limit)}; raise it to at least "
            f"{format_bytes(total)}, or keep {request.model} on disk"
        )
    return Range(
        _at_most(format_bytes(asked), sums.request_left, format_bytes),
        _at_most(format_bytes(limit), sums.pod_limit, format_bytes) if own.limit or sums.limit is not None else None,
    )


def _equal(own: Range, sums: PodResource, write: Callable[[Decimal], str]) -> Range:
    """The same request and limit. Without a limit of its own, the init container may use as much as the pod does later,
    at no cost."""
    if own.limit and parse_quantity(own.limit):
        return Range(own.limit, own.limit)
    limit = write(max(parse_quantity(own.request or "0"), sums.limit or Decimal(0)))
    return Range(limit, limit)


def _own(
    request: ModelRequest,
    options: FetchOptions,
    resource: Literal["cpu", "memory"],
    headroom: PodHeadroom,
    settings: FetchResources,
) -> Range:
    """What the container needs without the files: the annotations, else the settings, which yield to all else.

    Raises InvalidAnnotation.
    """
    asked, limit = _within(request, options, resource, settings)
    sums: PodResource = getattr(headroom, resource)
    write = format_cpu if resource == "cpu" else format_bytes
    if sums.request_left is not None:
        asked = asked or limit or "0"  # else the API server or a LimitRange gives it a request, which may be too much
    for kind, allowed in (("request", sums.request_left), ("limit", sums.pod_limit)):
        value: str | None = getattr(options, f"fetch_{resource}_{kind}")
        is_setting = value == getattr(getattr(settings, f"{kind}s"), resource)
        if value and not is_setting and allowed is not None and parse_quantity(value) > allowed:
            bound = f"at most {write(allowed)}, what the pod's spec.resources.{kind}s.{resource} allows"
            raise InvalidAnnotation(request.where(f"fetch-{resource}-{kind}"), value, bound)
    if limit is None and asked == getattr(settings.requests, resource):
        asked = _at_most(asked, sums.smallest_limit, write)  # may be the default limit of a LimitRange
    return Range(_at_most(asked, sums.request_left, write), _at_most(limit, sums.pod_limit, write))


def _at_most(quantity: str | None, bound: Decimal | None, write: Callable[[Decimal], str]) -> str | None:
    if quantity is None or bound is None or parse_quantity(quantity) <= bound:
        return quantity
    return write(bound)


def _within(
    request: ModelRequest, options: FetchOptions, resource: Literal["cpu", "memory"], settings: FetchResources
) -> Range:
    """The request and the limit. Where the settings' own value crosses an annotation's, the annotation wins."""
    asked: str | None = getattr(options, f"fetch_{resource}_request")
    limit: str | None = getattr(options, f"fetch_{resource}_limit")
    if asked is None or limit is None or parse_quantity(asked) <= parse_quantity(limit):
        return Range(asked, limit)
    if limit == getattr(settings.limits, resource):
        return Range(asked, asked)
    if asked == getattr(settings.requests, resource):
        return Range(limit, limit)
    raise InvalidAnnotation(request.where(f"fetch-{resource}-request"), asked, f"at most its limit, {limit}")
