"""Which versions the cluster needs no longer: the pure functions `review` and `decide`.

A version is removed in two steps. First its claims get the state `expired`, so that the webhook gives them to no new
pod. If nothing uses the version at the next look either, its objects are deleted: the claims of namespaces before the
claim that they share, because Trident would otherwise refuse new mounts of those that are left.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from webhook.controller.observed import Claim, Cluster, Key, Observed
from webhook.controller.published import Model, Published, Version
from webhook.controller.states import DIGEST, EXPIRED, LOADING, URI, by_catalog, is_listed, with_state
from webhook.controller.steps import CLAIMS, JOBS, REFERENCES, VOLUMES, Delete, Resource, Step, ref_of
from webhook.inventory.inventory import READY
from webhook.settings import Settings
from webhook.usage.observed import Workload
from webhook.usage.uses import Usage

_SHARED: Final = "trident.netapp.io/shareFromPVC"


class InUse(msgspec.Struct, frozen=True):
    """What is used in the cluster."""

    by_uri: Callable[[str], str | None]
    """Who runs or pins a version, in words; None if nobody does. A pin may be one of the rollback history."""
    mounted: frozenset[Key]
    """The claims that pods mount, by namespace and name."""


class Review(msgspec.Struct, frozen=True):
    """What is to become of a version, and why."""

    uri: str
    model: str
    version: str
    is_removed: bool
    reason: str
    objects: tuple[Key, ...] = ()
    """Its claims."""
    bytes: int | None = None


class Plan(msgspec.Struct, frozen=True):
    """What is to become of the versions, and the steps towards that, for each version in their order."""

    reviews: list[Review]
    steps: tuple[tuple[Step, ...], ...]


def plan(published: Published, cluster: Cluster, usage: Usage, settings: Settings, now: datetime) -> Plan:
    """The plan of one run. `usage` must be read after `cluster` was, and have no problems: else uses may be missing."""
    used = in_use(usage, published)
    reviews = review(published, cluster, used, settings, now)
    return Plan(reviews, decide(reviews, published, cluster, used, settings))


def in_use(usage: Usage, published: Published) -> InUse:
    """What is used, by a reading of the cluster. What a template without a pin would get now counts, too."""
    wanted: dict[str, str] = {}
    for each in usage.floating:
        model = published.sources.get(each.source, {}).get(each.model)
        if model and (version := _meaning(model, each.asked)):
            wanted[version.artifact.uri] = f"{_named(each.workload)} asks for {each.asked}"
    by_uri = {use.used.uri: use for use in usage.uses}

    def user(uri: str) -> str | None:
        version = published.by_uri.get(uri)
        uses = usage.of(version.artifact) if version else filter(None, (by_uri.get(uri),))
        use = next(iter(uses), None)
        return f"{_named(use.workload)}: {use.state}" if use else wanted.get(uri)

    return InUse(user, frozenset((claim.namespace, claim.name) for claim in usage.mounted))


def _meaning(model: Model, asked: str) -> Version | None:
    try:
        return next(model.published(asked), None)
    except ValueError:  # its pods are refused
        return None


def _named(workload: Workload) -> str:
    return f"{workload.kind} {workload.namespace}/{workload.name}"


def review(published: Published, cluster: Cluster, used: InUse, settings: Settings, now: datetime) -> list[Review]:
    """What is to become of each version that has claims, or that loads are about. Sorted by model and version."""
    prefix = settings.annotation_prefix
    claims: dict[str, list[Claim]] = {}
    for claim in cluster.claims.values():
        if uri := claim.annotations.get(f"{prefix}/{URI}"):
            claims.setdefault(uri, []).append(claim)
    reviews = []
    for uri in claims.keys() | published.by_uri.keys():
        version, of_version = published.by_uri.get(uri), claims.get(uri, [])
        user = used.by_uri(uri) or _mounted(of_version, used)
        if user:
            is_removed, reason = False, user
        elif version:
            is_removed, reason = version.is_expired, version.expiry
        else:
            is_removed, reason = _is_former(uri, of_version, published, settings, now)
        labels = of_version[0].labels if of_version else {}
        reviews.append(
            Review(
                uri,
                version.artifact.model if version else labels.get(f"{prefix}/model", ""),
                version.artifact.version if version else labels.get(f"{prefix}/version", ""),
                is_removed,
                reason,
                tuple(sorted(claim.key for claim in of_version)),
                version.artifact.bytes if version else None,
            )
        )
    return sorted(reviews, key=lambda each: (each.model, each.version, each.uri))


def _mounted(claims: list[Claim], used: InUse) -> str | None:
    namespaces = (claim.metadata.namespace for claim in claims if claim.key in used.mounted)
    return next((f"a pod of {namespace} mounts it" for namespace in namespaces), None)


def _is_former(
    uri: str, claims: list[Claim], published: Published, settings: Settings, now: datetime
) -> tuple[bool, str]:
    """Whether to remove a version that no load is about, or that the catalog has no longer."""
    if uri in published.uris:
        return False, "no load is about its model"
    if not is_listed(uri, published, settings):
        return False, "its source was not listed"
    created = max(datetime.fromisoformat(claim.metadata.creation_timestamp) for claim in claims)
    is_old = now - created >= timedelta(seconds=settings.controller.cleaning.retention)
    return is_old, "the catalog has it no longer" + (
        "" if is_old else ", and its claims are younger than the retention"
    )


def decide(
    reviews: list[Review], published: Published, cluster: Cluster, used: InUse, settings: Settings
) -> tuple[tuple[Step, ...], ...]:
    """The steps for each version. `reviews` and `used` are of the same time."""
    taken = (tuple(_steps(each, published, cluster, used, settings)) for each in reviews)
    return tuple(filter(None, taken))


def _steps(about: Review, published: Published, cluster: Cluster, used: InUse, settings: Settings) -> Iterator[Step]:
    prefix = settings.annotation_prefix
    claims = [cluster.claims[key] for key in about.objects if not cluster.claims[key].is_deleted]
    states = {claim.key: claim.labels.get(f"{prefix}/state") for claim in claims}
    if not about.is_removed:
        is_known = is_listed(about.uri, published, settings)
        for claim in claims:
            if states[claim.key] == EXPIRED:
                found = by_catalog(claim, published, prefix) if is_known else None
                yield from with_state(claim, *(found or _as_before(claim, prefix)), prefix)
        return
    if set(states.values()) - {EXPIRED}:
        for claim in claims:
            yield from with_state(claim, EXPIRED, about.reason, prefix)
        return
    consumers = [claim for claim in claims if _SHARED in claim.annotations]
    leaving = any(_SHARED in cluster.claims[key].annotations for key in about.objects)
    for claim in consumers or ([] if leaving else claims):
        if claim.key not in used.mounted:
            yield Delete(ref_of(CLAIMS, claim), about.reason)
    if not leaving:
        yield from _rest(about, cluster, prefix)


def _as_before(claim: Claim, prefix: str) -> tuple[str, str]:
    """The state of a claim about which the catalog says nothing now. Without a digest, nothing was verified."""
    return (READY if claim.annotations.get(f"{prefix}/{DIGEST}") else LOADING), ""


def _rest(about: Review, cluster: Cluster, prefix: str) -> Iterator[Step]:
    """What else belongs to a version. Volumes whose claim is there yet follow later."""
    others: tuple[tuple[Resource, Mapping[Key, Observed]], ...] = (
        (JOBS, cluster.jobs),
        (REFERENCES, cluster.references),
        *(((VOLUMES, cluster.volumes),) if not about.objects else ()),
    )
    for resource, known in others:
        for each in known.values():
            if each.annotations.get(f"{prefix}/{URI}") == about.uri and not each.is_deleted:
                yield Delete(ref_of(resource, each), about.reason)
