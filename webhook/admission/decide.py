"""What happens to a pod: one pure function, `inject`. No I/O, no clock, no call to Kubernetes.

A pod that asks for nothing is `skipped`; one that gets its models is `injected`; one that has them already, as in a
second pass, is `unchanged`; one that can't be is `refused`, with a message for the person who wrote it.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, combinations
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from webhook.admission import rules
from webhook.admission.containers import MESH_PROXIES, PlacedModel, attach
from webhook.annotations import INJECTED, is_asking, parse, unknown
from webhook.annotations.injected import InjectedModel, decode, encode
from webhook.catalog import Artifact, Catalog, resolve_all
from webhook.errors import Conflict, Refusal
from webhook.kubernetes.patch import Operation, add, escape, extend
from webhook.kubernetes.pod import Pod, PodSpec
from webhook.model.request import PodRequest
from webhook.settings import Settings
from webhook.strategies import STRATEGIES
from webhook.strategies.strategy import JSON, Delivery, Plan, Strategy

Decision: TypeAlias = Literal["injected", "pinned", "unchanged", "skipped", "refused"]

PROTECTED_NAMESPACES: Final = frozenset({"kube-system", "kube-node-lease"})
"""Left alone even where the webhook's configuration lets their pods through: the cluster depends on them."""

_MIRROR_POD: Final = "kubernetes.io/config.mirror"  # kubelet's mark on the API's image of a static pod
_MOST_ATTACHMENTS: Final = 2000
_MOST_PARTS: Final = 20_000
_LONGEST_SLUG: Final = 57  # and `fetch-` makes a DNS label


class AdmissionResult(msgspec.Struct, frozen=True):
    """The answer for one pod."""

    decision: Decision
    reason: str
    """One constant word, for metrics and logs."""
    message: str = ""
    """For the person who wrote the pod; only where it is refused."""
    operations: tuple[Operation, ...] = ()
    """The JSON Patch."""
    warnings: tuple[str, ...] = ()
    models: tuple[InjectedModel, ...] = ()
    """What came of each model."""


def inject(pod: Pod, namespace: str, settings: Settings, catalog: Catalog) -> AdmissionResult:
    """What has to be done to `pod`, which is about to be created in `namespace`.

    Raises Unread where the catalog has to look at S3 before it can answer.
    """
    annotations = pod.metadata.annotations or {}
    if _MIRROR_POD in annotations:
        return AdmissionResult("skipped", "MirrorPod")
    exempt = _exempt(pod.spec, namespace)
    if exempt:
        return AdmissionResult("skipped", exempt.reason, warnings=(exempt.warning,) * is_asking(annotations, settings))
    try:
        request = parse(annotations, settings)
        if not request.models:
            return AdmissionResult(
                "skipped", "OptedOut" if request.opted_out else "NotAnnotated", warnings=request.warnings
            )
        _check_size(pod.spec, len(request.models))
        account = service_account(pod.spec, request, settings)
        for model in request.models:
            rules.check(model, namespace, account, settings)
        resolved = resolve_all(request.models, catalog)
        plans = _plans(_deliveries(request, [one.artifact for one in resolved]), pod, settings)
        answers = (one.warnings for one in resolved)
        changes = (plan.change.warnings for plan in plans)
        warnings = (*request.warnings, *chain.from_iterable(answers), *chain.from_iterable(changes))
        records = tuple(
            InjectedModel.of(one.delivery.request, one.delivery.artifact) for plan in plans for one in plan.placed
        )
        if _is_injected_otherwise(pod, records, settings):
            return AdmissionResult("unchanged", "AlreadyInjected", warnings=warnings, models=records)
        operations = _operations(pod, request, plans, records, settings)
    except Refusal as refusal:
        return AdmissionResult("refused", refusal.reason, str(refusal), warnings=unknown(annotations, settings))
    return AdmissionResult(
        *(("injected", "Injected") if operations else ("unchanged", "AlreadyInjected")),
        operations=tuple(operations),
        warnings=warnings,
        models=records,
    )


