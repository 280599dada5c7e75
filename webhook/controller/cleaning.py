"""Which versions the cluster needs no longer: the pure functions `review` and `decide`.

A version is removed in two steps. First its claims get the state `expired`, so that the webhook gives them to no new
pod. Once all replicas of the webhook know that, and if nothing uses the version then either, its objects are deleted:
the claims of namespaces before the claim that they share, because Trident would otherwise refuse new mounts of those
that are left.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

import msgspec

from webhook.controller.observed import Claim, Cluster, Key, Observed
from webhook.controller.published import Model, Published, Version
from webhook.controller.states import (
    DIGEST,
    EXPIRED,
    EXPIRED_AT,
    LOADING,
    URI,
    by_catalog,
    is_current,
    is_listed,
    with_state,
)
from webhook.controller.steps import CLAIMS, JOBS, REFERENCES, VOLUMES, Delete, Resource, Step, ref_of
from webhook.inventory.inventory import READY
from webhook.settings import Settings
from webhook.usage.observed import Problem, Workload
from webhook.usage.rows import STRONGEST_FIRST
from webhook.usage.uses import Usage, Use

_SHARED: Final = "trident.netapp.io/shareFromPVC"
_SHORTEST_PAUSE: Final = 300.0
"""The minimum number of seconds between the mark and the removal. A replica of the webhook that cannot read the
inventory uses its last one for two more minutes."""


class InUse(msgspec.Struct, frozen=True):
    """What is used in the cluster."""

    by_uri: Callable[[str], str | None]
    """Who runs or pins a version, in words; None if nobody does. A pin may be one of the rollback history."""
    mounted: frozenset[Key]
    """The claims that pods mount, by namespace and name."""
    problems: tuple[Problem, ...] = ()
    """What could not be read."""


class Review(msgspec.Struct, frozen=True):
    """What is to become of a version, and why."""

    uri: str
    model: str
    version: str
    is_removed: bool
    reason: str
    claims: tuple[Key, ...] = ()
    others: tuple[tuple[str, str, str], ...] = ()
    """The kind, namespace and name of its volumes, Jobs and TridentVolumeReferences."""
    bytes: int | None = None
    expired_at: datetime | None = None
    """Since when all of its claims are expired. None if they are not."""
    removed_from: datetime | None = None
    """The earliest time of their removal."""

    @property
    def is_in_cluster(self) -> bool:
        """Whether the cluster has objects of it."""
        return bool(self.claims or self.others)


class Plan(msgspec.Struct, frozen=True):
    """What is to become of the versions, and the steps towards that, for each version in their order."""

    reviews: list[Review]
    steps: tuple[tuple[Step, ...], ...]


@dataclass
class _Objects:
    """What belongs to a version in the cluster."""

    claims: list[Claim] = field(default_factory=list)
    others: list[tuple[Resource, Observed]] = field(default_factory=list)

    def all(self) -> Iterator[Observed]:
        yield from self.claims
        yield from (known for _, known in self.others)


def plan(published: Published, cluster: Cluster, usage: Usage, settings: Settings, now: datetime) -> Plan:
    """The plan of one run. `usage` must be read after `cluster` was, and after `now`: else uses may be missing."""
    used = in_use(usage, published)
    reviews = review(published, cluster, used, settings, now)
    return Plan(reviews, decide(reviews, published, cluster, used, settings, now))


def in_use(usage: Usage, published: Published) -> InUse:
    """What is used, by a reading of the cluster. What a template without a pin would get now counts, too."""
    wanted: dict[str, str] = {}
    for each in usage.floating:
        model = published.sources.get(each.source, {}).get(each.model)
        if model and (version := _meaning(model, each.asked)):
            wanted[version.artifact.uri] = f"{_named(each.workload)} asks for {each.asked}"
    strongest_last = sorted(usage.uses, key=_weakness, reverse=True)
    by_uri = {use.used.uri: use for use in strongest_last}

    def user(uri: str) -> str | None:
        version = published.by_uri.get(uri)
        uses = usage.of(version.artifact) if version else filter(None, (by_uri.get(uri),))
        use = min(uses, key=_weakness, default=None)
        return f"{_named(use.workload)}: {use.state}" if use else wanted.get(uri)

    return InUse(user, frozenset((claim.namespace, claim.name) for claim in usage.mounted), usage.problems)


def _weakness(use: Use) -> int:
    return STRONGEST_FIRST.index(use.state)


def _meaning(model: Model, asked: str) -> Version | None:
    try:
        return next(model.published(asked), None)
    except ValueError:  # its pods are refused
        return None


def _named(workload: Workload) -> str:
    return f"{workload.kind} {workload.namespace}/{workload.name}"


def review(published: Published, cluster: Cluster, used: InUse, settings: Settings, now: datetime) -> list[Review]:
    """What is to become of each version that has objects, or that loads are about. Sorted by model and version."""
    prefix, found = settings.annotation_prefix, _by_uri(cluster, settings.annotation_prefix)
    reviews = []
    for uri in found.keys() | published.by_uri.keys():
        version, objects = published.by_uri.get(uri), found.get(uri, _Objects())
        labels = next((known.labels for known in objects.all()), {})
        is_removed, reason = _verdict(uri, objects, published, used, settings, now)
        expired_at = _all_expired_at(objects.claims, prefix)
        reviews.append(
            Review(
                uri,
                version.artifact.model if version else labels.get(f"{prefix}/model", ""),
                version.artifact.version if version else labels.get(f"{prefix}/version", ""),
                is_removed,
                reason,
                tuple(sorted(claim.key for claim in objects.claims)),
                tuple(sorted((resource.kind, *known.key) for resource, known in objects.others)),
                version.artifact.bytes if version else None,
                expired_at,
                expired_at + _pause(settings) if expired_at and is_removed else None,
            )
        )
    return sorted(reviews, key=lambda each: (each.model, each.version, each.uri))


def _by_uri(cluster: Cluster, prefix: str) -> dict[str, _Objects]:
    """What belongs to each version, by its folder in S3."""
    found = defaultdict[str, _Objects](_Objects)
    for claim in cluster.claims.values():
        found[claim.annotations.get(f"{prefix}/{URI}", "")].claims.append(claim)
    others = ((JOBS, cluster.jobs), (REFERENCES, cluster.references), (VOLUMES, cluster.volumes))
    for resource, known in others:
        for each in known.values():
            found[each.annotations.get(f"{prefix}/{URI}", "")].others.append((resource, each))
    return {uri: objects for uri, objects in found.items() if uri}


def _verdict(  # noqa: PLR0913, PLR0917 - what it depends on
    uri: str, objects: _Objects, published: Published, used: InUse, settings: Settings, now: datetime
) -> tuple[bool, str]:
    """Whether to remove a version, and why, or why not."""
    if user := used.by_uri(uri) or _mounted(objects.claims, used):
        return False, user
    if not is_current(uri, published, settings):
        return False, "its source could not be listed the last time"
    version = published.by_uri.get(uri)
    if version:
        is_removed, reason = version.is_expired, version.expiry
    else:
        is_removed, reason = _is_former(uri, objects, published, settings, now)
    if is_removed and (problem := _hidden(objects.claims, used)):
        return False, f"uses may be missing: {problem}"
    return is_removed, reason


def _mounted(claims: Iterable[Claim], used: InUse) -> str | None:
    namespaces = (claim.metadata.namespace for claim in claims if claim.key in used.mounted)
    return next((f"a pod of {namespace} mounts it" for namespace in namespaces), None)


def _hidden(claims: Iterable[Claim], used: InUse) -> str | None:
    """What could not be read in a namespace that has a claim."""
    namespaces = {claim.metadata.namespace for claim in claims}
    hiding = (each.text for each in used.problems if any(map(each.may_hide_uses_in, namespaces)))
    return next(hiding, None)


def _is_former(
    uri: str, objects: _Objects, published: Published, settings: Settings, now: datetime
) -> tuple[bool, str]:
    """Whether to remove a version that no load is about, or that the catalog has no longer."""
    if uri in published.uris:
        return False, "no load is about its model"
    if not is_listed(uri, published, settings):
        return False, "its source was not listed"
    created = max(datetime.fromisoformat(known.metadata.creation_timestamp) for known in objects.all())
    is_old = now - created >= timedelta(seconds=settings.controller.cleaning.retention)
    return is_old, "the catalog has it no longer" + (
        "" if is_old else ", and its objects are younger than the retention"
    )


def _all_expired_at(claims: Iterable[Claim], prefix: str) -> datetime | None:
    """Since when all claims that are there to stay are expired. None if one is not, or if there are none."""
    times = [_expired_at(claim, prefix) for claim in claims if not claim.is_deleted]
    known = [time for time in times if time]
    return max(known) if known and len(known) == len(times) else None


def _expired_at(claim: Claim, prefix: str) -> datetime | None:
    """Since when a claim is expired. None if it is not, or if that is unknown."""
    if claim.labels.get(f"{prefix}/state") != EXPIRED:
        return None
    try:
        time = datetime.fromisoformat(claim.annotations.get(f"{prefix}/{EXPIRED_AT}", ""))
    except ValueError:
        return None
    return time if time.tzinfo else None


def _pause(settings: Settings) -> timedelta:
    """How long a claim is expired before it is deleted, so that each replica of the webhook has read that."""
    return timedelta(seconds=max(2 * settings.inventory.refresh_seconds, _SHORTEST_PAUSE))


def decide(  # noqa: PLR0913, PLR0917 - what it depends on
    reviews: list[Review], published: Published, cluster: Cluster, used: InUse, settings: Settings, now: datetime
) -> tuple[tuple[Step, ...], ...]:
    """The steps for each version. `reviews` and `used` are of the same time."""
    found = _by_uri(cluster, settings.annotation_prefix)
    taken = (
        tuple(
            _removal(each, found.get(each.uri, _Objects()), used, settings, now)
            if each.is_removed
            else chain.from_iterable(
                _taken_back(claim, published, settings) for claim in found.get(each.uri, _Objects()).claims
            )
        )
        for each in reviews
    )
    return tuple(filter(None, taken))


def taken_back(published: Published, cluster: Cluster, settings: Settings) -> tuple[tuple[Step, ...], ...]:
    """The steps for expired claims whose versions may not be removed any more, whether they are used or not."""
    uri = f"{settings.annotation_prefix}/{URI}"
    versions = ((claim, published.by_uri.get(claim.annotations.get(uri, ""))) for claim in cluster.claims.values())
    groups = (
        tuple(_taken_back(claim, published, settings))
        for claim, version in versions
        if version and not version.is_expired
    )
    return tuple(filter(None, groups))


def _taken_back(claim: Claim, published: Published, settings: Settings) -> Iterator[Step]:
    """The steps for a claim of a version that is kept. Without a digest, nothing was verified."""
    prefix = settings.annotation_prefix
    if claim.is_deleted or claim.labels.get(f"{prefix}/state") != EXPIRED:
        return
    uri = claim.annotations.get(f"{prefix}/{URI}", "")
    found = by_catalog(claim, published, prefix) if is_listed(uri, published, settings) else None
    unknown = READY if claim.annotations.get(f"{prefix}/{DIGEST}") else LOADING, ""
    yield from with_state(claim, *(found or unknown), prefix)


def _removal(about: Review, objects: _Objects, used: InUse, settings: Settings, now: datetime) -> Iterator[Step]:
    prefix = settings.annotation_prefix
    claims = [claim for claim in objects.claims if not claim.is_deleted]
    unmarked = [claim for claim in claims if _expired_at(claim, prefix) is None]
    if unmarked:
        mark = {f"{prefix}/{EXPIRED_AT}": now.isoformat(timespec="seconds").replace("+00:00", "Z")}
        for claim in unmarked:
            yield from with_state(claim, EXPIRED, about.reason, prefix, mark)
        return
    if about.removed_from and now < about.removed_from:
        return
    consumers = [claim for claim in claims if _SHARED in claim.annotations]
    leaving = any(_SHARED in claim.annotations for claim in objects.claims)
    for claim in consumers or ([] if leaving else claims):
        if claim.key not in used.mounted:
            yield Delete(ref_of(CLAIMS, claim), about.reason)
    if leaving:
        return
    for resource, known in objects.others:  # volumes whose claim is there yet follow later
        if not known.is_deleted and not (resource is VOLUMES and objects.claims):
            yield Delete(ref_of(resource, known), about.reason)