def _is_injected_otherwise(pod: Pod, records: Sequence[InjectedModel], settings: Settings) -> bool:
    """Whether the pod has what it asks for from elsewhere: in a second pass, after a replica with other settings.

    The annotation `injected` alone proves nothing, for it is copied along with a pod: init containers have to fetch
    what it tells.
    """
    written = (pod.metadata.annotations or {}).get(f"{settings.annotation_prefix}/{INJECTED}")
    if written is None:
        return False
    told = decode(written)
    uris = {record.uri for record in told}
    if uris == {record.uri for record in records}:
        return False
    asked = Counter((record.model, record.asked, record.strategy) for record in records)
    if asked != Counter((record.model, record.asked, record.strategy) for record in told):
        return False
    return uris <= {uri for strategy in STRATEGIES.values() for uri in strategy.delivered(pod.spec)}


def _check_size(spec: PodSpec, models: int) -> None:
    """Refuse what no node runs, before it takes the time of the pods behind it."""
    containers = (*(spec.containers or ()), *(spec.init_containers or ()))
    parts = sum(len(one.env or ()) + len(one.volume_mounts or ()) for one in containers)
    if len(containers) * models > _MOST_ATTACHMENTS or parts + len(spec.volumes or ()) > _MOST_PARTS:
        raise Conflict(
            f"the pod is too large for injection: {models} models in {len(containers)} containers with {parts} mounts "
            f"and variables; at most {_MOST_ATTACHMENTS} models times containers, and {_MOST_PARTS} of the others"
        )


class _Exemption(NamedTuple):
    reason: str
    warning: str


def _exempt(spec: PodSpec, namespace: str) -> _Exemption | None:
    if namespace in PROTECTED_NAMESPACES:
        return _Exemption("ProtectedNamespace", f"no model is injected: pods of {namespace} are left alone")
    if spec.is_windows:
        return _Exemption("WindowsPod", "no model is injected: there is no way yet for models into Windows pods")
    return None


def _deliveries(request: PodRequest, artifacts: Sequence[Artifact]) -> tuple[Delivery, ...]:
    for one, other in combinations(artifacts, 2):
        if one.uri == other.uri:
            raise Conflict(f"{one.uri} is asked for twice; ask once")
    return tuple(Delivery(*one) for one in zip(request.models, artifacts, _slugs(artifacts), strict=True))


def _slugs(artifacts: Sequence[Artifact]) -> list[str]:
    """A DNS label for each: the model's name; with its version where two models share that; else with a hash."""
    slugs = [_slug(artifact.model) for artifact in artifacts]
    if len(set(slugs)) == len(slugs):
        return slugs
    for wider in ("{0.model}-{0.version}", "{0.model}-{0.version}-{1}"):
        shared = {slug for slug, count in Counter(slugs).items() if count > 1}
        slugs = [
            _slug(wider.format(artifact, _hash(artifact.uri))) if slug in shared else slug
            for slug, artifact in zip(slugs, artifacts, strict=True)
        ]
    return slugs


@lru_cache(maxsize=1024)
def _slug(text: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return slug if len(slug) <= _LONGEST_SLUG else f"{slug[: _LONGEST_SLUG - 9].rstrip('-')}-{_hash(text)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


class _Plan(NamedTuple):
    """What one strategy does for its deliveries."""

    strategy: Strategy
    change: Plan
    placed: tuple[PlacedModel, ...]


def _plans(deliveries: Sequence[Delivery], pod: Pod, settings: Settings) -> list[_Plan]:
    plans = []
    for name, strategy in STRATEGIES.items():
        own = [delivery for delivery in deliveries if delivery.request.strategy == name]
        if own:
            change = strategy.plan(own, pod, settings)
            placed = tuple(PlacedModel(*one) for one in zip(own, change.folders, strict=True))
            plans.append(_Plan(strategy, change, placed))
    for one, other in combinations(chain.from_iterable(plan.placed for plan in plans), 2):
        folders = sorted((f"{one.folder.path}/", f"{other.folder.path}/"))
        if one.folder.volume == other.folder.volume and folders[1].startswith(folders[0]):
            raise Conflict(f"two models would share the folder {folders[0]}; download one into another volume")
    return plans


def _operations(
    pod: Pod, request: PodRequest, plans: Sequence[_Plan], records: tuple[InjectedModel, ...], settings: Settings
) -> list[Operation]:
    """The whole patch. What is there already is left out, so a second pass has nothing to add.

    Our init containers come last in the patch, for they move the indices of the pod's own.
    """
    spec, prefix = pod.spec, settings.annotation_prefix
    placed = [one for plan in plans for one in plan.placed]
    missing, volumes = _missing_init_containers(spec, plans), _missing_volumes(spec, plans)
    return [
        *attach(spec, placed),
        *extend("/spec/volumes", spec.volumes, volumes),
        *_service_account(spec, request.service_account, settings),
        *_annotation(pod, f"{prefix}/{INJECTED}", records),
        *extend("/spec/initContainers", spec.init_containers, missing, at=_first_place(spec)),
    ]


def _missing_init_containers(spec: PodSpec, plans: Sequence[_Plan]) -> list[JSON]:
    existing = {container.name: container for container in spec.init_containers or ()}
    taken = existing.keys() | {container.name for container in spec.containers or ()}
    missing = []
    for plan in plans:
        for container in plan.change.init_containers:
            name = container["name"]
            if name not in taken:
                missing.append(container)
            elif name not in existing or not plan.strategy.is_planned(existing[name], container):
                raise Conflict(
                    f"the pod has a container {name} already, and it is not the one that its model needs; rename it, "
                    "or remove it where it was copied from a running pod"
                )
    return missing


def _missing_volumes(spec: PodSpec, plans: Sequence[_Plan]) -> list[JSON]:
    """Our volumes that the pod lacks. One that is there is ours where an init container of ours mounts it."""
    planned = {container["name"] for plan in plans for container in plan.change.init_containers}
    mounted = {
        mount.name
        for container in spec.init_containers or ()
        if container.name in planned
        for mount in container.volume_mounts or ()
    }
    present = {volume.name for volume in spec.volumes or ()}
    missing = []
    for volume in chain.from_iterable(plan.change.volumes for plan in plans):
        name = volume["name"]
        if name not in present:
            missing.append(volume)
        elif name not in mounted:
            raise Conflict(
                f"the pod has a volume {name} of its own, a name that is ours; rename it, or download into it with the "
                "annotation volume"
            )
    return missing


def _first_place(spec: PodSpec) -> int:
    """First, for legacy meshes cut the network off; but after a mesh's native sidecar, which gives the network."""
    for index, container in reversed(list(enumerate(spec.init_containers or ()))):
        if container.is_sidecar and container.name in MESH_PROXIES:
            return index + 1
    return 0


def service_account(spec: PodSpec, request: PodRequest, settings: Settings) -> str:
    """The service account that a pod runs as in the end."""
    own = spec.service_account_name or spec.service_account or "default"
    return own if own != "default" else request.service_account or settings.defaults.service_account or own


def _service_account(spec: PodSpec, asked: str | None, settings: Settings) -> list[Operation]:
    """Both fields, for later webhooks see the pod before the API server makes the second follow the first.

    The API server has filled in `default` already where the pod names no account.
    """
    own = spec.service_account_name or spec.service_account or "default"
    wanted = asked or settings.defaults.service_account
    if own not in ("default", wanted):
        if asked:
            raise Conflict(
                f"the pod's serviceAccountName is {own}, the annotation {settings.annotation_prefix}/service-account "
                f"asks for {asked}; keep one of them"
            )
        return []
    if not wanted:
        return []
    fields = {"serviceAccountName": spec.service_account_name, "serviceAccount": spec.service_account}
    return [add(f"/spec/{field}", wanted) for field, value in fields.items() if value != wanted]


def _annotation(pod: Pod, name: str, records: tuple[InjectedModel, ...]) -> list[Operation]:
    value = encode(records)
    there = (pod.metadata.annotations or {}).get(name)
    return [] if there == value else [add(f"/metadata/annotations/{escape(name)}", value)]
